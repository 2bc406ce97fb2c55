"""What opinion_emd alone promises: naive loops, and that farther is worse where cross-entropy sees no difference."""

import math

import numpy as np
import pytest

from mini_repr.losses.scores.opinion_emd import opinion_emd


def loops(scores, targets, root):
    total = 0.0
    for row, given in zip(scores, targets, strict=True):
        top = max(row)
        p = [math.exp(v - top) for v in row]
        squares = 0.0
        for c in range(len(p)):
            squares += (sum(p[: c + 1]) / sum(p) - sum(given[: c + 1]) / sum(given)) ** 2
        total += math.sqrt(squares / len(p)) if root else squares / len(p)
    return float(total / len(scores))


def test_mass_farther_off_costs_more():
    scores, at = np.zeros((1, 5)), np.eye(5)
    scores[0, 0] = 3.0
    values = [float(opinion_emd(scores, at[None, k]).data) for k in range(5)]
    assert values == sorted(values) and values[4] > 3 * values[1]


@pytest.mark.parametrize("root", [False, True])
def test_equal_distributions_have_no_gradient(root):
    gradient = opinion_emd.value_and_grad(np.zeros((2, 4)), np.ones((2, 4)), root=root)[1]["scores"]
    np.testing.assert_allclose(gradient, 0, atol=1e-12)


def test_the_gradient_moves_no_scores_together():
    scores, targets = np.random.default_rng(0).standard_normal((3, 10)), np.random.default_rng(1).random((3, 10))
    np.testing.assert_allclose(opinion_emd.value_and_grad(scores, targets)[1]["scores"].sum(axis=1), 0, atol=1e-15)
