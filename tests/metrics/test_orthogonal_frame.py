from math import sqrt

import numpy as np
import pytest

from mini_repr.metrics import orthogonal_frame


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
        (np.eye(3), np.zeros(3, dtype=int), "labels: got one class only"),
        (
            np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]]),
            np.array([0, 0, 1, 1]),
            "z: got class means that are all zero",
        ),
        (np.zeros((2, 2)), np.array([0, 1]), "z: got a row of zeros"),
        (np.eye(3), np.zeros(3), "labels: got dtype float64, expected integers"),
    ],
)
def test_misuse(z, labels, message):
    with pytest.raises(ValueError, match=f"^orthogonal_frame: {message}"):
        orthogonal_frame(z, labels)
