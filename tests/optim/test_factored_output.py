import numpy as np
import pytest
from device_double import DOUBLE

from mini_repr.losses.scores.z_loss import z_loss
from mini_repr.optim import FactoredOutput


def batches(rng, classes, count, width=8, size=6):
    for _ in range(count):
        labels = rng.integers(0, classes, size)
        labels[1] = labels[0]  # two rows of one class in every batch
        yield rng.standard_normal((size, width)), labels


@pytest.mark.parametrize("sharpness, threshold", [(1.0, 0.0), (2.0, 0.5), (0.1, 10.0)])
def test_equals_the_dense_layer_over_many_steps(sharpness, threshold):
    rng = np.random.default_rng(0)
    weight = 0.5 * rng.standard_normal((50, 8))
    layer, dense = FactoredOutput(weight), weight.copy()
    for number, (hidden, labels) in enumerate(batches(rng, 50, 200)):
        value, g_hidden, coefficients = layer.value_and_grad(hidden, labels, sharpness, threshold)
        expected, gradients = z_loss.value_and_grad(hidden @ dense.T, labels, sharpness=sharpness, threshold=threshold)
        assert float(value) == pytest.approx(float(expected), rel=1e-11)
        np.testing.assert_allclose(g_hidden, gradients["scores"] @ dense, atol=1e-12)
        layer.step(hidden, labels, coefficients, 1.0)
        dense -= 1.0 * gradients["scores"].T @ hidden
        if number == 100:
            layer.refresh()
    np.testing.assert_allclose(layer.weight, dense, atol=1e-11)
    np.testing.assert_allclose(layer.rows(labels), dense[labels], atol=1e-11)
    assert np.abs(dense - weight).max() > 0.1  # the steps were no trifles


def test_only_the_rows_of_the_labels_are_touched():
    """The cost does not depend on the number of classes: V changes in the rows of the labels, and nowhere else."""
    rng = np.random.default_rng(1)
    layer = FactoredOutput(rng.standard_normal((1000, 4)))
    before = layer._v.copy()
    hidden, labels = rng.standard_normal((5, 4)), np.array([3, 8, 3, 999, 0])
    _, _, coefficients = layer.value_and_grad(hidden, labels)
    layer.step(hidden, labels, coefficients, 1.0)
    changed = np.flatnonzero((layer._v != before).any(axis=1))
    np.testing.assert_array_equal(changed, [0, 3, 8, 999])
    assert np.abs(layer.weight - before).max(axis=1).min() > 0  # and yet every row of W has moved


def test_weight_given_is_left_alone():
    rng = np.random.default_rng(2)
    weight = rng.standard_normal((9, 4))
    copy = weight.copy()
    layer = FactoredOutput(weight)
    hidden, labels = rng.standard_normal((3, 4)), np.array([1, 2, 3])
    layer.step(hidden, labels, layer.value_and_grad(hidden, labels)[2], 1.0)
    np.testing.assert_array_equal(weight, copy)


def test_equal_scores_have_no_gradient():
    layer = FactoredOutput(np.tile(np.array([0.1, 0.7, -0.3]), (7, 1)))
    value, g_hidden, coefficients = layer.value_and_grad(np.array([[0.1, 0.3, 0.9]]), np.array([2]), threshold=1.0)
    assert float(value) == pytest.approx(np.log1p(np.e), rel=1e-14)
    assert not g_hidden.any() and not any(c.any() for c in coefficients)


@pytest.mark.parametrize("dtype, digits", [(np.float32, 2e-3), (np.float64, 1e-11)])
def test_dtype_stays_and_round_off_is_bounded(dtype, digits):
    rng = np.random.default_rng(3)
    weight = (0.5 * rng.standard_normal((40, 8))).astype(dtype)
    layer, exact = FactoredOutput(weight), FactoredOutput(weight.astype(np.float64))
    for hidden, labels in batches(rng, 40, 100):
        hidden = hidden.astype(dtype)
        value, g_hidden, coefficients = layer.value_and_grad(hidden, labels)
        layer.step(hidden, labels, coefficients, 0.5)
        wide = hidden.astype(np.float64)
        exact.step(wide, labels, exact.value_and_grad(wide, labels)[2], 0.5)
    assert value.dtype == g_hidden.dtype == layer.weight.dtype == dtype
    np.testing.assert_allclose(layer.weight, exact.weight, atol=digits * np.abs(exact.weight).max())


def test_runs_on_the_device_double():
    rng = np.random.default_rng(4)
    weight = rng.standard_normal((9, 4))
    host, device = FactoredOutput(weight), FactoredOutput(DOUBLE.asarray(weight))
    for hidden, labels in batches(rng, 9, 3, width=4):
        host.step(hidden, labels, host.value_and_grad(hidden, labels)[2], 0.5)
        hidden, labels = DOUBLE.asarray(hidden), DOUBLE.asarray(labels)
        device.step(hidden, labels, device.value_and_grad(hidden, labels)[2], 0.5)
    np.testing.assert_allclose(DOUBLE.to_numpy(device.weight), host.weight, rtol=1e-12)
