from math import sqrt

import numpy as np
import pytest
from device_double import DOUBLE

from mini_repr.metrics import orthogonal_frame


def loops(z, labels):
    """The Gram matrix of the class means, entry by entry."""
    classes = sorted(set(labels.tolist()))
    means = [
        np.mean([x / np.linalg.norm(x) for x, y in zip(z, labels, strict=True) if y == k], axis=0) for k in classes
    ]
    gram = [[float(p @ q) for q in means] for p in means]
    size = sqrt(sum(x * x for row in gram for x in row))
    k = len(classes)
    return sqrt(sum((gram[i][j] / size - (i == j) / sqrt(k)) ** 2 for i in range(k) for j in range(k)))


@pytest.mark.parametrize("seed", range(3))
def test_equals_loops(seed):
    rng = np.random.default_rng(seed)
    z, labels = rng.standard_normal((20, 5)), rng.integers(0, 4, 20)
    assert orthogonal_frame(z, labels) == pytest.approx(loops(z, labels), rel=1e-12)
    on_device = orthogonal_frame(DOUBLE.asarray(z), DOUBLE.asarray(labels))
    assert on_device == pytest.approx(loops(z, labels), rel=1e-12)


def test_orthogonal_frame_is_zero_however_many_rows_a_class_has():
    labels = np.repeat([4, 9, 1], [50, 3, 1])
    z = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0][np.unique(labels, return_inverse=True)[1]]
    assert orthogonal_frame(z, labels) == pytest.approx(0, abs=1e-12)


def test_collapse_and_simplex():
    labels = np.array([0, 1, 2, 3])
    assert orthogonal_frame(np.ones((4, 3)), labels) == pytest.approx(sqrt(2 - 2 / sqrt(4)), rel=1e-12)
    simplex = np.eye(4) - 0.25
    off = orthogonal_frame(simplex, labels)
    assert 0.2 < off < sqrt(2 - 2 / sqrt(4))


@pytest.mark.parametrize(
    "z, labels, message",
    [
        (np.eye(3), np.zeros(3, dtype=int), "labels has one class only"),
        (np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]]), np.array([0, 0, 1, 1]), "z has class means that are all zero"),
        (np.zeros((2, 2)), np.array([0, 1]), "z has a zero row"),
        (np.eye(3), np.zeros(3), "labels must be 3 integer labels"),
    ],
)
def test_misuse(z, labels, message):
    with pytest.raises(ValueError, match=f"^orthogonal_frame: {message}"):
        orthogonal_frame(z, labels)
