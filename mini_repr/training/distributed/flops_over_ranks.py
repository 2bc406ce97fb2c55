"""FLOPS over the rows of all ranks: a mean over each column is all that it takes.

Paria et al. 2020, arXiv 2004.05665.
"""

from mini_repr.backend import backend_of
from mini_repr.pages.rows import rows_of


def flops_over_ranks(z, *, world, form, normalize):
    """``flops`` of the rows of all ranks, the same on every rank; gradients for the own rows, whole.

    Args:
        z: (n, D), the own rows. world: ``World`` of the ranks. The rest: as ``flops``.
    """
    backend, count = backend_of(z), len(z) * world.size
    xp = backend.xp
    u, to_z = rows_of(z, normalize)
    mean = world.sum(backend.column_sums(abs(u))) / count
    slope = 2 * mean if form == "flops" else xp.ones_like(mean)
    value = (mean * mean).sum() if form == "flops" else mean.sum()
    return value, lambda g: (to_z(xp.sign(u) * (slope * (g / count))),)
