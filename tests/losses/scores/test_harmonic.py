from math import log, sqrt

import numpy as np
import pytest

from mini_repr.losses.scores.harmonic import harmonic


def loops(x, w, labels, exponent, squared, epsilon, reduction):
    """The harmonic mean of powers, one class at a time."""
    n = sqrt(x.shape[1]) if exponent is None else exponent
    per_row = []
    for row, label in zip(x, labels, strict=True):
        weights = []
        for centre in w:
            square = sum((float(a) - float(b)) ** 2 for a, b in zip(row, centre, strict=True)) + epsilon
            weights.append(square**-n if squared else sqrt(square) ** -n)
        per_row.append(-log(weights[label] / sum(weights)))
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](per_row)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("exponent", [1.0, 2.0, None, 64.0])
def test_row_on_its_centre_costs_nothing_and_has_no_gradient(dtype, exponent):
    w = np.random.default_rng(0).standard_normal((5, 8)).astype(dtype)
    value, gradients = harmonic.value_and_grad(w[[1, 3]], w, np.array([1, 3]), exponent=exponent)
    assert float(value) == pytest.approx(0, abs=1e-6)
    assert all(np.isfinite(g).all() for g in gradients.values())
    np.testing.assert_allclose(gradients["x"], 0, atol=1e-6)


def test_row_on_a_wrong_centre_is_finite_and_pulled_to_its_own():
    w = np.array([[0.0, 0.0], [3.0, 4.0]])
    value, gradients = harmonic.value_and_grad(w[:1], w, np.array([1]), exponent=2.0)
    smallest = np.finfo(np.float64).tiny
    assert float(value) == pytest.approx(log(25) - log(smallest), rel=1e-12)
    np.testing.assert_allclose(gradients["x"], [[-6 / 25, -8 / 25]], rtol=1e-12)  # n (x - w_y) / d²


def test_two_centres_on_the_row_share_it():
    w = np.array([[1.0, 1.0], [1.0, 1.0], [5.0, 1.0]])
    value, gradients = harmonic.value_and_grad(w[:1], w, np.array([0]))
    assert float(value) == pytest.approx(log(2), rel=1e-12)
    assert all(np.isfinite(g).all() for g in gradients.values())


@pytest.mark.parametrize("dtype, digits", [(np.float32, 1e-4), (np.float64, 1e-12)])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_small_distances_keep_their_digits(dtype, digits, offset):
    """Rows a ten-thousandth from their centres, all far from the origin: products alone would lose every digit."""
    rng = np.random.default_rng(1)
    w = rng.integers(-4, 5, (6, 4)).astype(dtype)
    x = (w[[0, 2, 5]] + 2.0 ** rng.integers(-12, -9, (3, 4))).astype(dtype)
    labels = np.array([0, 2, 4])  # the last row lies near a wrong centre
    expected, expected_gradients = harmonic.definition_and_grad(x.astype(float), w.astype(float), labels)
    w, x = w + dtype(offset), x + dtype(offset)
    if offset and dtype == np.float32:
        expected, expected_gradients = harmonic.definition_and_grad(x.astype(float), w.astype(float), labels)
    value, gradients = harmonic.value_and_grad(x, w, labels)
    assert float(value) == pytest.approx(float(expected), rel=digits)
    for name, gradient in gradients.items():
        largest = np.abs(expected_gradients[name]).max()
        np.testing.assert_allclose(gradient, expected_gradients[name], atol=10 * digits * largest)


def test_centres_converge_to_the_class_means():
    """Fixed rows, trained centres: a minimum at finite weights, near the means of well separated classes."""
    rng = np.random.default_rng(2)
    means = 4 * np.eye(3)
    labels = np.arange(60) % 3
    x = means[labels] + 0.3 * rng.standard_normal((60, 3))
    w = rng.standard_normal((3, 3))
    for _ in range(3000):
        _, gradients = harmonic.value_and_grad(x, w, labels, exponent=4.0)
        w -= 0.5 * gradients["w"]
    assert np.linalg.norm(w, axis=1).max() < 8
    np.testing.assert_allclose(w, means, atol=0.6)


def test_larger_exponents_sharpen():
    rng = np.random.default_rng(3)
    w = rng.standard_normal((4, 5))
    x, labels = w + 0.1 * rng.standard_normal((4, 5)), np.arange(4)
    values = [float(harmonic(x, w, labels, exponent=n).data) for n in (0.5, 1.0, 2.0, 8.0)]
    assert values == sorted(values, reverse=True)
    double = float(harmonic(x, w, labels, exponent=2.0).data)
    assert double == pytest.approx(float(harmonic(x, w, labels, exponent=1.0, squared=True).data), rel=1e-14)


@pytest.mark.crosscheck
@pytest.mark.parametrize("official", [False, True])
def test_equals_torch(official):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(4)
    x, w, labels = rng.standard_normal((7, 5)), rng.standard_normal((4, 5)), np.arange(7) % 4
    tx, tw = (torch.tensor(a, requires_grad=True) for a in (x, w))
    if official:
        relative = torch.cdist(tx, tw) ** 2 + 1e-4
        relative = relative / relative.min(1, keepdim=True)[0]
        powers = relative**-3.0
        rows = -torch.log(powers / powers.sum(1, keepdim=True))[range(7), labels]
    else:
        rows = torch.nn.functional.cross_entropy(
            -(5**0.5) * torch.log(torch.cdist(tx, tw)), torch.tensor(labels), reduction="none"
        )
    rows.mean().backward()
    settings = {"exponent": 3.0, **harmonic.variants["official"].settings} if official else {}
    value, gradients = harmonic.value_and_grad(x, w, labels, **settings)
    assert float(value) == pytest.approx(rows.mean().item(), rel=1e-12)
    np.testing.assert_allclose(gradients["x"], tx.grad.numpy(), atol=1e-12)
    np.testing.assert_allclose(gradients["w"], tw.grad.numpy(), atol=1e-12)
