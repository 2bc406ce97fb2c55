"""The representation game: closed forms for pure and mixed play, and the algorithm that needs neither."""

import numpy as np
import pytest

from mini_repr.autograd import gradcheck
from mini_repr.posthoc.representation_game import (
    mixed_representation,
    play,
    pure_representation,
    regret,
    worst_regret,
)


def matrices(seed, width=6):
    """An ill-conditioned covariance and prior."""
    rng = np.random.default_rng(seed)

    def drawn():
        q = np.linalg.qr(rng.normal(size=(width, width)))[0]
        return (q * 10 ** rng.uniform(-1, 1, width)) @ q.T

    return drawn(), drawn()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("r", [1, 3])
def test_the_pure_optimum_is_what_its_regret_says_and_no_rule_is_better(seed, r):
    covariance, prior = matrices(seed)
    found = pure_representation(covariance, prior, r)
    assert worst_regret(found.rule[None], [1.0], covariance, prior) == pytest.approx(found.regret)
    rng = np.random.default_rng(seed)
    for scale in (1e-3, 0.1, 1.0):
        other = found.rule + scale * rng.normal(size=found.rule.shape)
        assert worst_regret(other[None], [1.0], covariance, prior) >= found.regret * (1 - 1e-9)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("r", [1, 3, 5])
def test_the_mixed_law_has_its_regret_with_few_rules(seed, r):
    covariance, prior = matrices(seed)
    found, pure = mixed_representation(covariance, prior, r), pure_representation(covariance, prior, r)
    assert found.weights.sum() == pytest.approx(1) and (found.weights > 0).all()
    assert worst_regret(found.rules, found.weights, covariance, prior) == pytest.approx(found.regret)
    assert found.regret < pure.regret and len(found.rules) <= (found.inclusion > 0).sum() <= 6
    assert found.inclusion.sum() == pytest.approx(r)
    # Against this law of tasks no rule does better: f along V_i with odds 1/λ_i, each of largest size.
    used = found.inclusion > 0
    odds = 1 / pure.eigenvalues[used] / (1 / pure.eigenvalues[used]).sum()
    kept = np.sort(odds * pure.eigenvalues[used])[::-1][:r].sum()
    assert (odds * pure.eigenvalues[used]).sum() - kept == pytest.approx(found.regret)


def test_an_unknown_prior_gives_principal_components():
    covariance, _ = matrices(0)
    found = pure_representation(covariance, np.eye(6), 2)
    values, vectors = np.linalg.eigh(covariance)
    assert found.regret == pytest.approx(values[-3])
    inside = vectors[:, -2:] @ vectors[:, -2:].T @ found.rule
    np.testing.assert_allclose(inside, found.rule, atol=1e-9)


def test_equal_eigenvalues_and_scaled_priors():
    found = mixed_representation(np.eye(5), 3.0 * np.eye(5), 2)
    assert found.regret == pytest.approx(3 * (1 - 2 / 5))
    covariance, prior = matrices(1)
    for one in (pure_representation, mixed_representation):
        assert one(covariance, 7 * prior, 2).regret == pytest.approx(7 * one(covariance, prior, 2).regret)


def test_regret_does_not_depend_on_the_basis_and_has_the_gradients_of_the_text():
    covariance, _ = matrices(2)
    rng = np.random.default_rng(2)
    rule, task = rng.normal(size=(6, 2)), rng.normal(size=6)
    value = regret(rule, task, covariance)
    assert regret(rule @ rng.normal(size=(2, 2)), task, covariance) == pytest.approx(value)
    x = rng.normal(size=(6, 400))
    x = np.linalg.cholesky(covariance) @ np.linalg.inv(np.linalg.cholesky(x @ x.T)) @ x  # x xᵀ is the covariance
    y = task @ x
    rest = y - np.linalg.lstsq((rule.T @ x).T, y)[0] @ rule.T @ x
    assert value == pytest.approx(rest @ rest)
    q = np.linalg.solve(rule.T @ covariance @ rule, rule.T @ covariance @ task)
    gradient = -2 * covariance @ np.outer(task - rule @ q, q)
    gradcheck(lambda r: regret(r, task, covariance), [rule], [gradient], rng, step=1e-6, tolerance=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_play_comes_near_the_mixed_optimum(seed):
    covariance, prior = matrices(seed)
    best = mixed_representation(covariance, prior, 2).regret
    found = play(covariance, prior, 2, seed=seed)
    assert found.rules.shape == (16, 6, 2) and found.regrets.min() > best * (1 - 1e-9)
    assert found.regrets[-1] < 1.05 * best < 0.9 * pure_representation(covariance, prior, 2).regret
    assert worst_regret(found.rules, found.weights, covariance, prior) == pytest.approx(found.regrets[-1])


@pytest.mark.parametrize("one", [pure_representation, mixed_representation, play], ids=lambda one: one.name)
def test_matrices_that_are_no_covariances_are_refused(one):
    good = np.eye(3)
    with pytest.raises(ValueError, match=f"{one.name}: prior: got no symmetric matrix"):
        one(good, np.diag([1.0, 1.0, 0.0]), 1)
    with pytest.raises(ValueError, match=f"{one.name}: covariance: got no symmetric matrix"):
        one(np.triu(np.ones((3, 3))), good, 1)
    with pytest.raises(ValueError, match=f"{one.name}: r: got 3, expected fewer than the 3 columns"):
        one(good, good, 3)
