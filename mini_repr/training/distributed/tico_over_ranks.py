"""TiCo over the rows of all ranks: no row travels, only the D x D covariance of the batch.

Zhu et al. 2022, arXiv 2206.10698.
"""

from mini_repr.autograd import unit_rows
from mini_repr.backend import backend_of


def tico_over_ranks(
    a, b, covariance=None, *, world, covariance_weight, decay, through_covariance, centre, offset, reduction
):
    """``tico`` of the rows of all ranks, the same on every rank; gradients for the own rows, whole.

    Args:
        a, b: (n, D), the own rows. world: ``World`` of the ranks. The rest: as ``tico``; ``centre``
            False, and no reduction "none".
    """
    (u, to_a), (v, to_b) = (unit_rows.on_arrays(x) for x in (a, b))
    count = len(u) * world.size
    products = world.sum(u.T @ u)
    moment = (1 - decay) / count * products
    if covariance is not None:
        moment += decay * covariance
    leaning = u @ (moment + moment.T)
    of_rows = backend_of(u).xp.stack([(u * v).sum(), (covariance_weight / 2) * (u * leaning).sum()])
    nearness, overlap = world.sum(of_rows) / count
    weight = 1 if reduction == "mean" else count

    def backward(g):
        r = g * weight / count
        g_u = covariance_weight * leaning - v
        if through_covariance:
            g_u += (covariance_weight * (1 - decay) * 2 / count) * (u @ products)
        return to_a(r * g_u), to_b(-r * u)

    return (overlap - nearness + offset) * weight, backward, {"invariance": -nearness, "covariance": overlap}
