"""CorInfoMax over the rows of all ranks: no row travels, only sums over columns and the D x D covariance of each view.

Every rank inverts the same moving covariance. Ozsoy et al. 2022, arXiv 2209.07999.
"""

from mini_repr.losses.pairs.corinfomax import spread
from mini_repr.pages.rows import rows_of


def corinfomax_over_ranks(
    a,
    b,
    covariance_a=None,
    covariance_b=None,
    mean_a=None,
    mean_b=None,
    *,
    world,
    covariance_weight,
    invariance_weight,
    decay,
    mean_decay,
    eps,
    normalize,
):
    """``corinfomax`` of the rows of all ranks, the same on every rank; gradients for the own rows, whole.

    Args:
        a, b: (n, D), the own rows. world: ``World`` of the ranks. The rest: as ``corinfomax``.
    """
    (u, to_a), (v, to_b) = (rows_of(x, normalize) for x in (a, b))
    settings = covariance_weight, decay, mean_decay, eps, world.size, world.sum
    (of_a, slope_a), (of_b, slope_b) = (
        spread(u, covariance_a, mean_a, *settings),
        spread(v, covariance_b, mean_b, *settings),
    )
    apart, elements = u - v, u.size * world.size
    invariance = invariance_weight * world.total(apart * apart) / elements
    covariance = of_a + of_b

    def backward(g):
        pull = (2 * invariance_weight / elements) * apart
        return to_a(g * (slope_a + pull)), to_b(g * (slope_b - pull))

    return invariance + covariance, backward, {"invariance": invariance, "covariance": covariance}
