"""Barlow Twins over the rows of all ranks: no row travels, only sums over columns and the D x D matrix of products.

With u, v the columns standardised over the rows of all ranks, C = sum over ranks of uᵀ v is added up once, and every
rank has what its own rows need: du = v (dC)ᵀ and dv = u dC. Zbontar et al. 2021, arXiv 2103.03230, whose code adds C up
over processes too, but standardises each process's rows alone.
"""

from mini_repr.autograd import record, value_of
from mini_repr.backend import backend_of
from mini_repr.training.distributed.columns import standardised


def barlow_twins_over_ranks(a, b, *, world, redundancy_weight, scale_loss, eps, unbiased):
    """``barlow_twins`` of the rows of all ranks as a tensor, the same on every rank; gradients for the own rows, whole.

    Args:
        a, b: (n, D) tensors or arrays, the own rows. world: ``World`` of the ranks. The rest: as ``barlow_twins``, with
            eps > 0.
    """
    x, y = value_of(a), value_of(b)
    backend = backend_of(x)
    xp, rows = backend.xp, len(x) * world.size
    of_a, of_b = (standardised(world, one, eps, unbiased) for one in (x, y))
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

    total = record(backend.asarray(invariance + redundancy, dtype=x.dtype), backward, (a, b))
    total.terms = {"invariance": invariance, "redundancy": redundancy}
    return total
