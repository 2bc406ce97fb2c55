"""The entries of aᵀ b on its diagonal and the squares of those off it, for losses that decorrelate columns."""

from typing import NamedTuple

from mini_repr.autograd import primitive
from mini_repr.backend import backend_of


class CrossProducts(NamedTuple):
    """Of a matrix C: its diagonal (D,), and the sum of the squares off it (0-d); or their gradients."""

    diagonal: object
    off: object


@primitive
def cross_products(a, b, /):
    """``CrossProducts`` of C = aᵀ b for rows a, b (N, D); b None is a itself.

    C costs O(N D²) time and D² memory. Rows far fewer than columns go through the N x N Gram matrices instead, since
    sum_kl C_kl² = sum_ij (a aᵀ)_ij (b bᵀ)_ij: O(N² D). Only where 2N <= D: the rank of C is then too low for it to be
    near diagonal (with columns of like size), so that taking the diagonal's squares away again loses few digits.
    """
    backend = backend_of(a)
    xp = backend.xp
    alone = b is None
    b = a if alone else b
    few_rows = 2 * len(a) <= a.shape[1]
    blocks = backend.product_blocks(len(a))
    if few_rows:
        diagonal = backend.column_sums(a * b)
        gram_a = a @ a.T
        gram_b = gram_a if alone else b @ b.T
        off = (gram_a * gram_b).sum() - (diagonal * diagonal).sum()
    else:
        shares = backend.map_shares(lambda share: [backend.product(a[block].T, b[block]) for block in share], blocks)
        first, *rest = (product for share in shares for product in share)
        c, places = sum(rest, first), xp.arange(a.shape[1])
        diagonal = c[places, places]
        c[places, places] = 0
        off = (c * c).sum()

    def backward(g):
        g_diagonal, g_off = (0 if one is None else one for one in g)
        g_a, g_b = xp.empty_like(a), None if alone else xp.empty_like(b)
        if few_rows:
            sides = [(g_a, gram_b, a, b)] if alone else [(g_a, gram_b, a, b), (g_b, gram_a, b, a)]
        else:
            sides = [(g_a, b, c.T, b)] if alone else [(g_a, b, c.T, b), (g_b, a, c, a)]

        def walk(share):
            # d off/d a = 2 b C_offᵀ and d off/d b = 2 a C_off; C_offᵀ = C_off where b is a, which counts twice.
            for block in share:
                for gradient, left, right, other in sides:
                    rows = gradient[block]
                    backend.matmul(left[block], right, out=rows)
                    if few_rows:
                        rows -= diagonal * other[block]
                    rows *= 2 * g_off
                    rows += g_diagonal * other[block]
                    if alone:
                        rows *= 2

        backend.map_shares(walk, blocks)
        return g_a, g_b

    return CrossProducts(diagonal, off), backward
