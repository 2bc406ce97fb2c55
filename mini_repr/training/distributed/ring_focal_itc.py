"""Focal image-text contrast over the rows of all ranks, which meet on the ring.

Park, Han 2023, arXiv 2304.00719.
"""

from mini_repr.autograd import unit_rows
from mini_repr.backend import backend_of
from mini_repr.kernels.focal import focal
from mini_repr.training.distributed.ring import between


def ring_focal_itc(a, b, *, world, temperature, gamma, reduction, tile):
    """``focal_itc`` of the rows of all ranks, the same on every rank.

    Gradients: of a and b, whole, for the own rows; of the temperature, whole.

    Args:
        a, b: (n, D), the own rows. world: ``World`` of the ranks. The rest: as ``focal_itc``; no reduction "none".
    """
    xp = backend_of(a).xp
    (u, to_a), (v, to_b) = unit_rows.on_arrays(a), unit_rows.on_arrays(b)
    scale = 1 / float(temperature)
    weight = 1 / (2 * (len(u) * world.size if reduction == "mean" else 1))
    partner = (u * v).sum(axis=1) * scale
    over, back = between(world, u, v, scale, columns=True, skip_partner=False, tile=tile)
    of_images, of_texts = (focal(xp.maximum(sums - partner, 0), gamma) for sums in over)  # of -log p and -log q

    def backward(g):
        on_images, on_texts = (weight * g * one.slope() for one in (of_images, of_texts))
        du, dv, d_scale = back((on_images, on_texts))
        both = on_images + on_texts
        pull = (both * scale)[:, None]
        d_scale = d_scale - (both * partner).sum() / scale
        return to_a(du - pull * v), to_b(dv - pull * u), world.total(d_scale) * -(scale**2)

    return world.total(of_images.cost + of_texts.cost) * weight, backward
