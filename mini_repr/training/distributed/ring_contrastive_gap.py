"""CLIP's contrast with uniformity and alignment over the rows of all ranks, which meet on the ring.

Fahim et al. 2024, arXiv 2405.18570.
"""

import math

from mini_repr.autograd import unit_rows
from mini_repr.backend import backend_of
from mini_repr.training.distributed.pair_potential import pair_log_mean_exp
from mini_repr.training.distributed.ring import between, softmax_over_ranks


def ring_contrastive_gap(
    a,
    b,
    *,
    world,
    temperature,
    sharpness,
    clip_weight,
    uniformity_weight,
    alignment_weight,
    cross_uniformity_weight,
    tile,
):
    """``contrastive_gap`` of the rows of all ranks, the same on every rank.

    Gradients: of a and b, whole, for the own rows; of the temperature, whole.

    Args:
        a, b: (n, D), the own rows. world: ``World`` of the ranks. The rest: as ``contrastive_gap``.
    """
    (u, to_a), (v, to_b) = unit_rows.on_arrays(a), unit_rows.on_arrays(b)
    scale, count = 1 / float(temperature), len(u) * world.size
    apart, partner = u - v, (u * v).sum(axis=1) * scale
    (over_a, over_b), back_clip = between(world, u, v, scale, columns=True, skip_partner=False, tile=tile)
    (spread_u, back_u), (spread_v, back_v) = (pair_log_mean_exp(world, x, sharpness, tile=tile) for x in (u, v))
    crossed, back_cross = _cross_log_mean_exp(world, u, v, sharpness, tile)
    terms = {
        "clip": clip_weight / count * world.total((over_a + over_b) / 2 - partner),
        "uniformity": uniformity_weight / 2 * (spread_u + spread_v),
        "alignment": alignment_weight / count * world.total(apart * apart),
        "cross_uniformity": cross_uniformity_weight * crossed,
    }

    def backward(g):
        r = 0 * partner + g * clip_weight / count
        g_u, g_v, g_scale = back_clip((r / 2, r / 2))
        towards, pull = (r * scale)[:, None], g * (2 * alignment_weight / count) * apart
        crossed_u, crossed_v = back_cross(g * cross_uniformity_weight)
        g_u = g_u - towards * v + pull + back_u(g * uniformity_weight / 2) + crossed_u
        g_v = g_v - towards * u - pull + back_v(g * uniformity_weight / 2) + crossed_v
        g_scale = g_scale - (r * partner).sum() / scale
        return to_a(g_u), to_b(g_v), world.total(g_scale) * -(scale**2)

    return sum(terms.values()), backward, terms


def _cross_log_mean_exp(world, u, v, sharpness, tile):
    """(value, backward) of log mean over i != j of e^{-sharpness |u_i - v_j|²}, as on the page."""
    xp, width, count = backend_of(u).xp, u.shape[1], len(u) * world.size
    half_u, half_v = ((x * x).sum(axis=1, keepdims=True) / -2 for x in (u, v))
    x = xp.concatenate([u, half_u, xp.ones_like(half_u)], axis=1)
    y = xp.concatenate([v, xp.ones_like(half_v), half_v], axis=1)
    (over, _), back = between(world, x, y, 2 * sharpness, columns=False, skip_partner=True, tile=tile)
    shares, total = softmax_over_ranks(world, over)

    def backward(g):
        g_x, g_y, _ = back((g * shares, None))
        return g_x[:, :width] - g_x[:, width : width + 1] * u, g_y[:, :width] - g_y[:, width + 1 :] * v

    return total - math.log(count * (count - 1)), backward
