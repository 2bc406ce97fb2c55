"""Uniformity, and alignment with it, over the rows of all ranks: rows meet those of other ranks on the ring.

The log of the mean over all pairs is a log-sum-exp of those of the rows, each of which the ring gives: as a product,
-t |x_i - x_j|² = p_i·q_j with p = (2t x, -t |x|², -t) and q = (x, 1, |x|²). Wang & Isola 2020, arXiv 2005.10242.
"""

import math

from mini_repr.autograd import record, value_of
from mini_repr.backend import backend_of
from mini_repr.pages.rows import rows_of
from mini_repr.training.distributed.columns import centred
from mini_repr.training.distributed.ring import between, softmax_over_ranks


def ring_uniformity(z, *, world, t, self_pairs, normalize, tile):
    """``uniformity`` of the rows of all ranks as a tensor, the same on every rank; gradients for the own rows, whole.

    Args:
        z: (n, D) tensor or array, the own rows. world: ``World`` of the ranks. The rest: as ``uniformity``.
    """
    u, to_z = rows_of(value_of(z), normalize)
    value, back = _potential(world, u, t, self_pairs, tile)
    total = record(value, lambda g: (to_z(back(g)),), (z,))
    total.terms = {}
    return total


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
        a, b: (n, D) tensors or arrays, the own rows. world: ``World`` of the ranks. The rest: as ``align_uniform``.
    """
    (u, to_a), (v, to_b) = (rows_of(value_of(x), normalize) for x in (a, b))
    xp, rows = backend_of(u).xp, len(u) * world.size
    apart = u - v
    squares = (apart * apart).sum(axis=1)
    alignment = world.sum((squares ** (alpha / 2)).sum()[None])[0] * (alignment_weight / rows)
    (uniformity_u, back_u), (uniformity_v, back_v) = (_potential(world, x, t, False, tile) for x in (u, v))
    uniformity = uniformity_weight / 2 * (uniformity_u + uniformity_v)

    def backward(g):
        power = xp.where(squares > 0, squares, 1) ** (alpha / 2 - 1)
        pull = (g * (alignment_weight * alpha / rows) * power)[:, None] * apart
        du, dv = (back(g * (uniformity_weight / 2)) for back in (back_u, back_v))
        return to_a(du + pull), to_b(dv - pull)

    total = record(backend_of(u).asarray(alignment + uniformity, dtype=u.dtype), backward, (a, b))
    total.terms = {"alignment": alignment, "uniformity": uniformity}
    return total


def _potential(world, x, t, self_pairs, tile):
    """log of the mean over pairs of e^(-t |x_i - x_j|²), 0-d, and its backward, for the own rows x (n, D)."""
    backend = backend_of(x)
    xp, count = backend.xp, len(x) * world.size
    x, _ = centred(world, x)  # no distance changes, and fewer digits cancel
    squares, one = (x * x).sum(axis=1)[:, None], xp.ones((len(x), 1), dtype=x.dtype)
    p = xp.concatenate([2 * t * x, -t * squares, -t * one], axis=1)
    q = xp.concatenate([x, one, squares], axis=1)
    (over, _), back = between(world, p, q, 1.0, columns=False, skip_partner=True, tile=tile)
    if self_pairs:
        over = xp.logaddexp(over, 0)
    shares, total = softmax_over_ranks(world, over)
    pairs = count**2 if self_pairs else count * (count - 1)

    def backward(g):
        g_over = g * shares
        if self_pairs:  # of which the row's own pair has e^-over
            g_over *= -xp.expm1(-over)
        g_p, g_q, _ = back((g_over, None))
        d = x.shape[1]
        g_squares = g_q[:, d + 1] - t * g_p[:, d]
        return 2 * t * g_p[:, :d] + g_q[:, :d] + 2 * g_squares[:, None] * x

    return total - math.log(pairs), backward
