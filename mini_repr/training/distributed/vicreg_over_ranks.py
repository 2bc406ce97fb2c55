"""VICReg over the rows of all ranks: no row travels, only sums over columns and the D x D covariance of each view.

The invariance term is of the own rows; a view's variances and covariances are added up over ranks, and every rank has
what its own rows need: dx = x̄ (dC + dCᵀ), whose mean row is 0. Bardes et al. 2021, arXiv 2105.04906.
"""

from mini_repr.backend import backend_of
from mini_repr.training.distributed.columns import centred


def vicreg_over_ranks(
    a,
    b,
    *,
    world,
    invariance_weight,
    variance_weight,
    covariance_weight,
    target_std,
    eps,
    invariance,
    variance_views,
    unbiased,
):
    """``vicreg`` of the rows of all ranks, the same on every rank; gradients for the own rows, whole.

    Args:
        a, b: (n, D), the own rows. world: ``World`` of the ranks. The rest: as ``vicreg``.
    """
    backend = backend_of(a)
    xp, width, rows = backend.xp, a.shape[1], len(a) * world.size
    freedom, places = rows - unbiased, xp.arange(width)
    of_invariance = invariance_weight / (rows * (width if invariance == "elements" else 1))
    of_variance = variance_weight / width / (2 if variance_views == "mean" else 1)
    of_covariance = covariance_weight / (width * freedom**2)

    def spread(view):
        """The variance and covariance term of one view, and their gradient."""
        apart, _ = centred(world, view)
        slope = world.sum(backend.product(apart.T, apart))
        deviation = xp.sqrt(slope[places, places] / freedom + eps)
        short = xp.maximum(target_std - deviation, 0)
        slope[places, places] = 0
        others = (slope * slope).sum()
        slope *= 4 * of_covariance
        slope[places, places] = (short > 0) * -of_variance / freedom / deviation
        return of_variance * short.sum(), of_covariance * others, backend.product(apart, slope)

    apart = a - b
    near = of_invariance * world.total(apart * apart)
    (variance_a, covariance_a, g_a), (variance_b, covariance_b, g_b) = spread(a), spread(b)
    variance, covariance = variance_a + variance_b, covariance_a + covariance_b

    def backward(g):
        pull = 2 * of_invariance * apart
        return g * (g_a + pull), g * (g_b - pull)

    return near + variance + covariance, backward, {"invariance": near, "variance": variance, "covariance": covariance}
