"""Means and variances of columns over the rows of all ranks: no row travels, only sums (D,)."""

from collections.abc import Callable
from typing import NamedTuple

from mini_repr.backend import backend_of


def centred(world, x):
    """(x - mean, mean) of the own rows x (n, D); its backward is ``centred(world, g)[0]``."""
    backend = backend_of(x)
    mean = world.sum(backend.column_sums(x)) / (len(x) * world.size)
    return x - mean, mean


class Standardised(NamedTuple):
    """The own rows (n, D) less the mean of all, times ``rstd`` = 1 / sqrt(variance + eps); mean, variance, rstd (D,).

    ``pull(g, sums)``: the gradient of x over rstd, from that of ``rows`` and its ``sums`` over the own rows: those of g
    and of g times ``rows``, (2, D).
    """

    rows: object
    mean: object
    variance: object
    rstd: object
    pull: Callable

    def backward(self, g):
        """The gradient of x from that of ``rows``."""
        backend = backend_of(g)
        sums = backend.xp.stack([backend.column_sums(g), backend.column_sums(g * self.rows)])
        return self.pull(g, sums) * self.rstd


def standardised(world, x, eps, unbiased=False):
    """``Standardised`` rows. Two sums over ranks, mean then variance (centred first, to lose no digits), one back.

    ``unbiased``: whether the variance is divided by one less than the number of rows.
    """
    backend = backend_of(x)
    count = len(x) * world.size
    rows, mean = centred(world, x)
    variance = world.sum(backend.column_sums(rows * rows)) / (count - unbiased)
    rstd = 1 / backend.xp.sqrt(variance + eps)
    rows *= rstd

    def pull(g, sums):
        of_g, of_products = world.sum(sums)
        return g - of_g / count - rows * (of_products / (count - unbiased))

    return Standardised(rows, mean, variance, rstd, pull)
