"""Barlow Twins over the rows of all ranks: no row travels, only sums over columns and the D x D matrix of products.

With u, v the columns standardised over the rows of all ranks, C = sum over ranks of uᵀ v is added up once, and every
rank has what its own rows need: du = v (dC)ᵀ and dv = u dC. Zbontar et al. 2021, arXiv 2103.03230, whose code adds C up
over processes too, but standardises each process's rows alone.
"""

from mini_repr.backend import backend_of
from mini_repr.training.distributed.columns import standardised


def barlow_twins_over_ranks(a, b, *, world, redundancy_weight, scale_loss, eps, unbiased):
    """``barlow_twins`` of the rows of all ranks, the same on every rank; gradients for the own rows, whole.

    Args:
        a, b: (n, D), the own rows. world: ``World`` of the ranks. The rest: as ``barlow_twins``, with
            eps > 0.
    """
    backend = backend_of(a)
    xp, rows = backend.xp, len(a) * world.size
    of_a, of_b = (standardised(world, x, eps, unbiased) for x in (a, b))
    u, v = of_a.rows, of_b.rows
    c = world.sum(backend.product(u.T, v))
    places = xp.arange(len(c))
    short = 1 - c[places, places] / rows
    c[places, places] = 0
    invariance = scale_loss * (short * short).sum()
    redundancy = scale_loss * redundancy_weight / rows**2 * (c * c).sum()

    def backward(g):
        d_c = (2 * scale_loss * redundancy_weight / rows**2 * g) * c
        d_c[places, places] = (-2 * scale_loss / rows * g) * short
        return of_a.backward(backend.product(v, d_c.T)), of_b.backward(backend.product(u, d_c))

    return invariance + redundancy, backward, {"invariance": invariance, "redundancy": redundancy}
