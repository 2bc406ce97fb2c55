"""Alignment, uniformity and tolerance: the three metrics of how rows lie on the sphere."""

import math

import numpy as np
import pytest

from mini_repr.metrics import alignment, rows, tolerance, uniformity

CROSS = np.array([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0], [0.0, -4.0]])


def unit(z):
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def make_rows(n=37, d=5, seed=0, dtype="float64"):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(dtype)


def rotated(z, seed=9):
    generator = np.random.default_rng(seed)
    return z @ np.linalg.qr(generator.normal(size=(z.shape[1],) * 2))[0] * generator.uniform(0.1, 9.0, size=(len(z), 1))


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_alignment_naive(alpha):
    a, b = make_rows(), make_rows(seed=1)
    distances = [math.dist(u, v) ** alpha for u, v in zip(unit(a), unit(b), strict=True)]
    assert alignment(a, b, alpha) == pytest.approx(sum(distances) / len(distances), rel=1e-12)


def test_alignment_exact_values():
    assert alignment(CROSS, 5.0 * CROSS) == 0.0
    assert alignment(CROSS, -CROSS) == 4.0
    assert alignment(CROSS, -CROSS, alpha=1.0) == 2.0
    assert alignment(CROSS, np.roll(CROSS, 1, axis=0)) == pytest.approx(2.0)


def test_alignment_is_symmetric_and_blind_to_scale():
    a, b = make_rows(), make_rows(seed=1)
    assert alignment(b, a) == alignment(a, b)
    assert alignment(rotated(a), rotated(b)) == pytest.approx(alignment(a, b), rel=1e-12)


def test_alignment_of_extreme_rows():
    assert alignment(np.float32([[1e30, 1e30]]), np.float32([[1e-40, 1e-40]])) < 1e-12


@pytest.mark.parametrize("t", [0.5, 2.0, 500.0])
def test_uniformity_naive(t):
    z = make_rows()
    pairs = [(i, j) for i in range(len(z)) for j in range(i)]
    exponents = np.array([-t * math.dist(unit(z)[i], unit(z)[j]) ** 2 for i, j in pairs])
    expected = np.logaddexp.reduce(exponents) - math.log(len(pairs))
    assert uniformity(z, t) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("tile_rows", [1, 2, 5, 35, 36])
def test_uniformity_tiles_change_nothing(tile_rows, monkeypatch):
    z = make_rows()
    expected = uniformity(z)
    monkeypatch.setattr(rows, "TILE_BYTES", tile_rows * 37 * 8)
    assert uniformity(z) == pytest.approx(expected, rel=1e-13)


def test_uniformity_exact_values():
    assert uniformity(np.tile([[0.6, 0.8]], (9, 1))) == pytest.approx(0.0, abs=1e-14)
    assert uniformity(np.array([[1.0, 0.0], [-2.0, 0.0]]), t=3.0) == pytest.approx(-12.0)
    # Of the six pairs of the cross four are at squared distance 2 and two at 4.
    expected = math.log((4 * math.exp(-4) + 2 * math.exp(-8)) / 6)
    assert uniformity(CROSS) == pytest.approx(expected, rel=1e-14)
    assert uniformity(np.float32([[1, 0], [-1, 0]]), t=1000.0) == -4000.0


def test_uniformity_is_blind_to_order_rotation_and_scale():
    z = make_rows()
    order = np.random.default_rng(3).permutation(len(z))
    assert uniformity(rotated(z)[order]) == pytest.approx(uniformity(z), rel=1e-12)


def test_uniformity_float32_stays_close():
    assert uniformity(make_rows(300, dtype="float32")) == pytest.approx(uniformity(make_rows(300)), abs=1e-5)


def test_tolerance_naive():
    z, labels = make_rows(), np.random.default_rng(1).integers(-3, 3, size=37)
    u = unit(z)
    same = [u[i] @ u[j] for i in range(37) for j in range(37) if i != j and labels[i] == labels[j]]
    assert tolerance(z, labels) == pytest.approx(np.mean(same), rel=1e-12)


def test_tolerance_exact_values():
    labels = np.array([0, 0, 1, 1])
    assert tolerance(np.array([[1.0, 1.0], [2.0, 2.0], [-1.0, 0.0], [-3.0, 0.0]]), labels) == pytest.approx(1.0)
    assert tolerance(CROSS, labels) == pytest.approx(0.0, abs=1e-15)
    assert tolerance(CROSS, np.array([0, 1, 0, 1])) == pytest.approx(-1.0)
    assert tolerance(CROSS, np.array([0, 1, 0, 2])) == pytest.approx(-1.0)  # lone rows have no pair


def test_tolerance_is_blind_to_order_rotation_and_names():
    z, labels = make_rows(), np.random.default_rng(1).integers(0, 4, size=37)
    order = np.random.default_rng(3).permutation(37)
    assert tolerance(rotated(z)[order], 100 - labels[order]) == pytest.approx(tolerance(z, labels), rel=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: alignment(CROSS, CROSS[:3]),
            r"alignment: a and b must have the same shape, got \(4, 2\) and \(3, 2\)",
        ),
        (lambda: alignment(CROSS, CROSS, alpha=0.0), "alignment: alpha must be above 0, got 0.0"),
        (lambda: alignment(0.0 * CROSS, CROSS), "alignment: a has a zero row"),
        (lambda: alignment(CROSS, CROSS * np.nan), "alignment: b has values that are not finite"),
        (lambda: uniformity(CROSS[:1]), "uniformity: z must have at least two rows, got 1"),
        (lambda: uniformity(CROSS[:0]), "uniformity: z is empty"),
        (lambda: uniformity(CROSS, t=-1.0), "uniformity: t must be above 0, got -1.0"),
        (lambda: uniformity(CROSS.astype(int)), "uniformity: z must be float32 or float64 rows"),
        (lambda: tolerance(CROSS, np.arange(4)), "tolerance: labels has no two rows of the same class"),
        (lambda: tolerance(CROSS, np.arange(3)), "tolerance: labels must be 4 integer labels"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
