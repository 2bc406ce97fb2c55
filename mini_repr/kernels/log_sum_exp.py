"""Log-sum-exp over a similarity matrix that is never stored whole, and over the candidates of contrastive losses.

Rows are taken a tile at a time; the backward pass computes each tile again instead of storing it, so that memory is
O(tile * K) for (M, K) similarities. Cheng et al. 2024, arXiv 2410.17243, do the same over GPU tiles and rings of
devices.
"""

import math
import operator
from functools import partial, reduce
from itertools import zip_longest
from typing import NamedTuple

from mini_repr.autograd import primitive
from mini_repr.backend import backend_of, blocks_of, is_array, waits_to_read
from mini_repr.fused import by_rows, elementwise
from mini_repr.kernels.tiles import COLUMNS, row_tiles


def largest_similarity(x, y, unit=False):
    """max_i |x_i| max_j |y_j|, a bound of every |x_i·y_j|, as a Python float.

    ``unit``: whether no row is longer than 1. Where reading a number would wait for a device, the answer is then 1, and
    for other rows infinity.
    """
    backend = backend_of(x)
    if backend.reading_waits:
        return 1.0 if unit else math.inf
    with backend.overflow_to_infinity():
        return float(backend.xp.sqrt((x * x).sum(axis=1).max() * (y * y).sum(axis=1).max()))


class LogSums(NamedTuple):
    """Log-sum-exps of the rows and of the columns of a matrix of logits, or their gradients; None for what is not used.

    For two views: of the anchors in the one and in the other.
    """

    rows: object
    columns: object = None


@primitive
def similarity_logsumexp(
    x, y, scale, /, columns=False, skip_diagonal=False, tile=None, y_gradient=True, same=None, apart=None, unit=False
):
    """Row (and column) log-sum-exp of the logits L = scale * x yᵀ, as ``LogSums``.

    The gradient of L_ij is the softmax: e^(L_ij - sum of its row) times the gradient of that sum, likewise by columns.

    Args:
        x: (M, D). y: (K, D). scale: number.
        columns: whether to give the column sums (K,) too, from the same product.
        skip_diagonal: leave L_ii out (needs M = K).
        tile: rows per tile; None chooses.
        y_gradient: whether y takes a gradient.
        same: (M,) integers; with them, only pairs of equal ones count (needs M = K). A row without any gives -inf.
        apart: (M,) integers; with them, only pairs of different ones count, likewise.
        unit: whether no row is longer than 1.
    """
    backend = backend_of(x)
    xp = backend.xp
    # Where no two logits are further apart than the exponents of the dtype allow, one shift serves all rows and columns
    # and one exponential an element. Elsewhere (small temperatures, or what a device would have to be waited for) each
    # row has its own, and columns one more pass.
    reach = math.inf if waits_to_read(scale) else abs(float(scale)) * largest_similarity(x, y, unit)
    one_shift = 2 * reach < -math.log(float(xp.finfo(x.dtype).tiny)) - 8
    # Two levels: a tile of rows meets the columns a block at a time, so that products stay well shaped for any K. A row
    # with a shift of its own is needed whole.
    blocks = blocks_of(len(y), COLUMNS if one_shift else len(y))
    tiles = row_tiles(x, min(COLUMNS, len(y)) if one_shift else len(y), tile)

    def logits_of(rows, cols):
        logits = backend.product(x[rows] * scale, y[cols].T)
        if skip_diagonal:
            shared = xp.arange(max(rows.start, cols.start), max(rows.start, cols.start, min(rows.stop, cols.stop)))
            logits[shared - rows.start, shared - cols.start] = -xp.inf
        if same is not None:
            xp.copyto(logits, -xp.inf, where=same[rows][:, None] != same[cols])
        if apart is not None:
            xp.copyto(logits, -xp.inf, where=apart[rows][:, None] == apart[cols])
        return logits

    def sweep(visit, start, join=operator.iadd):
        """``visit(rows, cols, logits, sums)`` on every block of every tile; ``start()`` makes the sums of a core.

        Returns the sums of all cores, joined.
        """

        def work(share):
            sums = start()
            for rows in share:
                for cols in blocks:
                    visit(rows, cols, logits_of(rows, cols), sums)
            return sums

        return reduce(join, backend.map_shares(work, tiles))

    # Every row's (and column's) largest logit, or the shift in its place, and the sum of e^(logit - top). They are kept
    # apart: added up in the log domain, they would lose digits that e^logit needs where logits are large.
    row_top = xp.full(len(x), reach, dtype=x.dtype)
    row_total = xp.zeros(len(x), dtype=x.dtype)
    col_top = col_total = None

    def no_sums():
        return 0

    def zeros():
        return xp.zeros(len(y), dtype=x.dtype)

    def sum_both(rows, cols, logits, col_sums):
        add_shares(backend, row_top[rows], logits, row_total[rows])
        if columns:
            col_sums[cols] += backend.column_sums(logits)

    def sum_rows(rows, cols, logits, col_tops):
        row_top[rows] = _finite_or_zero(xp, logits.max(axis=1))
        if columns:
            xp.maximum(col_tops, logits.max(axis=0), out=col_tops)
        add_shares(backend, row_top[rows], logits, row_total[rows])

    def sum_columns(rows, cols, logits, col_sums):
        logits -= col_top
        col_sums += backend.column_sums(xp.exp(logits, out=logits))

    if one_shift:
        col_top, col_total = reach, sweep(sum_both, zeros if columns else no_sums)
    elif columns:
        col_top = _finite_or_zero(xp, sweep(sum_rows, lambda: zeros() - xp.inf, join=xp.maximum))
        col_total = sweep(sum_columns, zeros)
    else:
        sweep(sum_rows, no_sums)
    over = LogSums(log_total(backend, row_total, row_top), log_total(backend, col_total, col_top) if columns else None)

    def backward(g):
        g_rows, g_cols = g
        g_rows = xp.zeros_like(row_total) if g_rows is None else g_rows
        row_weight = _weight(backend, g_rows, row_total)
        col_weight = None if g_cols is None else _weight(backend, g_cols, col_total)
        g_x = xp.zeros_like(x)

        def visit(rows, cols, logits, g_y):
            of_cols = None if g_cols is None else col_weight[cols]
            apart = None if g_cols is None or one_shift else col_top
            weigh_shares(backend, row_top[rows], row_weight[rows], apart, of_cols, logits)
            g_x[rows] += backend.product(logits, y[cols])
            if y_gradient:
                g_y[cols] += backend.product(logits.T, x[rows])

        g_y = sweep(visit, (lambda: xp.zeros_like(y)) if y_gradient else no_sums)
        g_scale = (x * g_x).sum()  # sum_ij weight_ij x_i·y_j
        g_x *= scale
        return g_x, g_y * scale if y_gradient else None, g_scale

    return over, backward


@primitive
def candidate_logsumexp(
    u, v, scale, further=None, /, among="batch", queue=None, symmetric=True, partner=True, tile=None, unit=False
):
    """Log-sum-exp of every anchor's logits scale * u_i·c over its candidates c, as ``LogSums`` of the two views.

    Args:
        u, v: (B, D), row i of the one is the partner of row i of the other. scale: number.
        further: (M, D), candidates of every row of u beside all others; None for none.
        among: where the candidates besides the partner come from: "batch", the other rows of the other view; "views",
            these and the other rows of the own view; "queue", the rows of ``queue`` (K, D), which takes no gradient.
        symmetric: whether the rows of v are anchors too.
        partner: whether the partner is a candidate.
        tile: rows per tile; None chooses. unit: whether no row is longer than 1.
    """
    if among == "queue":
        parts = [_queue_sums(u, v if symmetric else None, queue, scale, tile, unit)]
        if partner:
            parts.append(partner_logit.on_arrays(u, v, scale))
    else:
        skip = not partner
        settings = {"columns": symmetric, "skip_diagonal": skip, "tile": tile, "unit": unit}
        parts = [similarity_logsumexp.on_arrays(u, v, scale, **settings)]
        if among == "views":
            parts.append(_own_view_sums(u, v if symmetric else None, scale, tile, unit))
    if further is not None:
        sums = partial(similarity_logsumexp.on_arrays, tile=tile, unit=unit)
        parts.append(further_sums(u, further, scale, symmetric, sums))
    return combine(parts)


def further_sums(u, further, scale, symmetric, sums):
    """LogSums of each row of u over further rows (M, D) and, ``symmetric``, of the other view over nothing.

    ``sums(u, further, scale)`` gives the first. The gradients are those of u, None, the scale and the further rows.
    """
    (rows, _), back = sums(u, further, scale)
    nothing = backend_of(rows).xp.full_like(rows, -math.inf) if symmetric else None

    def backward(g):
        g_u, g_further, g_scale = back((g[0], None))
        return g_u, None, g_scale, g_further

    return LogSums(rows, nothing), backward


def _own_view_sums(u, v, scale, tile, unit):
    """LogSums of each row of u over the other rows of u, and the same for v (which may be None)."""
    over_u, back_u = within_logsumexp.on_arrays(u, scale, tile=tile, unit=unit)
    over_v, back_v = (None, None) if v is None else within_logsumexp.on_arrays(v, scale, tile=tile, unit=unit)
    return LogSums(over_u, over_v), sums_backward(back_u, back_v)


def _queue_sums(u, v, queue, scale, tile, unit):
    """LogSums of each row of u over the rows of a queue (K, D) without a gradient; the same for v (or None)."""

    def sums_of(x):
        over, back = similarity_logsumexp.on_arrays(x, queue, scale, tile=tile, y_gradient=False, unit=unit)
        return over.rows, lambda g: back((g, None))[::2]

    over_u, back_u = sums_of(u)
    over_v, back_v = (None, None) if v is None else sums_of(v)
    return LogSums(over_u, over_v), sums_backward(back_u, back_v)


def sums_backward(back_u, back_v):
    """The backward function of two sums, each over one view alone (v may be None), with a common scale."""

    def backward(g):
        g_u, g_scale = back_u(g[0])
        if back_v is None:
            return g_u, None, g_scale
        g_v, more = back_v(g[1])
        return g_u, g_v, g_scale + more

    return backward


@primitive
def within_logsumexp(x, scale, /, tile=None, same=None, apart=None, unit=False):
    """Log-sum-exp (N,) of each row's logits scale * x_i·x_j with the other rows of x (N, D).

    ``same``, ``apart`` and ``unit`` as for ``similarity_logsumexp``.
    """
    settings = {"tile": tile, "same": same, "apart": apart, "unit": unit}
    over, back = similarity_logsumexp.on_arrays(x, x, scale, skip_diagonal=True, **settings)

    def backward(g):
        g_anchors, g_candidates, g_scale = back((g, None))
        g_anchors += g_candidates
        return g_anchors, g_scale

    return over.rows, backward


@primitive
def partner_logit(u, v, scale, /, logit=None):
    """The logit of each row with its partner, scale * u_i·v_i, as ``LogSums`` over one candidate each.

    ``logit``: the same (B,) where the caller has it, perhaps with more digits.
    """
    logit = (u * v).sum(axis=1) * scale if logit is None else logit

    def backward(g):
        total = g[0] if g[1] is None else g[0] + g[1]
        pull = (total * scale)[:, None]
        return pull * v, pull * u, (total * logit).sum() / scale

    return LogSums(logit, logit), backward


def combine(parts):
    """Join log-sum-exps over disjoint sets of candidates.

    Args:
        parts: list of ``(LogSums, backward)``, as the primitives above give on arrays.
    Returns:
        The same for the union: log sum_k e^{part_k}. The gradient of a part is e^{part_k - total} times that of the
        total. A part may have gradients beyond those of the others: they stand last.
    """
    if len(parts) == 1:
        return parts[0]
    xp = backend_of(parts[0][0].rows).xp
    columns = [over.columns for over, _ in parts]
    both = all(over is not None for over in columns)
    total = LogSums(
        reduce(xp.logaddexp, [over.rows for over, _ in parts]), reduce(xp.logaddexp, columns) if both else None
    )

    def backward(g):
        gradients = []
        for over, back in parts:
            g_columns = None if g[1] is None else g[1] * xp.exp(over.columns - total.columns)
            gradients.append(back(LogSums(g[0] * xp.exp(over.rows - total.rows), g_columns)))
        return tuple(_sum(one) for one in zip_longest(*gradients))

    return total, backward


def _sum(gradients):
    """The sum of those that are not None; None without any."""
    given = [g for g in gradients if g is not None]
    return reduce(operator.add, given) if given else None


@by_rows(
    "T top",
    "T logits, T total",
    """
    T sum = 0;
    for (long long c = lane; c < width; c += 32) {
        const T share = exp(logits[row * width + c] - top[row]);
        logits[row * width + c] = share;
        sum += share;
    }
    sum = warp_sum(sum);
    if (lane == 0) total[row] += sum;
    """,
)
def add_shares(backend, top, logits, total):
    """Turn logits (M, K) into e^(logit - top), top (M,) by rows, and add each row's sum to ``total`` (M,)."""
    logits -= top[:, None]
    total += backend.xp.exp(logits, out=logits).sum(axis=1)


@by_rows(
    "T top, T weight, T column_top, T column_weight",
    "T logits",
    """
    for (long long c = lane; c < width; c += 32) {
        const T logit = logits[row * width + c];
        T all = weight[row];
    #if defined(WITH_COLUMN_WEIGHT) && !defined(WITH_COLUMN_TOP)
        all += column_weight[c];
    #endif
        all *= exp(logit - top[row]);
    #ifdef WITH_COLUMN_TOP
        all += exp(logit - column_top[c]) * column_weight[c];
    #endif
        logits[row * width + c] = all;
    }
    """,
)
def weigh_shares(backend, top, weight, column_top, column_weight, logits):
    """Turn logits (M, K) into the gradient of their sums: e^(logit - top) weight by rows (M,), the same by columns.

    Without ``column_top`` (K,) the columns have the rows' tops; without ``column_weight`` (K,) they have no sums.
    """
    xp = backend.xp
    from_columns = None
    if column_top is not None:
        from_columns = xp.exp(logits - column_top)
        from_columns *= column_weight
    logits -= top[:, None]
    xp.exp(logits, out=logits)
    shared = column_weight is not None and column_top is None
    logits *= weight[:, None] + column_weight if shared else weight[:, None]
    if from_columns is not None:
        logits += from_columns


def _finite_or_zero(xp, values):
    return xp.where(xp.isfinite(values), values, 0)


def log_total(backend, total, top):
    """log(total) + top, where ``top`` is (M,) as ``total`` is, or a number; -inf for a total of 0: of nothing."""
    over = backend.xp.empty_like(total)
    log_total_into(backend, *((0.0, top) if is_array(top) else (top, None)), total, over)
    return over


@elementwise(
    "number shift, T top, T total",
    "T over",
    """
    over = total <= 0 ? -INFINITY : log(total) + shift;
    #ifdef WITH_TOP
        over += top;
    #endif
    """,
)
def log_total_into(backend, shift, top, total, over):
    """Fill ``over`` (M,) with log(total) + shift, + top (M,) where it is not None; -inf where ``total`` is 0."""
    xp = backend.xp
    empty = total <= 0
    over[...] = xp.where(empty, -xp.inf, xp.log(xp.where(empty, 1, total)))
    over += shift if top is None else top


def _weight(backend, g, total):
    """g / total (M,), g where ``total`` is 0."""
    weight = backend.xp.empty_like(total)
    weight_into(backend, g, total, weight)
    return weight


@elementwise("T g, T total", "T weight", "weight = g / (total == 0 ? (T)1 : total);")
def weight_into(backend, g, total, weight):
    xp = backend.xp
    xp.divide(g, xp.where(total == 0, 1, total), out=weight)
