"""Fused normalisations: one pass forward, one pass back."""

from mini_repr.autograd.primitive import primitive
from mini_repr.backend import backend_of


@primitive
def unit_rows(x, /, eps=0.0):
    """x / max(|x|, eps) along the last axis. A zero row stays zero and, the subgradient chosen here, gets no gradient.

    Gradient: (g - u (u·g)) / |x|, so that x·gradient = 0. A row below the smallest normal number counts as zero.
    """
    backend = backend_of(x)
    xp = backend.xp
    x, squares, size = _squared(x, backend)
    norm = xp.sqrt(squares)
    with backend.overflow_to_infinity():
        small = (norm * size).real <= eps
    shrink = xp.where(small, eps / size, norm)
    shrink = 1 / xp.where(shrink == 0, xp.inf, shrink)
    unit = x * shrink

    def backward(g):
        along = xp.where(small, 0, (g * unit).sum(axis=-1, keepdims=True))
        return (g - unit * along) * (shrink / size)

    return unit, backward


def _squared(x, backend):
    """(x / size, its rows' sums of squares (..., 1), size): size is 1 but where squares overflow, or lose digits."""
    xp = backend.xp
    with backend.overflow_to_infinity():
        squares = (x * x).sum(axis=-1, keepdims=True)
    if x.dtype == object:  # numbers of unbounded range
        return x, squares, 1
    limits = xp.finfo(x.dtype)
    extreme = ~((squares.real > limits.tiny / limits.eps) & (squares.real < xp.inf))
    if not bool(extreme.any()):
        return x, squares, 1
    size = xp.abs(x).max(axis=-1, keepdims=True)
    size = xp.where(extreme & (size >= limits.tiny), size, 1).astype(limits.dtype)
    x = x / size
    return x, (x * x).sum(axis=-1, keepdims=True), size


@primitive
def layer_norm(x, gain, bias, /, eps=1e-5):
    """(x - mean) / sqrt(var + eps) * gain + bias over the last axis, population variance.

    Ba, Kiros, Hinton 2016, arXiv 1607.06450. With n the normalised rows and h = g * gain:
    gradient = (h - mean(h) - n mean(h n)) / sqrt(var + eps).
    """
    backend = backend_of(x)
    xp = backend.xp
    width = x.shape[-1]
    rows = x.reshape(-1, width)
    normal, output = xp.empty_like(rows), xp.empty_like(rows)
    rstd = xp.empty((len(rows), 1), dtype=x.dtype)

    def forward(rows, normal, rstd, output):
        normalise_into(xp, rows, normal, rstd, eps)
        xp.multiply(normal, gain, out=output)
        output += bias

    backend.row_blocks(forward, rows, normal, rstd, output)

    def backward(g):
        g_rows = g.reshape(-1, width)
        g_x, product = xp.empty_like(normal), xp.empty_like(normal)

        def kernel(g_rows, normal, rstd, g_x, product):
            xp.multiply(g_rows, normal, out=product)
            normalise_back_into(xp, g_rows * gain, normal, rstd, g_x)

        backend.row_blocks(kernel, g_rows, normal, rstd, g_x, product)
        return g_x.reshape(x.shape), product.sum(axis=0), g_rows.sum(axis=0)

    return output.reshape(x.shape), backward


def normalise_into(xp, rows, normal, rstd, eps):
    """Fill ``normal`` (N, D) and ``rstd`` (N, 1) with (rows - mean) * rstd and 1 / sqrt(var + eps)."""
    average = _averaging(xp, rows)
    xp.subtract(rows, rows @ average, out=normal)
    variance = (normal * normal) @ average
    variance += eps
    xp.sqrt(variance, out=variance)
    xp.divide(1, variance, out=rstd)
    normal *= rstd


def normalise_back_into(xp, g, normal, rstd, g_x):
    """Fill ``g_x`` (N, D) with (g - mean(g) - n mean(g n)) rstd, ``g`` the gradient of ``normal``; ``g`` is used up."""
    average = _averaging(xp, g)
    xp.multiply(g, normal, out=g_x)
    along = g_x @ average
    g -= g @ average
    xp.multiply(normal, along, out=g_x)
    xp.subtract(g, g_x, out=g_x)
    g_x *= rstd


def _averaging(xp, rows):
    """(D, 1) of 1/D: the mean of short rows is cheaper as a product than as a reduction."""
    return xp.full((rows.shape[1], 1), 1 / rows.shape[1], dtype=rows.dtype)


@primitive
def batch_norm(x, gain, bias, /, eps=1e-5):
    """Rows (N, D) normalised by each column's batch mean and population variance, then * gain + bias.

    Ioffe, Szegedy 2015, arXiv 1502.03167. Returns (output, mean (D,), variance (D,)); the statistics are for running
    averages and carry no gradient.
    """
    xp = backend_of(x).xp
    mean = x.mean(axis=0)
    normal = x - mean
    variance = (normal * normal).mean(axis=0)
    rstd = 1 / xp.sqrt(variance + eps)
    normal *= rstd

    def backward(gradients):
        g = gradients[0]
        g_gain, g_bias = (g * normal).sum(axis=0), g.sum(axis=0)
        g_x = g - g_bias / len(x) - normal * (g_gain / len(x))
        return g_x * (gain * rstd), g_gain, g_bias

    return (normal * gain + bias, mean, variance), backward


@primitive
def standardise_columns(x, /, eps=0.0, ddof=0):
    """(x - mean) / sqrt(var + eps) for each column of (N, D); variance divided by N - ddof. No learned scale."""
    xp = backend_of(x).xp
    count = len(x) - ddof
    normal = x - x.mean(axis=0)
    rstd = 1 / xp.sqrt((normal * normal).sum(axis=0) / count + eps)
    normal *= rstd

    def backward(g):
        return (g - g.mean(axis=0) - normal * ((g * normal).sum(axis=0) / count)) * rstd

    return normal, backward
