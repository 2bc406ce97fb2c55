"""Fused normalisations: one pass forward, one pass back."""

from itertools import chain

from mini_repr.autograd.primitive import primitive
from mini_repr.backend import backend_of
from mini_repr.fused import by_rows


@primitive
def unit_rows(x, /, eps=0.0):
    """x / max(|x|, eps) along the last axis. A zero row stays zero and, the subgradient chosen here, gets no gradient.

    Gradient: (g - u (u·g)) / |x|, so that x·gradient = 0. A row below the smallest normal number counts as zero.
    """
    backend = backend_of(x)
    xp = backend.xp
    unit, column = xp.empty_like(x), (*x.shape[:-1], 1)  # of x's own class: exact numbers pass here
    factor, small = xp.empty(column, dtype=x.dtype), xp.empty(column, dtype=bool)
    unit_rows_into(backend, x, eps, unit, factor, small)

    def backward(g):
        gradient = xp.empty_like(unit)
        unit_rows_back_into(backend, g, unit, factor, small, gradient)
        return gradient

    return unit, backward


@by_rows(
    "T x, number eps",
    "T unit, T factor, bool small",
    """
    // Divided by its largest element no row overflows, and none loses digits.
    const T tiny = sizeof(T) == 4 ? 1.17549435e-38 : 2.2250738585072014e-308;
    T size = 0, squares = 0;
    for (long long c = lane; c < width; c += 32) size = fmax(size, fabs(x[row * width + c]));
    size = warp_max(size);
    if (!(size >= tiny)) size = 1;
    for (long long c = lane; c < width; c += 32) {
        const T part = x[row * width + c] / size;
        squares += part * part;
    }
    const T norm = sqrt(warp_sum(squares));
    const bool is_small = norm * size <= eps;
    const T divisor = is_small ? eps / size : norm;
    const T shrink = divisor == 0 ? (T)0 : 1 / divisor;
    for (long long c = lane; c < width; c += 32) unit[row * width + c] = x[row * width + c] / size * shrink;
    if (lane == 0) {
        factor[row] = shrink / size;
        small[row] = is_small;
    }
    """,
)
def unit_rows_into(backend, x, eps, unit, factor, small):
    """Fill ``unit`` with factor x, ``factor`` (..., 1) with 1 / max(|x|, eps) and ``small`` with |x| <= eps."""
    xp = backend.xp
    x, squares, size = _squared(x, backend)
    norm = xp.sqrt(squares)
    with backend.overflow_to_infinity():
        small[...] = (norm * size).real <= eps
    shrink = xp.where(small, eps / size, norm)
    shrink = 1 / xp.where(shrink == 0, xp.inf, shrink)
    xp.multiply(x, shrink, out=unit)
    xp.divide(shrink, size, out=factor)


@by_rows(
    "T g, T unit, T factor, bool small",
    "T gradient",
    """
    T along = 0;
    for (long long c = lane; c < width; c += 32) along += g[row * width + c] * unit[row * width + c];
    along = small[row] ? (T)0 : warp_sum(along);
    for (long long c = lane; c < width; c += 32) {
        const long long k = row * width + c;
        gradient[k] = (g[k] - unit[k] * along) * factor[row];
    }
    """,
)
def unit_rows_back_into(backend, g, unit, factor, small, gradient):
    """Fill ``gradient`` with (g - u (u·g)) factor, without the second term for small rows."""
    xp = backend.xp
    along = xp.where(small, 0, backend.row_dots(g, unit))
    xp.multiply(g - unit * along, factor, out=gradient)


def _squared(x, backend):
    """(x / size, its rows' sums of squares (..., 1), size): size is 1 but where squares overflow, or lose digits."""
    xp = backend.xp
    with backend.overflow_to_infinity():
        squares = backend.row_dots(x, x)
    if x.dtype == object:  # numbers of unbounded range
        return x, squares, 1
    limits = xp.finfo(x.dtype)
    extreme = ~((squares.real > limits.tiny / limits.eps) & (squares.real < xp.inf))
    if not bool(extreme.any()):
        return x, squares, 1
    size = xp.abs(x).max(axis=-1, keepdims=True)
    size = xp.where(extreme & (size >= limits.tiny), size, 1).astype(limits.dtype)
    x = x / size
    return x, backend.row_dots(x, x), size


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
        normalise_into(backend, rows, eps, normal, rstd)
        xp.multiply(normal, gain, out=output)
        output += bias

    backend.row_blocks(forward, rows, normal, rstd, output)

    def backward(g):
        g_rows, g_x = g.reshape(-1, width), xp.empty_like(normal)

        def walk(share):
            sums = []
            for block in share:
                of_gain = g_rows[block] * normal[block]
                sums.append((backend.column_sums(of_gain), backend.column_sums(g_rows[block])))
                g_normal = xp.multiply(g_rows[block], gain, out=of_gain)
                normalise_back_into(backend, normal[block], rstd[block], None, g_normal, g_x[block])
            return sums

        shares = backend.map_shares(walk, backend.product_blocks(len(rows), 4 * width * x.dtype.itemsize))
        g_gain, g_bias = (sum(sums[1:], sums[0]) for sums in zip(*chain(*shares), strict=True))
        return g_x.reshape(x.shape), g_gain, g_bias

    return output.reshape(x.shape), backward


@primitive
def modulated_norm(x, scale, shift, /, eps=1e-6):
    """(x - mean) / sqrt(var + eps) * (1 + scale) + shift over the last axis: a layer norm whose input chooses both.

    Peebles, Xie 2022, arXiv 2212.09748, section 3.2 (adaptive layer norm). x (B, N, D); scale, shift (B, D), one of
    each for all rows of an input. Gradient: as ``layer_norm``'s, and sums over the rows of an input.
    """
    backend = backend_of(x)
    xp = backend.xp
    x = xp.ascontiguousarray(x)
    normal, output = xp.empty_like(x), xp.empty_like(x)
    rstd = xp.empty((*x.shape[:2], 1), dtype=x.dtype)

    def rows(*arrays):  # (B, N, D) as (B N, D), views
        return [array.reshape(-1, array.shape[-1]) for array in arrays]

    def forward(x, scale, shift, normal, rstd, output):
        x, *written = rows(x, normal, rstd)
        normalise_into(backend, x, eps, *written)
        xp.multiply(normal, 1 + scale[:, None], out=output)
        output += shift[:, None]

    backend.row_blocks(forward, x, scale, shift, normal, rstd, output)

    def backward(g):
        g_x, g_scale, g_shift = (xp.empty_like(array) for array in (normal, scale, shift))

        def kernel(g, scale, normal, rstd, g_x, g_scale, g_shift):
            g_scale[...] = (g * normal).sum(axis=1)
            g_shift[...] = g.sum(axis=1)
            normal, rstd, g, g_x = rows(normal, rstd, g * (1 + scale[:, None]), g_x)
            normalise_back_into(backend, normal, rstd, None, g, g_x)

        backend.row_blocks(kernel, g, scale, normal, rstd, g_x, g_scale, g_shift)
        return g_x, g_scale, g_shift

    return output, backward


@by_rows(
    "T rows, number eps",
    "T normal, T rstd",
    """
    T sum = 0, squares = 0;
    for (long long c = lane; c < width; c += 32) sum += rows[row * width + c];
    const T mean = warp_sum(sum) / width;
    for (long long c = lane; c < width; c += 32) {
        const T apart = rows[row * width + c] - mean;
        squares += apart * apart;
    }
    const T scale = 1 / sqrt(warp_sum(squares) / width + eps);
    for (long long c = lane; c < width; c += 32) normal[row * width + c] = (rows[row * width + c] - mean) * scale;
    if (lane == 0) rstd[row] = scale;
    """,
)
def normalise_into(backend, rows, eps, normal, rstd):
    """Fill ``normal`` (N, D) and ``rstd`` (N, 1) with (rows - mean) * rstd and 1 / sqrt(var + eps)."""
    xp = backend.xp
    average = _averaging(xp, rows)
    xp.subtract(rows, rows @ average, out=normal)
    variance = (normal * normal) @ average
    variance += eps
    xp.sqrt(variance, out=variance)
    xp.divide(1, variance, out=rstd)
    normal *= rstd


@by_rows(
    "T normal, T rstd, T residual",
    "T g, T g_x",
    """
    T mean = 0, along = 0;
    for (long long c = lane; c < width; c += 32) {
        mean += g[row * width + c];
        along += g[row * width + c] * normal[row * width + c];
    }
    mean = warp_sum(mean) / width;
    along = warp_sum(along) / width;
    for (long long c = lane; c < width; c += 32) {
        const long long k = row * width + c;
        g_x[k] = (g[k] - mean - normal[k] * along) * rstd[row];
    #ifdef WITH_RESIDUAL
        g_x[k] += residual[k];
    #endif
    }
    """,
)
def normalise_back_into(backend, normal, rstd, residual, g, g_x):
    """Fill ``g_x`` (N, D) with (g - mean(g) - n mean(g n)) rstd + residual (or None), ``g`` the gradient of n.

    ``g`` is used up.
    """
    xp = backend.xp
    average = _averaging(xp, g)
    xp.multiply(g, normal, out=g_x)
    along = g_x @ average
    g -= g @ average
    xp.multiply(normal, along, out=g_x)
    xp.subtract(g, g_x, out=g_x)
    g_x *= rstd
    if residual is not None:
        g_x += residual


def _averaging(xp, rows):
    """(D, 1) of 1/D: the mean of short rows is cheaper as a product than as a reduction."""
    return xp.full((rows.shape[1], 1), 1 / rows.shape[1], dtype=rows.dtype)


@primitive
def batch_norm(x, gain, bias, /, eps=1e-5):
    """Rows (N, D) normalised by each column's batch mean and population variance, then * gain + bias.

    Ioffe, Szegedy 2015, arXiv 1502.03167. Returns (output, mean (D,), variance (D,)); the statistics are for running
    averages and carry no gradient.
    """
    backend = backend_of(x)
    xp = backend.xp
    mean = backend.column_means(x)
    normal = x - mean
    variance = backend.column_means(normal * normal)
    rstd = 1 / xp.sqrt(variance + eps)
    normal *= rstd

    def backward(gradients):
        g = gradients[0]
        g_gain, g_bias = backend.column_sums(g * normal), backend.column_sums(g)
        g_x = g - g_bias / len(x) - normal * (g_gain / len(x))
        return g_x * (gain * rstd), g_gain, g_bias

    return (normal * gain + bias, mean, variance), backward


@primitive
def standardise_columns(x, /, eps=0.0, ddof=0):
    """(x - mean) / sqrt(var + eps) for each column of (N, D); variance divided by N - ddof. No learned scale."""
    backend = backend_of(x)
    count = len(x) - ddof
    normal = x - backend.column_means(x)
    rstd = 1 / backend.xp.sqrt(backend.column_sums(normal * normal) / count + eps)
    normal *= rstd

    def backward(g):
        along = backend.column_sums(g * normal) / count
        return (g - backend.column_means(g) - normal * along) * rstd

    return normal, backward
