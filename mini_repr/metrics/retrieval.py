"""Retrieval by cosine similarity: does the right candidate come first?

Ties count against the representation: what is equally similar to the query is ranked before what is wanted, so that
collapsed rows score as they deserve. Similarities within 16 units of rounding of each other are a tie, since equal
candidates need not get equal similarities out of a matrix product. Ranks of partners take no memory of the size of the
inputs: rows on both sides come a tile at a time. Gains sort all candidates of a query: O(tile * candidates) memory.
"""

import math

from mini_repr.autograd import unit_rows
from mini_repr.backend import backend_of
from mini_repr.kernels.cosines import cosines
from mini_repr.kernels.tiles import column_blocks, row_tiles
from mini_repr.pages.arguments import Amounts, Count, Labels, Optional, Rows
from mini_repr.pages.declare import metric
from mini_repr.pages.page import definition


@metric()
def recall_at_k(a: Rows("N D", no_zero_row=True), b: Rows("N D", no_zero_row=True), k: Count() = 1):
    """Share of rows whose partner is among the k nearest.

    The partner of a_i is b_i, the candidates are all b_j; call it with (b, a) for the other direction.

    Source: Karpathy & Fei-Fei 2014, arXiv 1412.2306, section 4.1 (R@K).

    Args:
        a, b: (N, D), row i of a belongs to row i of b.
        k: 1 to N.
    Returns:
        float in [0, 1].
    """
    if k > len(b):
        raise ValueError(f"recall_at_k: k: got {k}, expected 1 to {len(b)}, the candidates")
    return sum(int((ranks <= k).sum()) for ranks in _partner_ranks(a, b)) / len(a)


@definition(recall_at_k)
def recall_at_k_definition(a, b, k):
    return sum(rank <= k for rank in _ranks_definition(a, b)) / len(a)


@metric()
def mean_reciprocal_rank(a: Rows("N D", no_zero_row=True), b: Rows("N D", no_zero_row=True)):
    """Mean of 1 / rank of the partner.

    The rank of b_i among all candidates b_j, nearest to a_i first.

    Source: Voorhees 1999, "The TREC-8 question answering track report". Arguments as ``recall_at_k``.
    """
    return sum(float((1.0 / ranks).sum()) for ranks in _partner_ranks(a, b)) / len(a)


@definition(mean_reciprocal_rank)
def mean_reciprocal_rank_definition(a, b):
    return sum(1 / rank for rank in _ranks_definition(a, b)) / len(a)


@metric()
def ndcg(
    queries: Rows("N D", no_zero_row=True),
    candidates: Rows("M D", no_zero_row=True),
    relevance: Amounts("N M"),
    k: Optional(Count()) = None,
):
    """Gain of retrieving candidates of graded relevance.

    Normalised discounted cumulative gain at k, mean over the queries that have a relevant candidate. DCG = sum over
    ranks r = 1..k of relevance / log2(1 + r), divided by the DCG of the best order. The gain is linear; for Burges'
    exponential gain pass 2**relevance - 1.

    Source: Järvelin & Kekäläinen 2002, "Cumulated gain-based evaluation of IR techniques"; the logarithm at every rank
    as in Burges et al. 2005.

    Args:
        k: 1 to M, or None for M.
    Returns:
        float in [0, 1].
    Raises:
        ValueError: also where no query has a relevant candidate.
    """
    queries, candidates = unit_rows.on_arrays(queries)[0], unit_rows.on_arrays(candidates)[0]
    return _mean_gain("ndcg", "relevance", queries, candidates, lambda tile: relevance[tile], k)


@definition(ndcg)
def ndcg_definition(queries, candidates, relevance, k):
    return _gain_definition(_cosines(queries, candidates).tolist(), relevance.tolist(), k)


@metric(most_rows=20_000)
def label_ndcg(z: Rows("N D", no_zero_row=True), labels: Labels("N"), k: Optional(Count()) = None):
    """Gain of retrieving rows of the same class.

    ``ndcg`` with every row as the query once, all rows as candidates, relevance 1 for other rows of its class. A query
    is ranked last among its own candidates and is not relevant to itself. Rows alone in their class are left out.

    Source: as ``ndcg``, Järvelin & Kekäläinen 2002.

    Args:
        k: 1 to N, or None for N.
    Raises:
        ValueError: also where no two rows have the same label.
    """
    xp = backend_of(z).xp
    z = unit_rows.on_arrays(z)[0]

    def relevance(tile):
        same = labels[tile, None] == labels
        same[xp.arange(tile.stop - tile.start), xp.arange(tile.start, tile.stop)] = False
        return same

    return _mean_gain("label_ndcg", "labels", z, z, relevance, k, exclude_self=True)


@definition(label_ndcg)
def label_ndcg_definition(z, labels, k):
    similarity, numbers = _cosines(z, z).tolist(), range(len(z))
    relevance = [[float(i != j and int(labels[i]) == int(labels[j])) for j in numbers] for i in numbers]
    return _gain_definition([[-2.0 if i == j else similarity[i][j] for j in numbers] for i in numbers], relevance, k)


def _cosines(x, y):
    xp = backend_of(x).xp
    return (x @ y.T) / xp.linalg.norm(x, axis=1)[:, None] / xp.linalg.norm(y, axis=1)


def _ranks_definition(a, b):
    return [sum(s >= row[i] for s in row) for i, row in enumerate(_cosines(a, b).tolist())]


def _gain_definition(similarity, relevance, k):
    """Lists of lists (N, M)."""
    values = []
    for s, r in zip(similarity, relevance, strict=True):
        order = sorted(range(len(s)), key=lambda j, s=s: -s[j])[:k]
        gain = sum(r[j] / math.log2(rank + 2) for rank, j in enumerate(order))
        best = sum(x / math.log2(rank + 2) for rank, x in enumerate(sorted(r, reverse=True)[:k]))
        values += [gain / best] if best > 0 else []
    return sum(values) / len(values)


def _tie(unit):
    return 16.0 * float(backend_of(unit).xp.finfo(unit.dtype).eps)


def _partner_ranks(a, b):
    """Yield ranks, from 1, of b_i among all candidates for a_i: how many are at least as similar, itself included.

    Those of a block of rows at a time.
    """
    xp = backend_of(a).xp
    for block in column_blocks(a):
        ranks = xp.zeros(block.stop - block.start, dtype="int64")
        least = xp.empty(len(ranks), dtype=xp.result_type(a, b))
        for tile in cosines(a, b, block):
            here = slice(tile.rows.start - block.start, tile.rows.stop - block.start)
            if tile.columns == block:
                least[here] = tile.s[tile.partners()] - _tie(a)
            ranks[here] += (tile.s >= least[here, None]).sum(axis=1)
        yield ranks


def _mean_gain(name, argument, queries, candidates, relevance, k, exclude_self=False):
    """Mean normalised gain at k; ``relevance(tile)`` gives the rows (tile, M) of the relevance matrix."""
    xp = backend_of(queries).xp
    count = candidates.shape[0]
    k = count if k is None else k
    if k > count:
        raise ValueError(f"{name}: k: got {k}, expected 1 to {count}, the candidates")
    discount = 1.0 / xp.log2(xp.arange(2, k + 2, dtype="float64"))
    total, queries_with_gain = 0.0, 0
    for tile in row_tiles(queries, count):
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
        raise ValueError(f"{name}: {argument}: got no relevant candidate for any query, expected one at least")
    return min(total / queries_with_gain, 1.0)  # rounding aside
