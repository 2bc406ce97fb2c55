from math import exp, log1p, sqrt

import numpy as np
import pytest

from mini_repr.losses.scores.z_loss import z_loss


def loops(scores, labels, sharpness, threshold, reduction):
    per_row = []
    for row, label in zip(scores, labels, strict=True):
        o = [float(s) for s in row]
        mean = sum(o) / len(o)
        deviation = sqrt(sum((s - mean) ** 2 for s in o) / len(o))
        short = sharpness * (threshold - (o[label] - mean) / deviation)
        per_row.append(log1p(exp(short)) / sharpness)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](per_row)


def test_gradient_is_orthogonal_to_ones_and_to_the_scores():
    """The two invariances, as they show in the gradient."""
    rng = np.random.default_rng(0)
    scores = 5 * rng.standard_normal((8, 7)) + 3
    _, gradients = z_loss.value_and_grad(scores, np.arange(8) % 7)
    np.testing.assert_allclose(gradients["scores"].sum(axis=1), 0, atol=1e-15)
    np.testing.assert_allclose((gradients["scores"] * scores).sum(axis=1), 0, atol=1e-14)


def test_falls_as_the_right_class_rises_and_ends_at_the_largest_z():
    values = [
        float(z_loss(np.array([[top, 1.0, -1.0, 0.5, -0.5]]), np.array([0])).data) for top in (-9, -1, 0, 1, 9, 1e6)
    ]
    assert values == sorted(values, reverse=True)
    assert values[-1] == pytest.approx(log1p(exp(-2)), rel=1e-9)  # z = sqrt(C - 1)


def test_sharp_corner_is_a_hinge():
    rng = np.random.default_rng(1)
    scores, labels = rng.standard_normal((6, 5)), np.arange(6) % 5
    z = (scores - scores.mean(axis=1, keepdims=True)) / scores.std(axis=1, keepdims=True)
    rows = z_loss(scores, labels, sharpness=1e4, threshold=0.7, reduction="none").data
    np.testing.assert_allclose(rows, np.maximum(0, 0.7 - z[np.arange(6), labels]), atol=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [3, 6, 7, 1000])
def test_equal_scores_have_z_zero_and_no_gradient(dtype, classes):
    """0.1 times any number of classes leaves round-off in the mean: it must not be taken for a deviation."""
    scores = np.full((2, classes), 0.1, dtype)
    value, gradients = z_loss.value_and_grad(scores, np.array([0, 2]), threshold=1.0)
    assert float(value) == pytest.approx(log1p(exp(1)), rel=1e-6)
    assert not gradients["scores"].any()


def test_two_classes_have_no_gradient():
    value, gradients = z_loss.value_and_grad(np.array([[3.0, 1.0], [3.0, 1.0]]), np.array([0, 1]))
    assert float(value) == pytest.approx((log1p(exp(-1)) + log1p(exp(1))) / 2, rel=1e-14)
    np.testing.assert_allclose(gradients["scores"], 0, atol=1e-16)


@pytest.mark.parametrize("sharpness, threshold", [(100.0, 1e3), (100.0, -1e3), (1e-3, 0.0)])
def test_extreme_settings_are_finite(sharpness, threshold):
    scores = np.random.default_rng(2).standard_normal((4, 5)).astype(np.float32)
    value, gradients = z_loss.value_and_grad(scores, np.arange(4), sharpness=sharpness, threshold=threshold)
    assert np.isfinite(value) and np.isfinite(gradients["scores"]).all()


@pytest.mark.crosscheck
def test_equals_torch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    scores, labels = rng.standard_normal((7, 6)), np.arange(7) % 6
    o = torch.tensor(scores, requires_grad=True)
    z = (o - o.mean(1, keepdim=True)) / o.std(1, unbiased=False, keepdim=True)
    rows = torch.nn.functional.softplus(0.7 * (1.3 - z[torch.arange(7), torch.tensor(labels)])) / 0.7
    rows.mean().backward()
    value, gradients = z_loss.value_and_grad(scores, labels, sharpness=0.7, threshold=1.3)
    assert float(value) == pytest.approx(rows.mean().item(), rel=1e-12)
    np.testing.assert_allclose(gradients["scores"], o.grad.numpy(), atol=1e-13)
