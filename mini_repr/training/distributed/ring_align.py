"""ALIGN's contrast with smoothed labels over the rows of all ranks, which meet on the ring.

The smoothed part of the target asks only for the sum of all rows. Jia et al. 2021, arXiv 2102.05918.
"""

from mini_repr.autograd import unit_rows
from mini_repr.backend import backend_of
from mini_repr.training.distributed.ring import between


def ring_align(a, b, *, world, temperature, label_smoothing, reduction, tile):
    """``align`` of the rows of all ranks, the same on every rank.

    Gradients: of a and b, whole, for the own rows; of the temperature, whole.

    Args:
        a, b: (n, D), the own rows. world: ``World`` of the ranks. The rest: as ``align``; no reduction "none".
    """
    column_sums, count = backend_of(a).column_sums, len(a) * world.size
    (u, to_a), (v, to_b) = unit_rows.on_arrays(a), unit_rows.on_arrays(b)
    scale = 1 / float(temperature)
    on_partner, on_each = 2 * (1 - label_smoothing), label_smoothing / count
    u_sum, v_sum = world.sum(backend_of(a).xp.stack([column_sums(u), column_sums(v)]))
    expected = on_partner * (u * v).sum(axis=1) + on_each * (u @ v_sum + v @ u_sum)  # q·s, of both directions
    over, back = between(world, u, v, scale, columns=True, skip_partner=False, tile=tile)
    weight = 1 / count if reduction == "mean" else 1

    def backward(g):
        r = g * weight
        du, dv, d_scale = back((0 * expected + r, 0 * expected + r))
        pull = r * scale  # alike for all rows: what they share of each other's sums is twice the sum
        du = du - pull * (on_partner * v + 2 * on_each * v_sum)
        dv = dv - pull * (on_partner * u + 2 * on_each * u_sum)
        d_scale = d_scale - r * expected.sum()
        return to_a(du), to_b(dv), world.total(d_scale) * -(scale**2)

    return world.total(over.rows + over.columns - expected * scale) * weight, backward
