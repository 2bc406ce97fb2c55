"""W-MSE over the rows of all ranks: no row travels, only sums over columns and the D x D covariance of each view.

Every rank factors the same covariance and whitens its own rows; back, the products of rows and their gradients are
added up likewise. Ermolov et al. 2020, arXiv 2007.06346.
"""

from mini_repr.backend import backend_of
from mini_repr.kernels.whitening import whitening_of
from mini_repr.pages.rows import rows_of
from mini_repr.training.distributed.columns import centred


def wmse_over_ranks(a, b, order=None, *, world, size, eps, normalize, reduction):
    """``wmse`` of the rows of all ranks, the same on every rank; gradients for the own rows, whole.

    Args:
        a, b: (n, D), the own rows. order: any, of no effect on a whole batch.
        world: ``World`` of the ranks. The rest: as ``wmse``; ``size`` None, and no reduction "none".
    Raises:
        ValueError: as ``wmse``, of the covariance of all rows.
    """
    (z_a, to_a), (z_b, to_b) = _white(world, "a", a, eps), _white(world, "b", b, eps)
    (u, to_white_a), (v, to_white_b) = rows_of(z_a, normalize), rows_of(z_b, normalize)
    apart = u - v
    weight = (1 if normalize else 1 / apart.shape[1]) / (len(u) * world.size if reduction == "mean" else 1)
    value = world.total(apart * apart) * weight

    def backward(g):
        pull = (2 * weight * g) * apart
        return to_a(to_white_a(pull)), to_b(to_white_b(-pull))

    return value, backward


def _white(world, name, x, eps):
    """As the primitive ``whitened`` on the rows of all ranks: the own rows, and their backward."""
    backend = backend_of(x)
    rows = len(x) * world.size
    apart, mean = centred(world, x)
    keep = (1 - eps) / (rows - 1)
    try:
        whitening = whitening_of(keep * world.sum(backend.product(apart.T, apart)), mean, eps, rows)
    except ValueError as problem:
        raise ValueError(f"wmse: {name}: {problem}") from None
    z = backend.product(apart, whitening.T)

    def backward(g):
        products = world.sum(backend.product(g.T, z))
        mirrored = backend.xp.where(backend.xp.tri(len(products), dtype=bool), products, products.T)
        inner = g - keep * backend.product(z, mirrored)
        return centred(world, backend.product(inner, whitening))[0]

    return z, backward
