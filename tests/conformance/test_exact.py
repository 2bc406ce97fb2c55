"""Exact values: all pages and variants against them, closed forms to 40 digits, differences of 50-digit values."""

from functools import cache

import numpy as np
import pytest

from mini_repr.conformance import exact_numbers as module
from mini_repr.conformance.cases import cases_for
from mini_repr.conformance.exact import central_difference, exact_terms, exact_value_and_grad
from mini_repr.pages.registry import all_losses

mpmath = pytest.importorskip("mpmath")

LOSSES = all_losses()
VARIANTS = [(name, v) for name, loss in LOSSES.items() for v in ("default", *loss.variants)]
# Where a page must keep nearly all digits of float64.
GENTLE = ("ordinary", "odd", "wide", "fewest-rows", "ties", "identical-rows")


@cache
def cases_of(name, variant):
    settings = LOSSES[name].variants[variant].settings if variant != "default" else None
    return {case.id: case for case in cases_for(LOSSES[name], settings)}


@pytest.mark.parametrize("name, variant", VARIANTS)
def test_page_agrees(name, variant):
    loss, cases = LOSSES[name], cases_of(name, variant)
    compared = 0
    for case in (cases[id] for id in GENTLE if cases[id].result == "valid"):
        value, gradients = loss.value_and_grad(**case.arguments)
        exact, exact_gradients = exact_value_and_grad(loss, case.arguments).rounded()
        assert float(value) == pytest.approx(exact, rel=1e-13, abs=1e-13), case.id
        if case.differentiable:
            assert list(gradients) == list(exact_gradients)
            for n, g in gradients.items():
                bound = 1e-11 * max(1, np.abs(exact_gradients[n]).max())
                np.testing.assert_allclose(g, exact_gradients[n], rtol=0, atol=bound, err_msg=f"{case.id}: {n}")
                compared += 1
    assert compared


@pytest.mark.parametrize("name", LOSSES)
def test_tape_agrees_with_central_differences_to_25_digits(name):
    loss = LOSSES[name]
    arguments = cases_of(name, "default")["ordinary"].arguments
    exact = exact_value_and_grad(loss, arguments)
    rng = np.random.default_rng(0)
    directions = {n: rng.standard_normal(np.shape(g)) for n, g in exact.gradients.items()}
    difference = central_difference(loss, arguments, directions)
    with mpmath.workdps(50):
        along = sum(
            mpmath.mpf(float(d)) * g
            for n in directions
            for d, g in zip(np.ravel(directions[n]), exact.gradients[n].ravel(), strict=True)
        )
        assert abs(difference - along) < 1e-25 * max(1, abs(along))


def test_closed_forms_to_40_digits():
    with mpmath.workdps(50):
        nt_xent = cases_of("infonce", "nt_xent")["identical-rows"]
        assert abs(exact_value_and_grad(LOSSES["infonce"], nt_xent.arguments).value - mpmath.log(11)) < mpmath.mpf(
            "1e-40"
        )
        # Orthogonal rows: log of a mean of equal terms; the definition takes a logarithm of an integer by math.log.
        z = np.diag([5.0, 1.0, 2.0])
        assert abs(exact_value_and_grad(LOSSES["uniformity"], {"z": z}).value + 4) < mpmath.mpf("1e-40")
        # 0.1 is the float64 number nearest to it, and 1 - 0.1 must not round again.
        smoothing = mpmath.mpf(0.1)
        q = {"scores": np.array([[1.0, 0.0]]), "labels": np.array([0]), "label_smoothing": 0.1}
        expected = mpmath.log(1 + mpmath.e) - (1 - smoothing / 2)
        assert abs(exact_value_and_grad(LOSSES["cross_entropy"], q).value - expected) < mpmath.mpf("1e-40")


def test_more_digits_agree_with_fewer():
    arguments = cases_of("supcon", "in")["temperature-to-zero"].arguments
    long, short = (exact_value_and_grad(LOSSES["supcon"], arguments, digits=digits) for digits in (80, 30))
    assert abs(long.value - short.value) < 1e-25
    assert all(
        abs(x - y) < 1e-20 for x, y in zip(long.gradients["z"].ravel(), short.gradients["z"].ravel(), strict=True)
    )


def test_zero_rows_get_no_gradient_and_stop_gradient_cuts():
    zero = cases_of("infonce", "default")["zero-rows"].arguments
    assert not exact_value_and_grad(LOSSES["infonce"], zero).gradients["a"].any()
    exact = exact_value_and_grad(
        LOSSES["negative_cosine"], cases_of("negative_cosine", "default")["ordinary"].arguments
    )
    assert list(exact.gradients) == ["p1", "p2"]


def test_terms_add_up():
    arguments = cases_of("vicreg", "default")["ordinary"].arguments
    terms = exact_terms(LOSSES["vicreg"], arguments)
    assert list(terms) == ["invariance", "variance", "covariance"]
    with mpmath.workdps(50):
        assert abs(sum(terms.values()) - exact_value_and_grad(LOSSES["vicreg"], arguments).value) < mpmath.mpf("1e-40")
    assert exact_terms(LOSSES["uniformity"], {"z": np.eye(3)}) == {}


@pytest.mark.parametrize(
    "expression, derivative",
    [
        (lambda x: (x * x + 3) / x - 2, lambda x: 1 - 3 / x**2),
        (lambda x: x.exp() - x.log() + x.log1p(), lambda x: mpmath.exp(x) - 1 / x + 1 / (1 + x)),
        (lambda x: x.sin() * x.cos(), lambda x: mpmath.cos(2 * x)),
        (lambda x: x.tanh() + x.arccos(), lambda x: mpmath.sech(x) ** 2 - 1 / mpmath.sqrt(1 - x**2)),
        (lambda x: 2 - x**3 / x.sqrt(), lambda x: -mpmath.mpf(5) / 2 * x ** mpmath.mpf(1.5)),
        (lambda x: abs(-x) + 1 / x, lambda x: 1 - 1 / x**2),
    ],
)
def test_numbers_differentiate(expression, derivative):
    with module.precision(50):
        leaf = module.exact_array(np.array(0.375), active=True)
        module.walk_back(expression(leaf.item()))
        assert abs(module.gradient_of(leaf).item() - derivative(mpmath.mpf(0.375))) < mpmath.mpf("1e-45")


def test_refuses_rows_instead_of_a_number_and_what_the_page_refuses():
    arguments = cases_of("infonce", "default")["ordinary"].arguments
    with pytest.raises(ValueError, match="infonce: reduction: got 'none'"):
        exact_value_and_grad(LOSSES["infonce"], {**arguments, "reduction": "none"})
    with pytest.raises(ValueError, match="infonce: temperature: got 0"):
        exact_value_and_grad(LOSSES["infonce"], {**arguments, "temperature": 0.0})
