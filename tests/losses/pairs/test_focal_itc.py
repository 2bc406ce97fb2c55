from math import exp, log, sqrt

import numpy as np
import pytest

from mini_repr.losses.pairs.focal_itc import focal_itc
from mini_repr.losses.pairs.infonce import infonce


def loops(a, b, temperature, gamma, reduction):
    """The equation, one pair and one candidate at a time."""

    def unit(x):
        norm = sqrt(sum(float(c) ** 2 for c in x))
        return [float(c) / norm for c in x]

    u, v = [unit(x) for x in a], [unit(x) for x in b]

    def logit(i, j):
        return sum(p * q for p, q in zip(u[i], v[j], strict=True)) / temperature

    per_pair = []
    for i in range(len(u)):
        p = exp(logit(i, i)) / sum(exp(logit(i, j)) for j in range(len(v)))
        q = exp(logit(i, i)) / sum(exp(logit(j, i)) for j in range(len(u)))
        per_pair.append((-((1 - p) ** gamma) * log(p) - (1 - q) ** gamma * log(q)) / 2)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](per_pair)


def test_without_the_weight_it_is_clips_loss():
    a, b = np.random.default_rng(0).standard_normal((2, 7, 4))
    value, gradients = focal_itc.value_and_grad(a, b, temperature=0.3, gamma=0.0)
    expected, others = infonce.value_and_grad(a, b, temperature=0.3)
    assert float(value) == pytest.approx(float(expected), rel=1e-14)
    for name, gradient in others.items():
        np.testing.assert_allclose(gradients[name], gradient, rtol=1e-12, atol=1e-14)


def test_it_is_pytorchs_cross_entropy_with_the_focal_weight():
    """Lin et al.'s (1 - p)^2 -log p, differentiated by PyTorch with its weight."""
    torch = pytest.importorskip("torch")
    a, b = np.random.default_rng(1).standard_normal((2, 6, 5))
    value, gradients = focal_itc.value_and_grad(a, b, temperature=0.2)
    ta, tb = (torch.tensor(x, requires_grad=True) for x in (a, b))
    logits = torch.nn.functional.normalize(ta) @ torch.nn.functional.normalize(tb).T / 0.2
    costs = [torch.nn.functional.cross_entropy(x, torch.arange(6), reduction="none") for x in (logits, logits.T)]
    total = sum(((1 - torch.exp(-cost)) ** 2 * cost).mean() for cost in costs) / 2
    total.backward()
    assert float(value) == pytest.approx(float(total.detach()), rel=1e-12)
    np.testing.assert_allclose(gradients["a"], ta.grad, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(gradients["b"], tb.grad, rtol=1e-9, atol=1e-12)


def test_pairs_that_are_found_count_less():
    a = np.random.default_rng(1).standard_normal((8, 4))
    b = a + np.linspace(0, 2, 8)[:, None] * np.random.default_rng(2).standard_normal((8, 4))
    plain = infonce(a, b, temperature=0.2, reduction="none").data
    focal = focal_itc(a, b, temperature=0.2, reduction="none").data
    order = np.argsort(plain)
    assert (focal < plain).all() and (focal / plain)[order[0]] < 0.3 * (focal / plain)[order[-1]]


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_certain_pairs_cost_nothing(gamma):
    """p = 1 exactly: (1 - p)^(gamma - 1) is infinite for gamma below 1, and meets a cost of 0."""
    a = np.eye(4)
    value, gradients = focal_itc.value_and_grad(a, a.copy(), temperature=1e-3, gamma=gamma)
    assert float(value) == 0.0 and all(np.isfinite(g).all() and not np.any(g) for g in gradients.values())
