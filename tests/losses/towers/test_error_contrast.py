"""What error_contrast alone promises: naive loops, and what the two forms see."""

import math

import numpy as np

from mini_repr.losses.towers.error_contrast import error_contrast


def loops(errors, temperature, scale, form, denoise_weight):
    total = 0.0
    for i, row in enumerate(errors):
        logits = [-float(e) / temperature for e in row]
        if form == "exp":
            logits = [scale * math.exp(v) for v in logits]
        top = max(logits)
        total += math.log(sum(math.exp(v - top) for v in logits)) + top - logits[i] + denoise_weight * float(row[i])
    return total / len(errors)


def test_of_errors_far_above_the_temperature_the_first_form_sees_nothing():
    errors = 3 + np.random.default_rng(0).random((4, 4))
    one, other = (error_contrast.value_and_grad(errors, form=form)[1]["errors"] for form in ("exp", "negative"))
    assert np.abs(one).max() < 1e-15 < 0.1 < np.abs(other).max()


def test_differences_do_not_see_what_is_added_to_a_row():
    errors, more = np.random.default_rng(0).random((4, 4)), np.array([[0.0], [3.0], [0.5], [1.0]])
    one, other = (float(error_contrast(x, form="negative").data) for x in (errors, errors + more))
    assert abs(one - other) < 1e-12
    one, other = (float(error_contrast(x).data) for x in (errors, errors + more))
    assert abs(one - other) > 1e-3


def test_both_ask_for_smaller_own_errors_and_larger_others():
    errors = 0.1 * np.random.default_rng(0).random((4, 4))
    own = np.eye(4, dtype=bool)
    for form in ("exp", "negative"):
        gradient = error_contrast.value_and_grad(errors, form=form)[1]["errors"]
        assert (gradient[own] > 0).all() and (gradient[~own] < 0).all()
