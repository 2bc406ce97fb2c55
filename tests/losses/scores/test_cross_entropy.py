from math import exp, log

import numpy as np
import pytest

from mini_repr.losses.scores.cross_entropy import cross_entropy


def loops(scores, labels, temperature, label_smoothing, reduction):
    per_row = []
    for row, label in zip(scores, labels, strict=True):
        total = sum(exp(s / temperature) for s in row)
        value = 0.0
        for k, s in enumerate(row):
            q = (1 - label_smoothing) * (k == label) + label_smoothing / len(row)
            value -= q * (s / temperature - log(total))
        per_row.append(value)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](per_row)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_scores_of_any_size_are_finite(smoothing):
    scores = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]], dtype=np.float32)
    value, gradients = cross_entropy.value_and_grad(scores, np.array([1, 2]), label_smoothing=smoothing)
    assert np.isfinite(value) and np.isfinite(gradients["scores"]).all()
    np.testing.assert_allclose(gradients["scores"].sum(axis=1), 0, atol=1e-6)


def test_least_value_under_smoothing_is_the_entropy_of_the_target():
    q = np.array([0.1 / 4 + 0.9, 0.1 / 4, 0.1 / 4, 0.1 / 4])
    value, gradients = cross_entropy.value_and_grad(np.log(q)[None], np.array([0]), label_smoothing=0.1)
    assert float(value) == pytest.approx(-(q * np.log(q)).sum(), rel=1e-14)
    np.testing.assert_allclose(gradients["scores"], 0, atol=1e-15)


def test_smoothing_over_the_wrong_classes_only_is_a_larger_smoothing():
    rng = np.random.default_rng(0)
    scores, labels, e = rng.standard_normal((5, 4)), np.arange(5) % 4, 0.12
    q = np.where(np.arange(4) == labels[:, None], 1 - e, e / 3)
    log_p = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    value = cross_entropy(scores, labels, label_smoothing=e * 4 / 3)
    assert float(value.data) == pytest.approx(-(q * log_p).sum(axis=1).mean(), rel=1e-13)


@pytest.mark.crosscheck
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_equals_torch(smoothing, reduction):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    scores, labels = rng.standard_normal((6, 5)), np.arange(6) % 5
    settings = dict(label_smoothing=smoothing, reduction=reduction)
    ours, gradients = cross_entropy.value_and_grad(scores, labels, temperature=0.5, **settings)
    s = torch.tensor(scores, requires_grad=True)
    t = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    value = torch.nn.functional.cross_entropy(s / t, torch.tensor(labels), **settings)
    value.backward()
    assert float(ours) == pytest.approx(value.item(), rel=1e-13)
    np.testing.assert_allclose(gradients["scores"], s.grad.numpy(), atol=1e-14)
    np.testing.assert_allclose(gradients["temperature"], t.grad.numpy(), rtol=1e-11)
