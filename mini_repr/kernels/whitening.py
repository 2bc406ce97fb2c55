"""Rows whose covariance is the identity, and rows less their mean."""

from mini_repr.autograd import primitive
from mini_repr.backend import backend_of
from mini_repr.fused import elementwise


def centred(x):
    """(x - mean, mean) of rows x (N, D). A constant column is exactly 0, whatever its mean rounds to."""
    backend = backend_of(x)
    mean, changes = backend.column_means(x), (x != x[0]).astype(x.dtype)
    apart = backend.xp.empty_like(x)
    centre_into(backend, x, mean, backend.column_sums(changes), apart)
    return apart, mean


@elementwise("T x, T mean, T changes", "T apart", "apart = changes > 0 ? x - mean : (T)0;")
def centre_into(backend, x, mean, changes, apart):
    """Fill ``apart`` (N, D) with x - mean, 0 in columns of which no row ``changes`` (D,)."""
    backend.xp.subtract(x, mean, out=apart)
    apart *= changes > 0


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
    whitening = whitening_of(keep * backend.product(apart.T, apart), mean, eps, rows)
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


def whitening_of(covariance, mean, eps, rows):
    """The inverse of the Cholesky factor of a covariance (D, D) of ``rows`` rows, with ``eps`` added to its diagonal.

    Raises:
        ValueError: it is singular, to within the rounding of rows of this ``mean`` (D,).
    """
    backend, width = backend_of(covariance), len(covariance)
    xp = backend.xp
    covariance.reshape(-1)[:: width + 1] += eps  # its diagonal
    try:
        with backend.singular_raises():
            factor = xp.linalg.cholesky(covariance)
    except xp.linalg.LinAlgError:
        factor = xp.zeros_like(covariance)
    excess = xp.empty_like(mean)
    pivot_excess(backend, factor, covariance, mean, float(xp.finfo(mean.dtype).eps), width, excess)
    if not bool((excess > 0).all()):
        raise ValueError(
            f"got {rows} rows with a singular covariance of {width} columns, expected more than {width} rows and "
            "columns that vary each in its own way, or a larger eps"
        )
    return backend.inverse_of_lower(factor)


@elementwise(
    "raw T factor, raw T covariance, T mean, number rounding, int64 width",
    "T excess",
    """
    const T pivot = factor[i * (width + 1)], variance = covariance[i * (width + 1)];
    excess = pivot * fabs(pivot) - width * rounding * (variance + 16 * rounding * (mean * mean));
    """,
)
def pivot_excess(backend, factor, covariance, mean, rounding, width, excess):
    """Fill ``excess`` (D,): a pivot's square is what a column varies beyond those before it; less what rounding leaves.

    A pivot below 0 counts with its sign.
    """
    pivots, variance = factor.diagonal(), covariance.diagonal()
    limit = width * rounding * (variance + 16 * rounding * mean**2)
    backend.xp.subtract(pivots * abs(pivots), limit, out=excess)
