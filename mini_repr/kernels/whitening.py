"""Rows whose covariance is the identity, and rows less their mean."""

from mini_repr.autograd import primitive
from mini_repr.backend import backend_of


def centred(x):
    """(x - mean, mean) of rows x (N, D). A constant column is exactly 0, whatever its mean rounds to."""
    backend = backend_of(x)
    mean, changes = backend.column_means(x), (x != x[0]).astype(x.dtype)
    return (x - mean) * (backend.column_sums(changes) > 0), mean


@primitive
def whitened(x, /, eps=0.0):
    """Rows x (n, D) moved and turned to mean 0 and covariance I (for eps 0), by Cholesky.

    Raises:
        ValueError: the covariance, shrunk by ``eps``, is singular.
    """
    backend = backend_of(x)
    xp = backend.xp
    rows, width = x.shape
    keep = (1 - eps) / (rows - 1)
    apart, mean = centred(x)
    covariance = keep * backend.product(apart.T, apart)
    variance = covariance.reshape(-1)[:: width + 1]  # a view of its diagonal
    variance += eps
    try:
        with backend.singular_raises():
            factor = xp.linalg.cholesky(covariance)
    except xp.linalg.LinAlgError:
        factor = xp.zeros_like(covariance)
    # A squared pivot is what a column varies beyond the columns before it: rounding alone leaves this much of it.
    pivots, rounding = factor.diagonal(), xp.finfo(x.dtype).eps
    limit = width * rounding * (variance + 16 * rounding * mean**2)
    if not bool((pivots * abs(pivots) > limit).all()):
        raise ValueError(
            f"got {rows} rows with a singular covariance of {width} columns, expected more than {width} rows and "
            "columns that vary each in its own way, or a larger eps"
        )
    whitening = backend.inverse_of_lower(factor)
    z = backend.product(apart, whitening.T)

    def backward(g):
        products = backend.product(g.T, z)
        mirrored = xp.where(xp.tri(width, dtype=bool), products, products.T)
        inner = backend.product(z, mirrored)
        inner *= -keep
        inner += g
        g_x = backend.product(inner, whitening)
        g_x -= backend.column_means(g_x)
        return g_x

    return z, backward
