"""What retrieval with sparse rows costs: multiplications, by count and by scipy's sparse products."""

import numpy as np

from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Count, Rows
from mini_repr.pages.declare import checked, metric
from mini_repr.pages.page import definition


@metric(paper="022")
def expected_flops(z: Rows("N>=2 D")):
    """Multiplications to compare two sparse rows, D for dense ones.

    Mean over distinct pairs of rows of the dimensions in which both are non-zero. With n_j rows of N active in
    dimension j, sum_j n_j (n_j - 1) / (N (N - 1)); D for dense rows, K²/D for K active ones spread evenly.

    Source: Paria et al. 2020, arXiv 2004.05665, and its official code.

    Args:
        z: (N, D), with exact zeros.
    """
    active = (z != 0.0).sum(axis=0).astype("float64")
    return float((active * (active - 1.0)).sum()) / (len(z) * (len(z) - 1))


@definition(expected_flops)
def expected_flops_definition(z):
    shared = [int(((z[i] != 0) & (z[j] != 0)).sum()) for i in range(len(z)) for j in range(i)]
    return sum(shared) / len(shared)


@checked
def sparse_search(queries: Rows("N D"), candidates: Rows("M D"), k: Count() = 10):
    """The k candidates of largest inner product for each query, through sparse matrices on the host.

    Args:
        k: 1 to M.
    Returns:
        (indices (N, k), scores (N, k), best first, ties broken by index; multiplications (N,), what an inverted index
        does for each query: the candidates active in its active dimensions).
    """
    from scipy.sparse import csr_array

    if k > len(candidates):
        raise ValueError(f"sparse_search: k: got {k}, expected 1 to {len(candidates)}, the candidates")
    query, index = (csr_array(backend_of(z).to_numpy(z)) for z in (queries, candidates))
    scores = (query @ index.T).toarray()
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    entries = np.bincount(index.indices, minlength=index.shape[1])  # the length of each dimension's list
    multiplications = (query != 0).astype(np.int64) @ entries
    return order, np.take_along_axis(scores, order, axis=1), multiplications
