"""Uniformity, and alignment with it, over the rows of all ranks, which meet on the ring.

Wang & Isola 2020, arXiv 2005.10242.
"""

from mini_repr.backend import backend_of
from mini_repr.pages.rows import rows_of
from mini_repr.training.distributed.pair_potential import pair_log_mean_exp


def ring_uniformity(z, *, world, t, self_pairs, normalize, tile):
    """``uniformity`` of the rows of all ranks, the same on every rank; gradients for the own rows, whole.

    Args:
        z: (n, D), the own rows. world: ``World`` of the ranks. The rest: as ``uniformity``.
    """
    u, to_z = rows_of(z, normalize)
    value, back = pair_log_mean_exp(world, u, t, self_pairs=self_pairs, tile=tile)
    return value, lambda g: (to_z(back(g)),)


def ring_align_uniform(
    a,
    b,
    *,
    world,
    alpha,
    t,
    alignment_weight,
    uniformity_weight,
    normalize,
    tile,
):
    """``align_uniform`` of the rows of all ranks, as ``ring_uniformity``; partners are on one rank.

    Args:
        a, b: (n, D), the own rows. world: ``World`` of the ranks. The rest: as ``align_uniform``.
    """
    (u, to_a), (v, to_b) = (rows_of(x, normalize) for x in (a, b))
    xp, rows = backend_of(u).xp, len(u) * world.size
    apart = u - v
    squares = (apart * apart).sum(axis=1)
    alignment = world.total(squares ** (alpha / 2)) * (alignment_weight / rows)
    (uniformity_u, back_u), (uniformity_v, back_v) = (pair_log_mean_exp(world, x, t, tile=tile) for x in (u, v))
    uniformity = uniformity_weight / 2 * (uniformity_u + uniformity_v)

    def backward(g):
        power = xp.where(squares > 0, squares, 1) ** (alpha / 2 - 1)
        pull = (g * (alignment_weight * alpha / rows) * power)[:, None] * apart
        du, dv = (back(g * (uniformity_weight / 2)) for back in (back_u, back_v))
        return to_a(du + pull), to_b(dv - pull)

    return alignment + uniformity, backward, {"alignment": alignment, "uniformity": uniformity}
