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
    backend = backend_of(x)
    xp = backend.xp
    rows = x.reshape(-1, x.shape[-1])
    output = xp.empty((len(rows), weight.shape[1]), dtype=xp.result_type(x, weight))
    blocks = backend.product_blocks(len(rows))

    def forward(share):
        for block in share:
            backend.matmul(rows[block], weight, out=output[block])
            if bias is not None:
                output[block] += bias

    backend.map_shares(forward, blocks)

    def backward(g):
        g_rows = g.reshape(-1, g.shape[-1])

        def of_x():
            g_x = xp.empty((len(rows), weight.shape[0]), dtype=output.dtype)

            def walk(share):
                for block in share:
                    backend.matmul(g_rows[block], weight.T, out=g_x[block])

            backend.map_shares(walk, blocks)
            return g_x.reshape(x.shape)

        def walk(share):
            products = [backend.product(rows[block].T, g_rows[block]) for block in share]
            return sum(products[1:], products[0])

        parts = backend.map_shares(walk, blocks)
        g_bias = None if bias is None else backend.column_sums(g_rows)
        return of_x, sum(parts[1:], parts[0]), g_bias

    return output.reshape(x.shape[:-1] + (weight.shape[1],)), backward


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
