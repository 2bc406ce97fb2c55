"""Log-sum-exps of each row's logits with the rows of its own class and with those of all others.

The logit of two rows is scale (x - margin), where x = s for the similarity s of rows of two classes and x = 1 - s
within a class; or ``weighted``, scale (y² - margin²) with y = max(x, -margin), whose slope in x the gradient takes for
scale (y + margin): Sun et al. 2020, arXiv 2002.10857, whose weights are constants.
"""

import operator
from functools import reduce
from typing import NamedTuple

from mini_repr.autograd import primitive
from mini_repr.backend import backend_of
from mini_repr.fused import by_rows
from mini_repr.kernels.log_sum_exp import add_shares, log_total, weigh_shares
from mini_repr.kernels.tiles import row_tiles


class ClassLogSums(NamedTuple):
    """(N,) each, -inf where there is no pair: over the rows of other classes, and over the other rows of the class."""

    negatives: object
    positives: object


@primitive
def class_logsumexp(u, /, kind, margin, scale, weighted=False, tile=None):
    """``ClassLogSums`` of the rows u (N, D), which are sorted by their classes ``kind`` (N,).

    So the positives of a tile of rows lie side by side. O(N * tile) memory.

    Args:
        kind: where it lies on the host, no GPU is waited for. margin, scale, weighted: of the logits.
        tile: rows per tile; None chooses.
    """
    sums, back = class_logsumexp_between(u, u, kind, kind, margin, scale, weighted, True, tile)

    def backward(g):
        g_anchors, g_candidates = back(g)
        g_anchors += g_candidates
        return g_anchors

    return sums, backward


def class_logsumexp_between(x, y, of_x, of_y, margin, scale, weighted, same, tile=None):
    """``ClassLogSums`` of rows x (M, D) over rows y (K, D), both sorted by their classes, and the backward to x and y.

    Args:
        of_x, of_y: (M,) and (K,), the classes. same: whether y is x: no row then meets itself. The rest: as
            ``class_logsumexp``.
    """
    backend, kind_xp = backend_of(x), backend_of(of_x).xp
    xp = backend.xp
    # Of row i the class's places in y: [first, end).
    first, end = kind_xp.searchsorted(of_y, of_x), kind_xp.searchsorted(of_y, of_x, side="right")
    first_there, end_there = backend.asarray(first), backend.asarray(end)
    tiles = row_tiles(x, len(y), tile)
    sums = ClassLogSums(*xp.empty((2, len(x)), dtype=x.dtype))

    def classes_of(rows):
        """The arguments of both formulas that say which pairs are which, and the logits."""
        near, itself = (int(first[rows.start]), int(end[rows.stop - 1])), rows.start if same else -len(x)
        return first_there[rows], end_there[rows], margin, scale, weighted, itself, *near

    def sum_up(share):
        for rows in share:
            s = backend.product(x[rows], y.T)
            class_sums_into(backend, *classes_of(rows), s, sums.negatives[rows], sums.positives[rows])

    backend.map_shares(sum_up, tiles)

    def backward(g):
        finite = [xp.where(xp.isfinite(one), one, 0) for one in sums]
        g_x = xp.zeros_like(x)

        def visit(share):
            g_y = xp.zeros_like(y)
            for rows in share:
                s = backend.product(x[rows], y.T)
                class_weights_into(backend, *classes_of(rows), *(one[rows] for one in (*finite, *g)), s)
                g_x[rows] += backend.product(s, y)
                g_y += backend.product(s.T, x[rows])
            return g_y

        return g_x, reduce(operator.iadd, backend.map_shares(visit, tiles))

    return sums, backward


# Of column c of a row: whether it is of the row's class, and y with its logit.
_LOGIT = """
    const auto near = [&](long long c) { return c >= first[row] && c < end[row]; };
    const auto y_of = [&](long long c) {
        const T value = near(c) ? 1 - x[row * width + c] : x[row * width + c];
        return weighted && value < -margin ? -margin : value;
    };
    const auto logit_of = [&](T y) { return scale * (weighted ? y * y - margin * margin : y - margin); };
"""
_CLASSES = (
    "raw int64 first, raw int64 end, number margin, number scale, int64 weighted, int64 start, int64 left, int64 right"
)


@by_rows(
    _CLASSES,
    "T x, T negatives, T positives",
    _LOGIT
    + """
    T top_n = -INFINITY, top_p = -INFINITY, sum_n = 0, sum_p = 0;
    for (long long c = lane; c < width; c += 32) {
        if (c == start + row) continue;
        const T logit = logit_of(y_of(c));
        if (near(c)) top_p = logit > top_p ? logit : top_p; else top_n = logit > top_n ? logit : top_n;
    }
    top_n = warp_max(top_n);
    top_p = warp_max(top_p);
    if (!(fabs(top_n) < INFINITY)) top_n = 0;
    if (!(fabs(top_p) < INFINITY)) top_p = 0;
    for (long long c = lane; c < width; c += 32) {
        if (c == start + row) continue;
        const T logit = logit_of(y_of(c));
        if (near(c)) sum_p += exp(logit - top_p); else sum_n += exp(logit - top_n);
    }
    sum_n = warp_sum(sum_n);
    sum_p = warp_sum(sum_p);
    if (lane == 0) {
        negatives[row] = sum_n > 0 ? log(sum_n) + top_n : -INFINITY;
        positives[row] = sum_p > 0 ? log(sum_p) + top_p : -INFINITY;
    }
    """,
)
def class_sums_into(backend, first, end, margin, scale, weighted, start, left, right, x, negatives, positives):
    """Fill the log-sum-exps (M,) of rows with similarities x (M, N), which are used up.

    Row i is column ``start`` + i, which does not count; none is, where ``start`` is below -M.

    ``first``, ``end`` (M,): the columns of each row's class; ``left``, ``right``: those of all of these classes.
    """
    xp = backend.xp
    same = _flipped(xp, first, end, left, right, -margin if weighted else None, x)
    of_positives = _logits(xp, same, margin, scale, weighted, start, left, right, x, out=x)
    negatives[...], positives[...] = _logsumexp(backend, x), _logsumexp(backend, of_positives)


@by_rows(
    f"{_CLASSES}, T negatives, T positives, T g_negatives, T g_positives",
    "T x",
    _LOGIT
    + """
    for (long long c = lane; c < width; c += 32) {
        const T y = y_of(c), logit = logit_of(y), slope = weighted ? scale * (y + margin) : scale;
        const T share = near(c) ? -exp(logit - positives[row]) * g_positives[row]
                                : exp(logit - negatives[row]) * g_negatives[row];
        x[row * width + c] = c == start + row ? 0 : share * slope;
    }
    """,
)
def class_weights_into(
    backend, first, end, margin, scale, weighted, start, left, right, negatives, positives, g_negatives, g_positives, x
):
    """Turn similarities x (M, N), as in ``class_sums_into``, into their gradients, from those of the sums (M,)."""
    xp = backend.xp
    same = _flipped(xp, first, end, left, right, -margin if weighted else None, x)
    weights = xp.empty_like(x)
    of_positives = _logits(xp, same, margin, scale, weighted, start, left, right, x, out=weights)
    weigh_shares(backend, negatives, g_negatives, None, None, weights)
    weigh_shares(backend, positives, g_positives, None, None, of_positives)
    weights[:, left:right] -= of_positives  # x falls where the similarity of a positive rises
    if weighted:
        x += margin
        x *= scale
        x *= weights
    else:
        xp.multiply(weights, scale, out=x)


def _flipped(xp, first, end, left, right, least, x):
    """Turn s into 1 - s within a class, and both into ``least`` where they are below, in place.

    Returns which of the columns left to right are of the row's class (M, right - left).
    """
    columns, near = xp.arange(left, right), x[:, left:right]
    same = (columns >= first[:, None]) & (columns < end[:, None])
    xp.copyto(near, 1 - near, where=same)
    if least is not None:
        xp.maximum(x, least, out=x)
    return same


def _logits(xp, same, margin, scale, weighted, start, left, right, x, out):
    """Logits of the negatives in ``out`` (M, N) and, returned, those of the positives (M, right - left); else -inf."""
    if weighted:
        xp.multiply(x, x, out=out)
        out -= margin**2
    else:
        xp.subtract(x, margin, out=out)
    out *= scale
    of_positives = xp.where(same, out[:, left:right], -xp.inf)
    if start >= 0:
        of_positives[xp.arange(len(out)), xp.arange(start - left, start - left + len(out))] = -xp.inf
    xp.copyto(out[:, left:right], -xp.inf, where=same)
    return of_positives


def _logsumexp(backend, logits):
    """Over each row, -inf for a row of them or of none; ``logits`` is overwritten."""
    xp = backend.xp
    if not logits.shape[1]:
        return -xp.inf
    top = logits.max(axis=1)
    top = xp.where(xp.isfinite(top), top, 0)
    total = xp.zeros_like(top)
    add_shares(backend, top, logits, total)
    return log_total(backend, total, top)
