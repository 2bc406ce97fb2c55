"""InfoNCE over the rows of all ranks, round the ring: each pair is visited once for both directions.

The log-sum-exps of the second view's anchors travel with their rows, and so, back, do their gradients. Cheng et al.
2024, arXiv 2410.17243.
"""

from functools import partial

from mini_repr.backend import backend_of
from mini_repr.kernels.log_sum_exp import LogSums, combine, further_sums, sums_backward
from mini_repr.pages.rows import rows_of
from mini_repr.training.distributed.ring import among, between


def ring_infonce(
    a,
    b,
    hard_negatives=None,
    *,
    world,
    temperature,
    negatives,
    symmetric,
    decoupled,
    normalize,
    reduction,
    tile,
):
    """``infonce`` of the rows of all ranks, the same on every rank.

    Gradients: of a, b and the hard negatives, whole, for the own rows; of the temperature, whole.

    Args:
        a, b: (n, D), the own rows; the rows of rank r are rows r * n to (r + 1) * n of the batch.
        hard_negatives: (m, D) likewise, as many on every rank, or None.
        world: ``World`` of the ranks. The rest: as ``infonce``; no queue, and no reduction "none".
    """
    arrays, scale = [x for x in (a, b)], 1 / float(temperature)
    (u, to_a), (v, to_b) = (rows_of(x, normalize) for x in arrays)
    positive = (u * v).sum(axis=1) * scale

    parts = [between(world, u, v, scale, columns=symmetric, skip_partner=decoupled, tile=tile)]
    if negatives == "views":
        parts.append(_within(world, u, v if symmetric else None, scale, tile))
    if hard_negatives is not None:
        hard, to_hard = rows_of(hard_negatives, normalize)
        sums = partial(between, world, columns=False, skip_partner=False, tile=tile)
        parts.append(further_sums(u, hard, scale, symmetric, sums))
    (over_a, over_b), back = combine(parts)
    per_pair = (over_a + over_b) / 2 - positive if symmetric else over_a - positive
    weight = 1 / (len(u) * world.size) if reduction == "mean" else 1
    value = world.total(per_pair) * weight

    def backward(g):
        xp = backend_of(u).xp
        r = xp.full(len(u), weight, dtype=u.dtype) * g
        g_u, g_v, g_scale, *g_hard = back((r / 2, r / 2)) if symmetric else back((r, None))
        pull = (r * scale)[:, None]
        g_u -= pull * v
        g_v -= pull * u
        g_scale -= (r * positive).sum() / scale
        g_temperature = world.sum(g_scale[None])[0] * -(scale**2)
        return to_a(g_u), to_b(g_v), g_temperature, to_hard(*g_hard) if g_hard else None

    return value, backward


def _within(world, u, v, scale, tile):
    """Log-sum-exps of the own rows of u over all ranks' other rows of u; the same for v (or None)."""
    over_u, back_u = among(world, u, scale, tile)
    over_v, back_v = (None, None) if v is None else among(world, v, scale, tile)
    return LogSums(over_u, over_v), sums_backward(back_u, back_v)
