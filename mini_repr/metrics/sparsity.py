"""What retrieval with sparse rows costs: multiplications, by count and by scipy's sparse products."""

import numpy as np

from mini_repr.backend import backend_of
from mini_repr.metrics.rows import checked_rows


def expected_flops(z):
    """Mean over distinct pairs of rows of the dimensions in which both are non-zero: the multiplications of a product.

    With n_j rows of N active in dimension j, sum_j n_j (n_j - 1) / (N (N - 1)); D for dense rows, K²/D for K active
    ones spread evenly.

    Source: Paria et al. 2020, arXiv 2004.05665, and its official code.

    Args:
        z: (N, D), N >= 2, with exact zeros.
    Raises:
        ValueError: shape, fewer than two rows, values that are not finite.
    """
    rows = checked_rows("expected_flops", "z", z).shape[0]
    if rows < 2:
        raise ValueError(f"expected_flops: z must have at least two rows, got {rows}")
    active = (z != 0.0).sum(axis=0).astype("float64")
    return float((active * (active - 1.0)).sum()) / (rows * (rows - 1))


def sparse_search(queries, candidates, k=10):
    """The k candidates of largest inner product for each query, through sparse matrices on the host.

    Args:
        queries: (N, D). candidates: (M, D). k: 1 to M.
    Returns:
        (indices (N, k), scores (N, k), best first, equal scores by index; multiplications (N,), what an inverted index
        does for each query: the candidates active in its active dimensions).
    Raises:
        ValueError: shapes, values that are not finite, k out of range.
    """
    from scipy.sparse import csr_array

    for name, z in (("queries", queries), ("candidates", candidates)):
        checked_rows("sparse_search", name, z)
    if queries.shape[1] != candidates.shape[1]:
        raise ValueError(
            f"sparse_search: queries have {queries.shape[1]} dimensions, candidates have {candidates.shape[1]}"
        )
    if not 1 <= k <= candidates.shape[0]:
        raise ValueError(f"sparse_search: k must lie in [1, {candidates.shape[0]} candidates], got {k}")
    query, index = (csr_array(backend_of(z).to_numpy(z)) for z in (queries, candidates))
    scores = (query @ index.T).toarray()
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    entries = np.bincount(index.indices, minlength=index.shape[1])  # the length of each dimension's list
    multiplications = (query != 0).astype(np.int64) @ entries
    return order, np.take_along_axis(scores, order, axis=1), multiplications
