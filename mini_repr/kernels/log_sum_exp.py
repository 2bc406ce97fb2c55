"""Log-sum-exp over a similarity matrix that is never held whole.

The one tiling helper of the pair losses. Rows are taken a tile at a time; the backward pass computes each tile again
instead of storing it, so that memory is O(tile * K) for (M, K) similarities. Cheng et al. 2024, arXiv 2410.17243, do
the same over GPU tiles and rings of devices.
"""

import math
import operator
from functools import reduce

from mini_repr.backend import backend_of, blocks_of
from mini_repr.kernels.tiles import row_tiles

# Columns a block: with the rows of a tile about the products' best shape.
COLUMNS = 4096


def largest_similarity(x, y):
    """max_i |x_i| max_j |y_j|, a bound of every |x_i·y_j|, as a Python float."""
    backend = backend_of(x)
    with backend.overflow_to_infinity():
        return float(backend.xp.sqrt((x * x).sum(axis=1).max() * (y * y).sum(axis=1).max()))


def similarity_logsumexp(
    x, y, scale, columns=False, skip_diagonal=False, tile=None, y_gradient=True, same=None, apart=None
):
    """Row (and column) log-sum-exp of the logits L = scale * x yᵀ.

    Args:
        x: (M, D). y: (K, D). scale: number.
        columns: whether to give the column sums too, from the same product.
        skip_diagonal: leave L_ii out (needs M = K).
        tile: rows a tile; None chooses.
        y_gradient: whether y takes a gradient.
        same: (M,) integers; with them, only pairs of equal ones count (needs M = K). A row without any gives -inf.
        apart: (M,) integers; with them, only pairs of different ones count, likewise.
    Returns:
        ((rows (M,), cols (K,) or None), backward). ``backward(g_rows, g_cols=None)`` takes the gradients of the two,
        (M,) and (K,), and returns those of x, y (0 without ``y_gradient``) and scale.
    """
    backend = backend_of(x)
    xp = backend.xp
    # Where no two logits are further apart than the exponents of the dtype allow, one shift serves all rows and columns
    # and one exponential an element. Elsewhere (small temperatures) each row has its own, and columns one more pass.
    reach = abs(float(scale)) * largest_similarity(x, y)
    one_shift = 2 * reach < -math.log(float(xp.finfo(x.dtype).tiny)) - 8
    # Two levels: a tile of rows meets the columns a block at a time, so that products stay well shaped for any K. A row
    # with a shift of its own is needed whole.
    blocks = blocks_of(len(y), COLUMNS if one_shift else len(y))
    tiles = row_tiles(x, min(COLUMNS, len(y)) if one_shift else len(y), tile)

    def logits_of(rows, cols):
        logits = (x[rows] * scale) @ y[cols].T
        if skip_diagonal:
            shared = xp.arange(max(rows.start, cols.start), max(rows.start, cols.start, min(rows.stop, cols.stop)))
            logits[shared - rows.start, shared - cols.start] = -xp.inf
        if same is not None:
            logits[same[rows][:, None] != same[cols]] = -xp.inf
        if apart is not None:
            logits[apart[rows][:, None] == apart[cols]] = -xp.inf
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
        logits -= reach
        shares = xp.exp(logits, out=logits)
        row_total[rows] += shares.sum(axis=1)
        if columns:
            col_sums[cols] += shares.sum(axis=0)

    def sum_rows(rows, cols, logits, col_tops):
        row_top[rows] = _finite_or_zero(xp, logits.max(axis=1))
        if columns:
            xp.maximum(col_tops, logits.max(axis=0), out=col_tops)
        logits -= row_top[rows, None]
        row_total[rows] = xp.exp(logits, out=logits).sum(axis=1)

    def sum_columns(rows, cols, logits, col_sums):
        logits -= col_top
        col_sums += xp.exp(logits, out=logits).sum(axis=0)

    if one_shift:
        col_top, col_total = reach, sweep(sum_both, zeros if columns else no_sums)
    elif columns:
        col_top = _finite_or_zero(xp, sweep(sum_rows, lambda: zeros() - xp.inf, join=xp.maximum))
        col_total = sweep(sum_columns, zeros)
    else:
        sweep(sum_rows, no_sums)
    over_rows = _log(xp, row_total) + row_top
    over_cols = _log(xp, col_total) + col_top if columns else None

    def backward(g_rows, g_cols=None):
        row_weight = (g_rows / xp.where(row_total == 0, 1, row_total))[:, None]
        col_weight = None if g_cols is None else g_cols / xp.where(col_total == 0, 1, col_total)
        g_x = xp.zeros_like(x)

        def weights_of(rows, cols, logits):
            """d value / d L of a block, in the memory of its logits."""
            from_cols = 0
            if g_cols is not None and not one_shift:
                from_cols = xp.exp(logits - col_top)
                from_cols *= col_weight
            logits -= row_top[rows, None]
            weights = xp.exp(logits, out=logits)
            weights *= row_weight[rows] + col_weight[cols] if g_cols is not None and one_shift else row_weight[rows]
            weights += from_cols
            return weights

        def visit(rows, cols, logits, g_y):
            weights = weights_of(rows, cols, logits)
            g_x[rows] += weights @ y[cols]
            if y_gradient:
                g_y[cols] += weights.T @ x[rows]

        g_y = sweep(visit, (lambda: xp.zeros_like(y)) if y_gradient else no_sums)
        g_scale = (x * g_x).sum()  # sum_ij weight_ij x_i·y_j
        g_x *= scale
        return g_x, g_y * scale, g_scale

    return (over_rows, over_cols), backward


def within_logsumexp(u, v, scale, tile=None):
    """Log-sum-exp of each row of u over the other rows of u, and the same for v (which may be None)."""
    return _each(u, v, lambda x: similarity_logsumexp(x, x, scale, skip_diagonal=True, tile=tile), itself=True)


def queue_logsumexp(u, v, queue, scale, tile=None):
    """Log-sum-exp of each row of u over the rows of a queue (K, D) that takes no gradient; the same for v (or None)."""
    return _each(u, v, lambda x: similarity_logsumexp(x, queue, scale, tile=tile, y_gradient=False), itself=False)


def _each(u, v, sums_of, itself):
    (over_u, _), back_u = sums_of(u)
    (over_v, _), back_v = sums_of(v) if v is not None else ((None, None), None)

    def backward(g_u_sums, g_v_sums=None):
        g_u, g_candidates, g_scale = back_u(g_u_sums)
        if itself:
            g_u += g_candidates
        if v is None:
            return g_u, 0, g_scale
        g_v, g_candidates, more = back_v(g_v_sums)
        if itself:
            g_v += g_candidates
        return g_u, g_v, g_scale + more

    return (over_u, over_v), backward


def partner_logit(u, v, scale):
    """The logit of each row with its partner, scale * u_i·v_i, in the form of the sums above: one candidate each."""
    logit = (u * v).sum(axis=1) * scale

    def backward(g_u_sums, g_v_sums=None):
        g = (g_u_sums if g_v_sums is None else g_u_sums + g_v_sums)[:, None]
        return g * scale * v, g * scale * u, (g[:, 0] * logit).sum() / scale

    return (logit, logit), backward


def combine(parts):
    """Join log-sum-exps over disjoint sets of candidates.

    Args:
        parts: list of ``((over_u (B,), over_v (B,) or None), backward)``, as the functions above return.
    Returns:
        The same form for the union: log sum_k e^{part_k}; a part's share of the gradient is e^{part_k - total}.
    """
    if len(parts) == 1:
        return parts[0]
    xp = backend_of(parts[0][0][0]).xp

    def join(values):
        total = values[0]
        for value in values[1:]:
            total = xp.logaddexp(total, value)
        return total

    over_u = join([over_u for (over_u, _), _ in parts])
    over_v = None if any(over_v is None for (_, over_v), _ in parts) else join([over_v for (_, over_v), _ in parts])

    def backward(g_u_sums, g_v_sums=None):
        gradients = []
        for (part_u, part_v), back in parts:
            g_v_part = None if g_v_sums is None else g_v_sums * xp.exp(part_v - over_v)
            gradients.append(back(g_u_sums * xp.exp(part_u - over_u), g_v_part))
        return tuple(sum(one[1:], one[0]) for one in zip(*gradients, strict=True))

    return (over_u, over_v), backward


def _finite_or_zero(xp, values):
    return xp.where(xp.isfinite(values), values, 0)


def _log(xp, total):
    """log, with -inf for 0 (nothing was summed) and no warning."""
    empty = total <= 0
    return xp.where(empty, -xp.inf, xp.log(xp.where(empty, 1, total)))
