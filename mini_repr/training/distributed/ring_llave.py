"""LLaVE's hardness-weighted contrast over the rows of all ranks, which meet on the ring.

Lan et al. 2025, arXiv 2503.04812.
"""

from mini_repr.autograd import softplus, unit_rows
from mini_repr.training.distributed.ring import between


def ring_llave(a, b, *, world, temperature, hardness, symmetric, reduction, tile):
    """``llave`` of the rows of all ranks, the same on every rank.

    Gradients: of a and b, whole, for the own rows; of the temperature, whole.

    Args:
        a, b: (n, D), the own rows. world: ``World`` of the ranks. The rest: as ``llave``; no reduction "none".
    """
    (u, to_a), (v, to_b) = unit_rows.on_arrays(a), unit_rows.on_arrays(b)
    scale = 1 / float(temperature)
    positive = (u * v).sum(axis=1)
    over, back = between(world, u, v, scale + hardness, columns=symmetric, skip_partner=True, tile=tile)
    directions = [softplus.on_arrays(one - positive * scale) for one in over if one is not None]
    weight = 1 / (len(directions) * (len(u) * world.size if reduction == "mean" else 1))
    cost = sum(one for one, _ in directions)

    def backward(g):
        pushes = [to_excess((cost * 0 + 1) * (g * weight)) for _, to_excess in directions]
        g_u, g_v, g_scale = back((*pushes, None)[:2])
        push = sum(pushes)
        share = scale / (scale + hardness)  # the similarities' gradient through the logits s/t alone
        pull = (push * scale)[:, None]
        g_scale = g_scale - (push * positive).sum()
        return to_a(share * g_u - pull * v), to_b(share * g_v - pull * u), world.total(g_scale) * -(scale**2)

    return world.total(cost) * weight, backward
