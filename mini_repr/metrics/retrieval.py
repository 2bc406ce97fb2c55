"""Retrieval by cosine similarity: does the right candidate come first?

Ties count against the representation: what is equally similar to the query is ranked before what is wanted, so that
collapsed rows score as they deserve. Similarities within 16 units of rounding of each other are a tie, since equal
candidates need not get equal similarities out of a matrix product. All functions stand one tile of queries at a time:
O(tile * candidates) memory.
"""

from mini_repr.backend import backend_of
from mini_repr.metrics.rows import checked_labels, row_tiles, unit_pairs, unit_rows


def recall_at_k(a, b, k=1):
    """Share of rows a_i whose partner b_i is among the k candidates b_j nearest to it.

    Call it with (b, a) for the other direction. Source: Karpathy & Fei-Fei 2014, arXiv 1412.2306, section 4.1 (R@K).

    Args:
        a, b: (N, D), row i of a belongs to row i of b.
        k: 1 to N.
    Returns:
        float in [0, 1].
    Raises:
        ValueError: shapes, empty sets, values that are not finite, zero rows, k out of range.
    """
    ranks = _partner_ranks("recall_at_k", a, b)
    if not 1 <= k <= ranks.shape[0]:
        raise ValueError(f"recall_at_k: k must lie in [1, {ranks.shape[0]} candidates], got {k}")
    return int((ranks <= k).sum()) / ranks.shape[0]


def mean_reciprocal_rank(a, b):
    """Mean of 1 / rank of the partner b_i among all candidates b_j, nearest to a_i first.

    Source: Voorhees 1999, "The TREC-8 question answering track report". Arguments and errors as ``recall_at_k``.
    """
    return float((1.0 / _partner_ranks("mean_reciprocal_rank", a, b)).mean())


def ndcg(queries, candidates, relevance, k=None):
    """Normalised discounted cumulative gain at k, mean over the queries that have a relevant candidate.

    DCG = sum over ranks r = 1..k of relevance / log2(1 + r), divided by the DCG of the best order. The gain is linear;
    for Burges' exponential gain pass 2**relevance - 1. Source: Järvelin & Kekäläinen 2002, "Cumulated gain-based
    evaluation of IR techniques"; the logarithm at every rank as in Burges et al. 2005.

    Args:
        queries: (N, D). candidates: (M, D). relevance: (N, M), numbers >= 0.
        k: 1 to M, or None for M.
    Returns:
        float in [0, 1].
    Raises:
        ValueError: shapes, empty sets, values that are not finite, zero rows, negative relevance, no relevant candidate
            for any query, k out of range.
    """
    xp = backend_of(queries).xp
    queries, candidates = unit_rows("ndcg", "queries", queries), unit_rows("ndcg", "candidates", candidates)
    if queries.shape[1] != candidates.shape[1]:
        raise ValueError(f"ndcg: queries have {queries.shape[1]} dimensions, candidates have {candidates.shape[1]}")
    if relevance.shape != (queries.shape[0], candidates.shape[0]):
        raise ValueError(
            f"ndcg: relevance must have shape {(queries.shape[0], candidates.shape[0])}, got {relevance.shape}"
        )
    if not bool((xp.isfinite(relevance) & (relevance >= 0)).all()):
        raise ValueError("ndcg: relevance must be finite and at least 0")
    return _mean_gain("ndcg", queries, candidates, lambda tile: relevance[tile], k)


def label_ndcg(z, labels, k=None):
    """``ndcg`` with every row as the query once, all rows as candidates, relevance 1 for other rows of its class.

    A query is ranked last among its own candidates and is not relevant to itself. Rows alone in their class are left
    out.

    Args:
        z: (N, D). labels: (N,) integers.
        k: 1 to N, or None for N.
    Raises:
        ValueError: as ``ndcg``; no two rows with the same label.
    """
    xp = backend_of(z).xp
    z = unit_rows("label_ndcg", "z", z)
    checked_labels("label_ndcg", "labels", labels, z)

    def relevance(tile):
        same = labels[tile, None] == labels
        same[xp.arange(tile.stop - tile.start), xp.arange(tile.start, tile.stop)] = False
        return same

    return _mean_gain("label_ndcg", z, z, relevance, k, exclude_self=True)


def _tie(unit):
    return 16.0 * float(backend_of(unit).xp.finfo(unit.dtype).eps)


def _partner_ranks(metric, a, b):
    """Rank, from 1, of b_i among all candidates for a_i: how many are at least as similar, itself included."""
    xp = backend_of(a).xp
    a, b = unit_pairs(metric, a, b)
    ranks = xp.empty(a.shape[0], dtype="int64")
    for tile in row_tiles(a.shape[0], b.shape[0], a.itemsize):
        similarity = a[tile] @ b.T
        partner = similarity[xp.arange(tile.stop - tile.start), xp.arange(tile.start, tile.stop)]
        ranks[tile] = (similarity >= partner[:, None] - _tie(a)).sum(axis=1)
    return ranks


def _mean_gain(metric, queries, candidates, relevance, k, exclude_self=False):
    """Mean normalised gain at k; ``relevance(tile)`` gives the rows (tile, M) of the relevance matrix."""
    xp = backend_of(queries).xp
    count = candidates.shape[0]
    k = count if k is None else k
    if not 1 <= k <= count:
        raise ValueError(f"{metric}: k must lie in [1, {count} candidates], got {k}")
    discount = 1.0 / xp.log2(xp.arange(2, k + 2, dtype="float64"))
    total, queries_with_gain = 0.0, 0
    for tile in row_tiles(queries.shape[0], count, queries.itemsize):
        gains = relevance(tile).astype("float64")
        distance = queries[tile] @ candidates.T
        distance *= -1.0 / _tie(queries)
        xp.rint(distance, out=distance)
        if exclude_self:
            distance[xp.arange(tile.stop - tile.start), xp.arange(tile.start, tile.stop)] = xp.inf
        # Least relevant first, then a stable sort by distance: within a tie the relevant candidate comes last.
        worst_first = xp.argsort(gains, axis=1, kind="stable")
        distance = xp.take_along_axis(distance, worst_first, axis=1)
        gains = xp.take_along_axis(gains, worst_first, axis=1)
        order = xp.argsort(distance, axis=1, kind="stable")[:, :k]
        best = gains[:, ::-1][:, :k] @ discount
        gain = xp.take_along_axis(gains, order, axis=1) @ discount
        relevant = best > 0.0
        total += float((gain[relevant] / best[relevant]).sum())
        queries_with_gain += int(relevant.sum())
    if queries_with_gain == 0:
        raise ValueError(f"{metric}: no query has a relevant candidate")
    return min(total / queries_with_gain, 1.0)  # rounding aside
