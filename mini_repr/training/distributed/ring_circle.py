"""Circle over the rows of all ranks: rows and their classes travel round the ring.

A row's two log-sum-exps, over the rows of its class and over those of others, are sums over blocks. Sun et al. 2020,
arXiv 2002.10857.
"""

import math

from mini_repr.autograd import softplus
from mini_repr.backend import backend_of
from mini_repr.kernels.class_log_sum_exp import class_logsumexp_between
from mini_repr.pages.rows import rows_of
from mini_repr.training.distributed.ring import ring_sums, softmax_over_ranks


def ring_circle(z, labels, *, world, margin, scale, over, weighted, normalize, reduction, tile):
    """``circle`` of the rows of all ranks, the same on every rank; gradients for the own rows, whole.

    Args:
        z: (n, D), the own rows. labels: (n,) integers. world: ``World`` of the ranks. The rest: as
            ``circle``; no reduction "none".
    Raises:
        ValueError: of all labels no two are equal, or no two differ.
    """
    backend, label_xp = backend_of(z), backend_of(labels).xp
    xp, count = backend.xp, len(labels) * world.size
    classes, of_class = label_xp.unique(world.gather(labels), return_counts=True)
    largest, anchors = int(of_class.max()), int(of_class[of_class > 1].sum())
    if largest in (1, count):
        came = "no two equal" if largest == 1 else "all equal"
        raise ValueError(f"circle: labels: got {came}, expected two equal and two different ones")
    order = label_xp.argsort(labels)
    kind = labels[order]
    anchor = backend.asarray(of_class[label_xp.searchsorted(classes, kind)] > 1)
    order = backend.asarray(order)
    u, to_z = rows_of(z, normalize)
    x = u[order]

    def meet(hop, block, of_block):
        return class_logsumexp_between(x, block, kind, of_block, margin, scale, weighted, not hop, tile)

    (over_n, over_p), back = ring_sums(world, x, [x, kind], meet)
    if over == "anchor":
        weight = anchor.astype(x.dtype) / (anchors if reduction == "mean" else 1)
        cost, to_sums = softplus.on_arrays(over_n + over_p)
        value = world.total(cost * weight)
    else:
        (shares_n, total_n), (shares_p, total_p) = (softmax_over_ranks(world, one) for one in (over_n, over_p))
        cost, to_sums = softplus.on_arrays(total_n + total_p - 2 * math.log(2))  # a pair stands in two rows
        rows = 1 if reduction == "mean" else count
        value = cost * rows

    def backward(g):
        if over == "anchor":
            slopes = (to_sums(g * weight),) * 2
        else:
            slopes = tuple(to_sums(g * rows) * shares for shares in (shares_n, shares_p))
        g_anchors, g_candidates = back(slopes)
        du = xp.empty_like(u)
        du[order] = g_anchors + g_candidates
        return (to_z(du),)

    return value, backward
