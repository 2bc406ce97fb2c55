"""The dispersive loss over the rows of all ranks: rows meet on the ring, or their columns' sums are added up.

Wang, He 2025, arXiv 2506.09027.
"""

from mini_repr.backend import backend_of
from mini_repr.pages.rows import rows_of
from mini_repr.training.distributed.columns import standardised
from mini_repr.training.distributed.pair_potential import pair_log_mean_exp


def ring_dispersive(z, *, world, form, temperature, margin, per_dimension, self_pairs, eps, tile):
    """``dispersive`` of the rows of all ranks, the same on every rank; gradients for the own rows, whole.

    Args:
        z: (n, D), the own rows. world: ``World`` of the ranks. The rest: as ``dispersive``; ``form`` not "hinge", so
            that there is no ``margin``.
    """
    if form == "covariance":
        return _covariance(world, z, eps)
    u, to_z = rows_of(z, form == "cosine")
    scale = 1 / (temperature * (z.shape[1] if per_dimension and form == "l2" else 1))
    value, back = pair_log_mean_exp(world, u, scale, form == "l2", self_pairs, tile)
    return value, lambda g: (to_z(back(g)),)


def _covariance(world, z, eps):
    backend, count = backend_of(z), len(z) * world.size
    of_columns = standardised(world, z, eps)
    white = of_columns.rows
    c = world.sum(backend.product(white.T, white)) / count
    places = backend.xp.arange(len(c))
    c[places, places] = 0
    return (c * c).sum(), lambda g: (of_columns.backward(backend.product(white, c) * (4 * g / count)),)
