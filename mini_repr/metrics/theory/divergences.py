"""f-divergences: their generators f with derivative and conjugate, and the information in a table of probabilities."""

from typing import NamedTuple

import numpy as np


class Generator(NamedTuple):
    """A convex f with f(1) = 0, on r > 0; its derivative; its conjugate f*(s) = max_r (r s - f(r)) and its derivative.

    The derivative of f* is the inverse of that of f.
    """

    value: object
    derivative: object
    conjugate: object
    conjugate_derivative: object


GENERATORS = {
    "kl": Generator(
        lambda r: r * np.log(r),
        lambda r: np.log(r) + 1,
        lambda s: np.exp(s - 1),
        lambda s: np.exp(s - 1),
    ),
    "chi2": Generator(
        lambda r: (r - 1) ** 2 / 2,
        lambda r: r - 1,
        lambda s: s + s**2 / 2,
        lambda s: 1 + s,
    ),
    "hellinger": Generator(
        lambda r: (np.sqrt(r) - 1) ** 2,
        lambda r: 1 - 1 / np.sqrt(r),
        lambda s: s / (1 - s),
        lambda s: 1 / (1 - s) ** 2,
    ),
}


def ratios(joint):
    """(r, p, q) of probabilities P (X, Y) > 0: r = P / (p qᵀ) with its marginals p (X,) and q (Y,)."""
    p, q = joint.sum(axis=1), joint.sum(axis=0)
    return joint / np.outer(p, q), p, q


def information(joint, kind):
    """I_f = sum_xy p q f(P / (p q)), for "kl" the mutual information in nats."""
    r, p, q = ratios(joint)
    return float(p @ GENERATORS[kind].value(r) @ q)
