"""Who is whose neighbour: targets (N, K) for ``icon``, from labels, neighbours, distances or clusters.

Plain functions of arrays. Rows are weights in proportion, or distributions; ``icon`` divides them by their sums. The
kinds are those of Alshammari et al. 2025, arXiv 2504.16929.
"""

import math

from mini_repr.backend import backend_of
from mini_repr.fused import by_rows
from mini_repr.kernels.nearest import nearest_rows


def same_group(groups, others=None, dtype="float32"):
    """1 where two rows are of one group, (N, K): labels, hard clusters, or the index of the sample that views are of.

    Every row is in its own group: ``exclude_self`` takes that out. ``others`` (K,): those of b, where not the same.
    """
    others = groups if others is None else others
    return (groups[:, None] == others).astype(dtype)


def nearest_neighbours(x, k):
    """1 for the k rows of x (N, D) nearest to each row, itself left out: (N, N). Ties are broken by row number.

    Raises:
        ValueError: not 1 <= k < N.
    """
    if not 1 <= k < len(x):
        raise ValueError(f"nearest_neighbours: k: got {k}, expected 1 to {len(x) - 1}, the other rows")
    xp = backend_of(x).xp
    marks = xp.zeros((len(x), len(x)), dtype=x.dtype)
    marks[xp.arange(len(x))[:, None], nearest_rows(x, k, centre=backend_of(x).column_means(x))] = 1
    return marks


def gaussian_neighbours(x, perplexity=30.0, symmetric=False):
    """p(j|i) in proportion to e^{-|x_i - x_j|² / 2 sigma_i²}, j != i, each row's e^entropy the ``perplexity``: (N, N).

    sigma_i is found by bisection. ``symmetric``: (p(j|i) + p(i|j)) / 2, t-SNE's distribution of pairs times N. More
    rows at the least distance than the perplexity remain equal neighbours. Hinton, Roweis 2002 (SNE); van der Maaten,
    Hinton 2008 (t-SNE).

    Raises:
        ValueError: not 1 < perplexity < N - 1.
    """
    if not 1 < perplexity < len(x) - 1:
        raise ValueError(f"gaussian_neighbours: perplexity: got {perplexity:g}, expected between 1 and {len(x) - 1}")
    backend = backend_of(x)
    xp = backend.xp
    squares = _squared_distances(x)
    squares -= squares.min(axis=1, keepdims=True)
    near = xp.where(xp.isfinite(squares), squares, 0)
    typical = near.mean(axis=1)
    typical = xp.where(typical > 0, typical, 1)
    p = xp.empty_like(squares)
    of_entropy(backend, squares, typical, math.log(perplexity), p)
    return (p + p.T) / 2 if symmetric else p


@by_rows(
    "T squares, T typical, number entropy",
    "T p",
    """
    T low = -20, high = 40, sum = 1, factor = 0;
    for (int halving = 0; halving < 60; ++halving) {
        const T middle = (low + high) / 2;
        factor = -exp(middle) / typical[row];
        T weighted = 0;
        sum = 0;
        for (long long j = lane; j < width; j += 32) {
            const T logit = squares[row * width + j] * factor, share = exp(logit);
            sum += share;
            if (share > 0) weighted += share * logit;
        }
        sum = warp_sum(sum);
        weighted = warp_sum(weighted);
        if (log(sum) - weighted / sum > entropy) low = middle; else high = middle;
    }
    for (long long j = lane; j < width; j += 32) p[row * width + j] = exp(squares[row * width + j] * factor) / sum;
    """,
)
def of_entropy(backend, squares, typical, entropy, p):
    """Fill each row of p (N, K) with e^{-f squares} over its sum, f found by bisection so that its entropy is this.

    f times ``typical`` (N,) is sought between e^-20 and e^40; the larger f, the smaller the entropy.
    """
    xp = backend.xp
    low, high = xp.full_like(typical, -20), xp.full_like(typical, 40)  # of log(f typical)
    for _ in range(60):
        middle = (low + high) / 2
        xp.multiply(squares, -(xp.exp(middle) / typical)[:, None], out=p)
        xp.exp(p, out=p)
        p /= p.sum(axis=1, keepdims=True)
        found = -(p * xp.log(xp.where(p > 0, p, 1))).sum(axis=1)
        wide = found > entropy
        low, high = xp.where(wide, middle, low), xp.where(wide, high, middle)


def shared_clusters(assignments, others=None):
    """p(j|i) = sum_c r_ic s_jc / (sum_k s_kc) of soft assignments r (N, C) and s (K, C), rows that sum to 1: (N, K).

    A walk from a row to a cluster of its, and on to one of that cluster's rows (itself included).
    """
    others = assignments if others is None else others
    sizes = backend_of(others).column_sums(others)
    return assignments @ (others / backend_of(sizes).xp.where(sizes > 0, sizes, 1)).T


def _squared_distances(x):
    """(N, N), infinite from each row to itself."""
    xp = backend_of(x).xp
    x = x - backend_of(x).column_means(x)
    squares = (x * x).sum(axis=1)
    distances = x @ x.T
    distances *= -2
    distances += squares[:, None]
    distances += squares
    xp.maximum(distances, 0, out=distances)
    places = xp.arange(len(x))
    distances[places, places] = xp.inf
    return distances
