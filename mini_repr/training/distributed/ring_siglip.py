"""SigLIP over the rows of all ranks: the rows of the second view travel round a ring and collect their gradients.

The loss of a pair needs no other pair, so that one journey gives value and gradients: a visiting block of rows meets
the own anchors and takes along what they add to its gradient. Zhai et al. 2023, arXiv 2303.15343, section 3.3, where
blocks are swapped between devices too.
"""

import math

from mini_repr.backend import backend_of
from mini_repr.losses.pairs.siglip import pair_sums
from mini_repr.pages.rows import rows_of
from mini_repr.training.distributed.ring import ring


def ring_siglip(a, b, *, world, log_scale, bias, per_row, normalize, reduction, tile):
    """``siglip`` of the rows of all ranks, the same on every rank.

    Gradients: of a and b, whole, for the own rows; of scale and bias, whole.

    Args:
        a, b: (n, D), the own rows; the rows of rank r are rows r * n to (r + 1) * n of the batch.
        world: ``World`` of the ranks. The rest: as ``siglip``; no reduction "none".
    """
    (u, to_a), (v, to_b) = (rows_of(x, normalize) for x in (a, b))
    xp, size = backend_of(u).xp, len(u) * world.size
    scale, shift = math.exp(float(log_scale)), float(bias)
    weight = (1 / size if per_row == "mean" else 1) * (1 / size if reduction == "mean" else 1)
    weights = xp.full(len(u), weight, dtype=u.dtype)

    total, g_u, g_bias, visiting = 0, xp.zeros_like(u), 0, [v, xp.zeros_like(v)]
    for hop in ring(world, visiting):
        sums, (own, visitors, of_bias) = pair_sums(u, visiting[0], scale, shift, weights, partners=not hop, tile=tile)
        total, g_bias = total + sums.sum(), g_bias + of_bias
        g_u += own
        visiting[1] += visitors
    g_u *= scale
    g_v = visiting[1] * scale
    of_all = world.sum(xp.stack([total * weight, (u * g_u).sum(), g_bias]))

    def backward(g):
        return to_a(g * g_u), to_b(g * g_v), g * of_all[1], g * of_all[2]

    return of_all[0], backward
