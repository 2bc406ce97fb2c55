from math import exp, log, sqrt

import numpy as np
import pytest

from mini_repr.losses.pairs.infonce import infonce
from mini_repr.losses.pairs.kalm import kalm


def loops(a, b, temperature, gamma, mixed, shares, detach_weight, reduction):
    """The equation, one anchor and one candidate at a time."""

    def unit(x):
        norm = sqrt(sum(float(c) ** 2 for c in x))
        return [float(c) / norm for c in x]

    def dot(x, y):
        return sum(p * q for p, q in zip(x, y, strict=True))

    u, v = [unit(x) for x in a], [unit(x) for x in b]
    mixed = mixed if shares is None else len(shares[0])
    per_pair = []
    for i in range(len(u)):
        ranked = sorted((j for j in range(len(v)) if j != i), key=lambda j: -dot(u[i], v[j]))[:mixed]
        candidates = list(v)
        for m in range(mixed):
            y = 0.5 if shares is None else float(shares[i][m])
            near, next_ = v[ranked[m % len(ranked)]], v[ranked[(m + 1) % len(ranked)]]
            candidates.append(unit([y * p + (1 - y) * q for p, q in zip(near, next_, strict=True)]))
        total = sum(exp(dot(u[i], c) / temperature) for c in candidates)
        p = exp(dot(u[i], v[i]) / temperature) / total
        per_pair.append(-((1 - p) ** gamma) * log(p))
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](per_pair)


def test_without_weight_and_mixtures_it_is_one_direction_of_infonce():
    a, b = np.random.default_rng(0).standard_normal((2, 7, 4))
    value, gradients = kalm.value_and_grad(a, b, temperature=0.3, gamma=0.0, mixed=0)
    expected, others = infonce.value_and_grad(a, b, temperature=0.3, symmetric=False)
    assert float(value) == pytest.approx(float(expected), rel=1e-14)
    for name, gradient in others.items():
        np.testing.assert_allclose(gradients[name], gradient, rtol=1e-12, atol=1e-14)


def test_easy_pairs_lose_weight():
    a = np.random.default_rng(1).standard_normal((8, 4))
    b = a + np.linspace(0, 3, 8)[:, None] * np.random.default_rng(2).standard_normal((8, 4))
    plain = infonce(a, b, temperature=0.2, symmetric=False, reduction="none").data
    focal = kalm(a, b, temperature=0.2, gamma=0.5, mixed=0, reduction="none").data
    np.testing.assert_allclose(focal, np.sqrt(1 - np.exp(-plain)) * plain, rtol=1e-12)
    assert np.all(np.diff((focal / plain)[np.argsort(plain)]) > 0)


@pytest.mark.parametrize("detach_weight", [True, False])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_certain_pairs_cost_nothing(gamma, detach_weight):
    """p = 1 exactly: (1 - p)^(gamma - 1) is infinite for gamma below 1, and meets a cost of 0."""
    a = np.eye(4)
    value, gradients = kalm.value_and_grad(a, a.copy(), temperature=1e-3, gamma=gamma, detach_weight=detach_weight)
    assert float(value) == 0.0
    assert not gradients["a"].any() and not gradients["b"].any() and float(gradients["temperature"]) == 0.0


def test_share_one_takes_the_hardest_negatives_twice():
    a, b = np.random.default_rng(3).standard_normal((2, 5, 3))
    shares = np.ones((5, 4))
    value = kalm(a, b, temperature=0.5, gamma=0.0, shares=shares, reduction="none").data
    u, v = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    powers = np.exp(u @ v.T / 0.5)
    twice = 2 * powers.sum(axis=1) - powers.diagonal()
    np.testing.assert_allclose(value, np.log(twice / powers.diagonal()), rtol=1e-12)


def test_mixtures_of_opposite_rows_have_similarity_zero():
    a, b = np.eye(3), np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 0.0]])
    rows = kalm(a, b, temperature=1.0, gamma=0.0, mixed=2, reduction="none").data
    assert rows[0] == pytest.approx(log(exp(1) + 1 + 1 + 2) - 1, rel=1e-14)
    value, gradients = kalm.value_and_grad(a, b, mixed=2)
    assert np.isfinite(value) and np.isfinite(gradients["b"]).all()


def test_small_batches_repeat_their_negatives():
    a, b = np.random.default_rng(4).standard_normal((2, 2, 3))
    value, gradients = kalm.value_and_grad(a, b, mixed=3)
    assert np.isfinite(value) and np.isfinite(gradients["a"]).all()
    u, v = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    s = u @ v.T / 0.05
    rows = kalm(a, b, gamma=0.0, mixed=3, reduction="none").data
    assert rows[0] == pytest.approx(np.log(1 + 4 * np.exp(s[0, 1] - s[0, 0])), rel=1e-10)


def test_small_temperature_is_finite_in_float32():
    a, b = np.random.default_rng(5).standard_normal((2, 32, 8))
    exact, exact_gradients = kalm.value_and_grad(a, b, temperature=0.005)
    value, gradients = kalm.value_and_grad(a.astype(np.float32), b.astype(np.float32), temperature=0.005)
    assert float(value) == pytest.approx(float(exact), rel=1e-4)
    np.testing.assert_allclose(gradients["a"], exact_gradients["a"], atol=1e-3 * np.abs(exact_gradients["a"]).max())


def test_zero_row_has_zero_gradient():
    a, b = np.random.default_rng(6).standard_normal((2, 5, 3))
    a[1] = 0
    value, gradients = kalm.value_and_grad(a, b)
    assert np.isfinite(value) and not gradients["a"][1].any() and np.isfinite(gradients["b"]).all()


@pytest.mark.crosscheck
@pytest.mark.parametrize("detach_weight", [True, False])
def test_against_torch(detach_weight):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    rng = np.random.default_rng(7)
    a, b, shares = rng.standard_normal((8, 5)), rng.standard_normal((8, 5)), rng.beta(2, 2, (8, 3))
    ta, tb, tt = (torch.tensor(x, requires_grad=True) for x in (a, b, np.array(0.2)))
    u, v = functional.normalize(ta), functional.normalize(tb)
    s = u @ v.T
    ranked = s.detach().masked_fill(torch.eye(8, dtype=torch.bool), -torch.inf).topk(3).indices
    y = torch.tensor(shares)[:, :, None]
    mixture = functional.normalize(y * v[ranked] + (1 - y) * v[ranked.roll(-1, dims=1)], dim=2)
    logits = torch.cat([s, torch.einsum("imd,id->im", mixture, u)], dim=1) / tt
    cost = functional.cross_entropy(logits, torch.arange(8), reduction="none")
    weight = (1 - torch.exp(-cost)) ** 0.5
    expected = ((weight.detach() if detach_weight else weight) * cost).mean()
    expected.backward()
    settings = {"temperature": 0.2, "mixed": 3, "shares": shares, "detach_weight": detach_weight}
    value, gradients = kalm.value_and_grad(a, b, **settings)
    assert float(value) == pytest.approx(expected.item(), rel=1e-12)
    for name, tensor in (("a", ta), ("b", tb), ("temperature", tt)):
        np.testing.assert_allclose(gradients[name], tensor.grad.numpy(), rtol=1e-9, atol=1e-12)
