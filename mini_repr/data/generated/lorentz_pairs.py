"""Four particles and a number that no change of the observer alters."""

from typing import NamedTuple

import numpy as np

METRIC = np.diag([1.0, -1.0, -1.0, -1.0])


class LorentzPairs(NamedTuple):
    """vectors (N, 4, 4): four four-vectors (time first) a row; targets (N,): their matrix element."""

    vectors: np.ndarray
    targets: np.ndarray


def lorentz_pairs(count, rng):
    """Random four-vectors and the matrix element of electrons scattered by muons, a polynomial of Minkowski products.

    Source: Finzi, Welling, Wilson 2021, arXiv 2104.09459 (particle scattering), and their code: coordinates are normal
    with deviation 1/4. For row 011 (orbit distance).
    """
    vectors = rng.normal(size=(count, 4, 4)) / 4
    return LorentzPairs(vectors, matrix_element(vectors))


def matrix_element(vectors):
    """4 sum_mn L_mn M_mn of (N, 4, 4), with L = p1 p3' - (p1 p3 - p1 p1) Q and M = Q p2 p4' Q - (p2 p4 - p2 p2) Q."""
    p1, p2, p3, p4 = vectors.swapaxes(0, 1)

    def tensor(p, q, lowered):
        outer = np.einsum("nm,nk->nmk", *((p @ METRIC, q @ METRIC) if lowered else (p, q)))
        return outer - (minkowski(p, q) - minkowski(p, p))[:, None, None] * METRIC

    return 4 * (tensor(p1, p3, False) * tensor(p2, p4, True)).sum(axis=(1, 2))


def minkowski(p, q):
    """Products p0 q0 - p1 q1 - p2 q2 - p3 q3 of vectors (..., 4)."""
    return ((p @ METRIC) * q).sum(axis=-1)


def random_observer(rng, rapidity=1.0):
    """A Lorentz transformation (4, 4): a random rotation, then a boost of at most ``rapidity`` somewhere."""
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    rotation *= np.sign(np.linalg.det(rotation))
    direction, speed = rotation[0], rng.uniform(-rapidity, rapidity)
    boost, turn = np.eye(4), np.eye(4)
    boost[0, 0], boost[0, 1:], boost[1:, 0] = np.cosh(speed), np.sinh(speed) * direction, np.sinh(speed) * direction
    boost[1:, 1:] += (np.cosh(speed) - 1) * np.outer(direction, direction)
    turn[1:, 1:] = rotation
    return boost @ turn
