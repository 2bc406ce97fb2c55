"""Alignment, uniformity and tolerance: the three metrics of how rows lie on the sphere."""

import math

import numpy as np
import pytest

from mini_repr.backend import NumpyBackend
from mini_repr.metrics import alignment, tolerance, uniformity

CROSS = np.array([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0], [0.0, -4.0]])


def make_rows(n=37, d=5, seed=0, dtype="float64"):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(dtype)


def rotated(z, seed=9):
    generator = np.random.default_rng(seed)
    return z @ np.linalg.qr(generator.normal(size=(z.shape[1],) * 2))[0] * generator.uniform(0.1, 9.0, size=(len(z), 1))


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
    assert alignment(np.float32([[1e30, 1e30]]), np.float32([[1e-37, 1e-37]])) < 1e-12


def test_uniformity_in_tiles(monkeypatch):
    z = make_rows()
    monkeypatch.setattr(NumpyBackend, "tile_bytes", 1)
    assert uniformity(z) == pytest.approx(uniformity.definition(z), rel=1e-11)


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
            r"alignment: b: got shape \(3, 2\), expected shape \(N=4 as in a, D=2 as in a\)",
        ),
        (lambda: alignment(CROSS, CROSS, alpha=0.0), r"alignment: alpha: got 0, expected a number \(> 0\)"),
        (lambda: alignment(0.0 * CROSS, CROSS), "alignment: a: got a row of zeros"),
        (lambda: alignment(np.float32([[1e-40]]), np.float32([[1]])), "alignment: a: got a row of zeros"),
        (lambda: alignment(CROSS, CROSS * np.nan), "alignment: b: got a NaN"),
        (lambda: uniformity(CROSS[:1]), r"uniformity: z: got shape \(1, 2\), expected shape \(N>=2, D\)"),
        (lambda: uniformity(CROSS[:0]), r"uniformity: z: got shape \(0, 2\), which is empty"),
        (lambda: uniformity(CROSS, t=-1.0), "uniformity: t: got -1, expected"),
        (lambda: uniformity(CROSS.astype(int)), "uniformity: z: got dtype int64, expected float32 or float64"),
        (lambda: tolerance(CROSS, np.arange(4)), "tolerance: labels: got no two rows of the same class"),
        (
            lambda: tolerance(CROSS, np.arange(3)),
            r"tolerance: labels: got shape \(3,\), expected shape \(N=4 as in z\)",
        ),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
