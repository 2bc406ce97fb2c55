"""Rows in two parts that are independent given the class, or depend on each other beyond it."""

from typing import NamedTuple

import numpy as np


class TwoParts(NamedTuple):
    """x1 (N, width of the first) and x2 (N, of the second) float64; labels (N,) classes."""

    x1: np.ndarray
    x2: np.ndarray
    labels: np.ndarray


def two_parts(count, dependence, rng, classes=5, widths=(50, 20), shared=10):
    """Gaussians around class means in both parts, with ``shared`` directions of the first also in the second.

    x1 = m1[y] + n1 and x2 = m2[y] + dependence * n1 R + n2, where n1, n2 are standard normal noise and R takes
    ``shared`` orthonormal directions of the first part to as many of the second. With dependence 0 the parts are
    independent given y, and the best linear prediction of x2 from x1 has rank ``classes`` - 1 once centred. Source:
    own, for the theory of Lee et al. 2020, arXiv 2008.01064. For row 105 (pretext theory).

    Args:
        dependence: 0 or more, the length of a shared direction in the second part.
    Raises:
        ValueError: more shared directions than a part has columns, or a negative dependence.
    """
    if shared > min(widths) or dependence < 0:
        raise ValueError(
            f"two_parts: {shared} shared directions of widths {widths}, dependence {dependence}; expected at most "
            f"{min(widths)} and at least 0"
        )
    means = [rng.normal(size=(classes, width)) for width in widths]
    labels = rng.integers(classes, size=count)
    first, second = (rng.normal(size=(count, width)) for width in widths)
    sides = [np.linalg.qr(rng.normal(size=(width, shared)))[0] for width in widths]
    x2 = means[1][labels] + dependence * (first @ sides[0]) @ sides[1].T + second
    return TwoParts(means[0][labels] + first, x2, labels)
