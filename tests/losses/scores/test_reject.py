from math import exp, log2

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from mini_repr.losses.scores.reject import calibrated_beta, reject


def loops(scores, predictions, labels, cost, alpha, beta, surrogate, reduction):
    phi = exp if surrogate == "exponential" else lambda u: log2(1 + exp(u))
    if beta is None:
        slope = exp if surrogate == "exponential" else lambda u: 2 / (1 + exp(-u))  # up to a factor
        beta = alpha / 2 * (cost * slope(alpha / 2) + (1 - cost) * slope(-alpha / 2)) / (cost * slope(0))
    per_row = []
    for score, prediction, label in zip(scores, predictions, labels, strict=True):
        right = 1.0 if prediction == label else -1.0
        per_row.append(phi(alpha / 2 * (float(score) - right)) + cost * phi(-beta * float(score)))
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](per_row)


@pytest.mark.parametrize("surrogate", ["exponential", "logistic"])
@pytest.mark.parametrize("alpha", [0.5, 2.0, 4.0])
@pytest.mark.parametrize("cost", [0.02, 0.1, 0.3, 0.6])
def test_consistent_on_a_discrete_problem_solved_exactly(surrogate, alpha, cost):
    """Inputs with a known P(wrong): the best score of each, found by a general solver, accepts just where P < cost."""
    wrong = np.array([0.0, 0.01, 0.05, 0.09, 0.11, 0.29, 0.31, 0.59, 0.61, 0.9, 1.0])
    labels = np.array([1, 0])  # predicted 1: right, then wrong

    def risk(score, p):
        both = reject(np.full(2, score), np.ones(2, int), labels, cost, alpha, surrogate=surrogate, reduction="none")
        return float((1 - p) * both.data[0] + p * both.data[1])

    best = [minimize_scalar(risk, bounds=(-20, 20), args=(p,), method="bounded").x for p in wrong]
    np.testing.assert_array_equal(np.array(best) > 0, wrong < cost)


@pytest.mark.parametrize("surrogate", ["exponential", "logistic"])
def test_another_beta_moves_the_threshold(surrogate):
    beta = calibrated_beta(0.1, 2.0, surrogate)
    score = np.zeros(1)
    slopes = []
    for factor in (0.5, 1.0, 2.0):
        gradients = [
            reject.value_and_grad(
                score, np.array([1]), np.array([label]), 0.1, beta=factor * beta, surrogate=surrogate
            )[1]["scores"][0]
            for label in (1, 0)
        ]
        slopes.append(0.9 * gradients[0] + 0.1 * gradients[1])  # P(wrong) = cost: undecided when calibrated
    assert slopes[0] > 0 and slopes[1] == pytest.approx(0, abs=1e-14) and slopes[2] < 0


@pytest.mark.parametrize("surrogate", ["exponential", "logistic"])
def test_is_never_below_the_rejection_loss(surrogate):
    scores = np.linspace(-5, 5, 201)
    for right in (0, 1):
        rows = reject(scores, np.ones(201, int), np.full(201, right), 0.2, surrogate=surrogate, reduction="none").data
        stands_for = np.where(scores > 0, 1 - right, 0.2)
        assert (rows >= stands_for).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("surrogate", ["exponential", "logistic"])
def test_far_scores_are_finite_and_pull_back(dtype, surrogate):
    scores = np.array([1e4, -1e4], dtype)
    value, gradients = reject.value_and_grad(scores, np.array([1, 1]), np.array([0, 1]), surrogate=surrogate)
    assert np.isfinite(value)
    assert gradients["scores"][0] > 0 > gradients["scores"][1] and np.isfinite(gradients["scores"]).all()


def test_terms_add_up():
    rng = np.random.default_rng(0)
    output = reject(rng.standard_normal(9), rng.integers(0, 2, 9), rng.integers(0, 2, 9))
    assert float(output.terms["accepted"] + output.terms["rejected"]) == pytest.approx(float(output.data), rel=1e-14)


@pytest.mark.parametrize("settings", [{"alpha": 1e4}, {"cost": 5e-324}, {"cost": 5e-324, "surrogate": "logistic"}])
def test_settings_without_a_finite_beta_are_refused(settings):
    with pytest.raises(ValueError, match=r"^reject: alpha: got .* with cost .*, expected a finite beta"):
        reject(np.zeros(2), np.array([1, 1]), np.array([0, 1]), **settings)
    assert calibrated_beta(0.1, 1e4, "logistic") == pytest.approx(1e4)  # Phi' is 1 / log 2 far out and half that at 0


@pytest.mark.crosscheck
def test_equals_torch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    scores, predictions, labels = rng.standard_normal(8), rng.integers(0, 3, 8), rng.integers(0, 3, 8)
    s = torch.tensor(scores, requires_grad=True)
    a = torch.where(torch.tensor(predictions == labels), 1.0, -1.0)
    beta = 3.0 * (0.2 * np.exp(1.5) + 0.8 * np.exp(-1.5)) / 0.4
    rows = torch.exp(1.5 * (s - a)) + 0.2 * torch.exp(-beta * s)
    rows.mean().backward()
    value, gradients = reject.value_and_grad(scores, predictions, labels, cost=0.2, alpha=3.0)
    assert float(value) == pytest.approx(rows.mean().item(), rel=1e-12)
    np.testing.assert_allclose(gradients["scores"], s.grad.numpy(), rtol=1e-11)
