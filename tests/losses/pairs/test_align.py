from math import exp, log, sqrt

import numpy as np
import pytest

from mini_repr.losses.pairs.align import align
from mini_repr.losses.pairs.infonce import infonce


def loops(a, b, temperature, label_smoothing, reduction):
    """The equation, one anchor and one target at a time."""

    def cosine(x, y):
        norms = sqrt(sum(float(p) ** 2 for p in x)) * sqrt(sum(float(p) ** 2 for p in y))
        return sum(float(p) * float(q) for p, q in zip(x, y, strict=True)) / norms

    per_pair = []
    for i in range(len(a)):
        both = 0
        for anchors, candidates in ((a, b), (b, a)):
            logits = [cosine(anchors[i], c) / temperature for c in candidates]
            total = sum(exp(x) for x in logits)
            for j, x in enumerate(logits):
                both -= ((1 - label_smoothing) * (j == i) + label_smoothing / len(a)) * log(exp(x) / total)
        per_pair.append(both)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](per_pair)


def test_without_smoothing_it_is_twice_infonce():
    a, b = np.random.default_rng(0).standard_normal((2, 7, 4))
    value, gradients = align.value_and_grad(a, b, temperature=0.3, label_smoothing=0.0)
    expected, others = infonce.value_and_grad(a, b, temperature=0.3)
    assert float(value) == pytest.approx(2 * float(expected), rel=1e-14)
    for name, gradient in others.items():
        np.testing.assert_allclose(gradients[name], 2 * gradient, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("smoothing", [0.1, 0.4])
def test_least_where_the_partner_has_its_smoothed_share(smoothing):
    """Orthogonal rows, partners equal: at one temperature P = q, the value is 2 H(q) and nothing moves."""
    rows, other = np.eye(5), smoothing / 5
    own = 1 - smoothing + other
    at_target = 1 / log(own / other)  # e^(1/t) = own / other
    value, gradients = align.value_and_grad(rows, rows, temperature=at_target, label_smoothing=smoothing)
    assert float(value) == pytest.approx(-2 * (own * log(own) + 4 * other * log(other)), rel=1e-12)
    for gradient in gradients.values():
        np.testing.assert_allclose(gradient, 0, atol=1e-12)
    for t in (at_target / 1.5, at_target * 1.5):  # surer of itself, or less sure, than the target
        assert float(align(rows, rows, temperature=t, label_smoothing=smoothing).data) > float(value)


def test_all_smoothing_wants_equal_similarities():
    a, b = np.random.default_rng(1).standard_normal((2, 6, 4))
    assert float(align(a, b, label_smoothing=1.0).data) > 2 * log(6)
    same = np.tile(a[:1], (6, 1))
    assert float(align(a, same, label_smoothing=1.0, temperature=1e3).data) == pytest.approx(2 * log(6), rel=1e-6)


@pytest.mark.parametrize("tile", [1, 3, 100])
def test_tiles_and_small_temperature_in_float32(tile):
    a, b = np.random.default_rng(2).standard_normal((2, 48, 8))
    exact, exact_gradients = align.value_and_grad(a, b, temperature=0.005)
    value, gradients = align.value_and_grad(a.astype(np.float32), b.astype(np.float32), temperature=0.005, tile=tile)
    assert float(value) == pytest.approx(float(exact), rel=1e-4)
    np.testing.assert_allclose(gradients["a"], exact_gradients["a"], atol=1e-3 * np.abs(exact_gradients["a"]).max())


def test_zero_row_has_zero_gradient():
    a, b = np.random.default_rng(3).standard_normal((2, 5, 3))
    a[1] = 0
    value, gradients = align.value_and_grad(a, b)
    assert np.isfinite(value) and not gradients["a"][1].any() and np.isfinite(gradients["b"]).all()


@pytest.mark.crosscheck
def test_against_torch():
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    a, b = np.random.default_rng(4).standard_normal((2, 6, 5))
    ta, tb, tt = (torch.tensor(x, requires_grad=True) for x in (a, b, np.array(0.1)))
    logits, labels = functional.normalize(ta) @ functional.normalize(tb).T / tt, torch.arange(6)
    expected = sum(functional.cross_entropy(x, labels, label_smoothing=0.1) for x in (logits, logits.T))
    expected.backward()
    value, gradients = align.value_and_grad(a, b, temperature=0.1)
    assert float(value) == pytest.approx(expected.item(), rel=1e-12)
    for name, tensor in (("a", ta), ("b", tb), ("temperature", tt)):
        np.testing.assert_allclose(gradients[name], tensor.grad.numpy(), rtol=1e-10, atol=1e-12)
