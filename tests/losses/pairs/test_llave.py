from math import exp, log, sqrt

import numpy as np
import pytest

from mini_repr.autograd import Tensor, unit_rows
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.losses.pairs.llave import llave


def loops(a, b, temperature, hardness, symmetric, reduction):
    """The equation, one anchor and one negative at a time."""

    def cosine(x, y):
        norms = sqrt(sum(float(p) ** 2 for p in x)) * sqrt(sum(float(p) ** 2 for p in y))
        return sum(float(p) * float(q) for p, q in zip(x, y, strict=True)) / norms

    per_pair = []
    for i in range(len(a)):
        directions = []
        for anchors, partners in ((a, b), (b, a))[: 2 if symmetric else 1]:
            positive = exp(cosine(anchors[i], partners[i]) / temperature)
            total = positive
            for j in range(len(a)):
                if j != i:
                    s = cosine(anchors[i], partners[j])
                    total += exp(hardness * s) * exp(s / temperature)
            directions.append(-log(positive / total))
        per_pair.append(sum(directions) / len(directions))
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](per_pair)


@pytest.mark.parametrize("symmetric", [True, False])
def test_without_hardness_it_is_infonce(symmetric):
    a, b = np.random.default_rng(0).standard_normal((2, 7, 4))
    value, gradients = llave.value_and_grad(a, b, temperature=0.3, hardness=0.0, symmetric=symmetric)
    expected, others = infonce.value_and_grad(a, b, temperature=0.3, symmetric=symmetric)
    assert float(value) == pytest.approx(float(expected), rel=1e-14)
    for name, gradient in others.items():
        np.testing.assert_allclose(gradients[name], gradient, rtol=1e-12, atol=1e-14)


def test_a_negative_is_pushed_with_its_weight():
    """Of anchor 0's push, negative j gets w_0j e^{s_0j/t} in proportion: the harder, the more than InfoNCE gives it."""
    a, b = unit_rows.on_arrays(np.random.default_rng(1).standard_normal((2, 6, 4)))[0]
    s = b @ a[0]
    shares = {}
    for hardness in (0.0, 9.0):
        candidates = Tensor(b, requires_grad=True)
        rows = llave(a, candidates, temperature=0.5, hardness=hardness, symmetric=False, reduction="none")
        rows.backward(np.eye(6)[0])
        # v_j receives P_0j a_0 / t, of which normalisation leaves what is orthogonal to v_j.
        push = (np.linalg.norm(candidates.grad, axis=1) / np.sqrt(1 - s * s))[1:]
        shares[hardness] = push / push.sum()
        weights = np.exp((2 + hardness) * s[1:])
        np.testing.assert_allclose(shares[hardness], weights / weights.sum(), rtol=1e-10)
    hardest = np.argmax(s[1:])
    assert shares[9.0][hardest] > shares[0.0][hardest]


def test_small_temperature_is_finite_in_float32():
    a, b = np.random.default_rng(2).standard_normal((2, 48, 8))
    exact, exact_gradients = llave.value_and_grad(a, b, temperature=0.005)
    value, gradients = llave.value_and_grad(a.astype(np.float32), b.astype(np.float32), temperature=0.005)
    assert float(value) == pytest.approx(float(exact), rel=1e-4)
    np.testing.assert_allclose(gradients["a"], exact_gradients["a"], atol=1e-3 * np.abs(exact_gradients["a"]).max())


def test_zero_row_has_zero_gradient():
    a, b = np.random.default_rng(3).standard_normal((2, 5, 3))
    a[1] = 0
    value, gradients = llave.value_and_grad(a, b)
    assert np.isfinite(value) and not gradients["a"][1].any() and np.isfinite(gradients["b"]).all()


@pytest.mark.crosscheck
@pytest.mark.parametrize("symmetric", [True, False])
def test_against_torch(symmetric):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    a, b = np.random.default_rng(4).standard_normal((2, 6, 5))
    ta, tb, tt = (torch.tensor(x, requires_grad=True) for x in (a, b, np.array(0.1)))
    s = functional.normalize(ta) @ functional.normalize(tb).T
    bonus = (9.0 * s.detach()).masked_fill(torch.eye(6, dtype=torch.bool), 0.0)
    logits, labels = s / tt + bonus, torch.arange(6)
    expected = functional.cross_entropy(logits, labels)
    if symmetric:
        expected = (expected + functional.cross_entropy(logits.T, labels)) / 2
    expected.backward()
    value, gradients = llave.value_and_grad(a, b, temperature=0.1, symmetric=symmetric)
    assert float(value) == pytest.approx(expected.item(), rel=1e-12)
    for name, tensor in (("a", ta), ("b", tb), ("temperature", tt)):
        np.testing.assert_allclose(gradients[name], tensor.grad.numpy(), rtol=1e-10, atol=1e-12)
