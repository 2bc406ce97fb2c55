"""Matrix products, factorisations and solves. All take stacks of matrices where a single one has two axes."""

from mini_repr.autograd.primitive import primitive
from mini_repr.backend import backend_of


def _t(x):
    return x.swapaxes(-1, -2)


@primitive
def matmul(x, y, /):
    """Matrix product x (..., N, K) @ y (..., K, M), leading axes broadcast; both need two axes or more."""
    if x.ndim < 2 or y.ndim < 2:
        raise ValueError(f"matmul: both arguments need at least two axes, got shapes {x.shape} and {y.shape}")
    return x @ y, lambda g: (lambda: g @ _t(y), lambda: _t(x) @ g)


@primitive
def linear(x, weight, bias, /):
    """x (..., I) @ weight (I, O) + bias (O,), over all leading axes at once. ``bias`` may be None."""
    return linear_layers.on_arrays(x, weight, bias)


@primitive
def linear_layers(*arrays, activation="relu"):
    """x (..., I) through linear layers one after another, with an activation between them.

    A core takes its rows through all layers, forward and back: shared out layer by layer, threads would wait as long
    for each other as a small network takes.

    Args:
        arrays: x, then of each layer weight (I, O) and bias (O,), or None.
        activation: relu or tanh, whose slopes are known from their values.
    """
    x, weights, biases = arrays[0], arrays[1::2], arrays[2::2]
    backend = backend_of(x)
    xp, last = backend.xp, len(weights) - 1
    rows = [x.reshape(-1, x.shape[-1])]  # what goes into each layer, and what comes out of the last
    rows += [xp.empty((len(rows[0]), weight.shape[1]), dtype=xp.result_type(x, weight)) for weight in weights]
    blocks = backend.product_blocks(len(rows[0]))

    def forward(share):
        for block in share:
            for k, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
                out = rows[k + 1][block]
                backend.matmul(rows[k][block], weight, out=out)
                if bias is not None:
                    out += bias
                if k < last and activation == "relu":
                    xp.maximum(out, 0, out=out)
                elif k < last:
                    xp.tanh(out, out=out)

    backend.map_shares(forward, blocks)

    def backward(g):
        g_rows = g.reshape(rows[-1].shape)
        g_first = g_rows if last == 0 else xp.empty(rows[1].shape, rows[1].dtype)

        def walk(share):
            return [of_block(block) for block in share]

        def of_block(block):
            """The gradients of all weights and biases, the last first."""
            found, g = [], g_rows[block]
            for k in range(last, -1, -1):
                found.append(None if biases[k] is None else backend.column_sums(g))
                found.append(backend.product(rows[k][block].T, g))
                if k:
                    values = rows[k][block]
                    g_values = g_first[block] if k == 1 else xp.empty(values.shape, values.dtype)
                    backend.matmul(g, weights[k].T, out=g_values)
                    g = g_values
                    g *= values.real > 0 if activation == "relu" else 1 - values * values
            return found

        def of_x():
            g_x = xp.empty(rows[0].shape, rows[1].dtype)

            def walk(share):
                for block in share:
                    backend.matmul(g_first[block], weights[0].T, out=g_x[block])

            backend.map_shares(walk, blocks)
            return g_x.reshape(x.shape)

        every = [found for share in backend.map_shares(walk, blocks) for found in share]
        sums = [None if first is None else sum(others, first) for first, *others in zip(*every, strict=True)]
        return of_x, *reversed(sums)

    return rows[-1].reshape(x.shape[:-1] + rows[-1].shape[-1:]), backward


@primitive
def cholesky(matrix, /):
    """Lower L with L Lᵀ = matrix, symmetric positive definite (D, D).

    Gradient (Smith 1995; Murray 2016, arXiv 1602.07527, eq. 10): with Phi = lower triangle, diagonal halved, it is
    the symmetric part of L⁻ᵀ Phi(Lᵀ g) L⁻¹.
    """
    backend = backend_of(matrix)
    xp = backend.xp
    with backend.singular_raises():
        factor = xp.linalg.cholesky(matrix)

    def backward(g):
        phi = xp.tril(factor.T @ g)
        phi[xp.arange(len(phi)), xp.arange(len(phi))] *= 0.5
        left = backend.solve_triangular(factor, phi, transposed=True)  # L⁻ᵀ Phi
        both = backend.solve_triangular(factor, xp.ascontiguousarray(left.T), transposed=True)  # (L⁻ᵀ Phi L⁻¹)ᵀ
        return 0.5 * (both + both.T)

    return factor, backward


@primitive
def solve_triangular(matrix, right, /, lower=True):
    """X with matrix @ X = right, matrix (D, D) triangular, right (D, N). The other triangle is not read."""
    backend = backend_of(matrix, right)
    xp = backend.xp
    solution = backend.solve_triangular(matrix, right, lower=lower)

    def backward(g):
        g_right = backend.solve_triangular(matrix, g, lower=lower, transposed=True)
        keep = xp.tril if lower else xp.triu
        return -keep(g_right @ solution.T), g_right

    return solution, backward


@primitive
def inverse(matrix, /):
    """Inverse of (..., D, D)."""
    backend = backend_of(matrix)
    with backend.singular_raises():
        output = backend.xp.linalg.inv(matrix)
    return output, lambda g: -_t(output) @ g @ _t(output)


@primitive
def log_determinant(matrix, /):
    """log |det| of a symmetric positive definite (..., D, D); gradient the inverse."""
    value = backend_of(matrix).xp.linalg.slogdet(matrix)[1]
    return value, lambda g: g[..., None, None] * _t(inverse.on_arrays(matrix)[0])


@primitive
def eigvalsh(matrix, /):
    """Eigenvalues, ascending, of a symmetric (D, D). d lambda_k = v_kᵀ dA v_k."""
    values, vectors = backend_of(matrix).xp.linalg.eigh(matrix)
    return values, lambda g: (vectors * g) @ vectors.T


@primitive
def eigh(matrix, /):
    """Eigenvalues (D,) ascending and eigenvectors (D, D, in columns) of a symmetric matrix (D, D).

    Gradient (Giles 2008, section 3.1): V (diag(g_values) + F * (Vᵀ g_vectors)) Vᵀ, symmetrised, with
    F_ij = 1/(l_j - l_i). It needs distinct eigenvalues where ``g_vectors`` is used.
    """
    xp = backend_of(matrix).xp
    values, vectors = xp.linalg.eigh(matrix)

    def backward(gradients):
        g_values, g_vectors = gradients
        inner = xp.zeros_like(matrix) if g_values is None else xp.diag(g_values)
        if g_vectors is not None:
            gaps = values[None, :] - values[:, None]
            gaps[xp.arange(len(gaps)), xp.arange(len(gaps))] = xp.inf
            inner = inner + (vectors.T @ g_vectors) / gaps
        outer = vectors @ inner @ vectors.T
        return 0.5 * (outer + outer.T)

    return (values, vectors), backward


@primitive
def diagonal(matrix, /):
    """Diagonal (D,) of a matrix (D, D)."""
    xp = backend_of(matrix).xp
    places = xp.arange(matrix.shape[0])

    def backward(g):
        gradient = xp.zeros_like(matrix)
        gradient[places, places] = g
        return gradient

    return matrix[places, places], backward
