"""Log-sum-exp over a similarity matrix that is never held whole.

The one tiling helper of the pair losses. Rows are taken a tile at a time; the backward pass computes each tile again
instead of storing it, so that memory is O(tile * K) for (M, K) similarities. Cheng et al. 2024, arXiv 2410.17243, do
the same over GPU tiles and rings of devices.
"""

from mini_repr.backend import backend_of

TILE_BYTES = 2 * 1024 * 1024


def choose_tile(columns, itemsize):
    """Rows a tile: about 2 MiB of similarities, so that exponentials run in the cache and products stay large."""
    return max(16, TILE_BYTES // (columns * itemsize))


def row_tiles(rows, columns, itemsize, tile=None):
    """Slices that cover ``range(rows)``, ``tile`` rows each; None chooses."""
    tile = tile or choose_tile(columns, itemsize)
    return [slice(start, min(start + tile, rows)) for start in range(0, rows, tile)]


def similarity_logsumexp(x, y, scale, columns=False, skip_diagonal=False, tile=None, y_gradient=True, same=None):
    """Row (and column) log-sum-exp of the logits L = scale * x yᵀ.

    Args:
        x: (M, D). y: (K, D). scale: number.
        columns: whether to give the column sums too, from the same product.
        skip_diagonal: leave L_ii out (needs M = K).
        tile: rows a tile; None chooses.
        y_gradient: whether y takes a gradient.
        same: (M,) integers; with them, only pairs of equal ones count (needs M = K). A row without any gives -inf.
    Returns:
        ((rows (M,), cols (K,) or None), backward). ``backward(g_rows, g_cols=None)`` takes the gradients of the two,
        (M,) and (K,), and returns those of x, y (0 without ``y_gradient``) and scale.
    """
    xp = backend_of(x).xp
    tile = tile or choose_tile(len(y), x.dtype.itemsize)
    tiles = [slice(start, min(start + tile, len(x))) for start in range(0, len(x), tile)]

    def logits_of(some, others, numbers):
        logits = (some * scale) @ others.T
        if skip_diagonal:
            logits[xp.arange(len(numbers)), numbers] = -xp.inf
        if same is not None:
            logits[same[numbers][:, None] != same] = -xp.inf
        return logits

    def rows_of(tile):
        return logits_of(x[tile], y, xp.arange(tile.start, tile.stop))

    over_rows = xp.empty(len(x), dtype=x.dtype)
    over_cols = None
    col_sum, shift = (xp.zeros(len(y), dtype=x.dtype), -xp.inf) if columns else (None, None)
    for rows in tiles:
        shares, top = _exponentials(xp, rows_of(rows))
        over_rows[rows] = _log(xp, shares.sum(axis=1)) + top
        if columns:
            # The same exponentials serve the columns: e^(L - shift) = e^(L - top) e^(top - shift), a product.
            new_shift = xp.maximum(shift, top.max())
            col_sum *= xp.exp(shift - new_shift)
            col_sum += xp.exp(top - new_shift) @ shares
            shift = new_shift
    if columns:
        over_cols = _log(xp, col_sum) + shift
        # A column far below the largest logit of all loses its digits in that product: it is summed by itself.
        kind = xp.finfo(x.dtype)
        lost = xp.nonzero(col_sum < len(x) * float(kind.tiny) / float(kind.eps))[0]
        for start in range(0, len(lost), tile):
            some = lost[start : start + tile]
            shares, top = _exponentials(xp, logits_of(y[some], x, some))
            over_cols[some] = _log(xp, shares.sum(axis=1)) + top

    def backward(g_rows, g_cols=None):
        g_x, g_y = xp.empty_like(x), xp.zeros_like(y) if y_gradient else 0
        for rows in tiles:
            logits = rows_of(rows)
            if g_cols is not None:
                from_cols = xp.exp(logits - _finite_or_zero(xp, over_cols))
                from_cols *= g_cols
            logits -= _finite_or_zero(xp, over_rows[rows])[:, None]
            weights = xp.exp(logits, out=logits)
            weights *= g_rows[rows, None]
            if g_cols is not None:
                weights += from_cols
            g_x[rows] = weights @ y
            if y_gradient:
                g_y += weights.T @ x[rows]
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


def _exponentials(xp, logits):
    """e^(L - top) in the memory of L (rows, K), and top (rows,), each row's largest logit (0 where all are -inf)."""
    top = _finite_or_zero(xp, logits.max(axis=1))
    logits -= top[:, None]
    return xp.exp(logits, out=logits), top


def _finite_or_zero(xp, values):
    return xp.where(xp.isfinite(values), values, 0)


def _log(xp, total):
    """log, with -inf for 0 (nothing was summed) and no warning."""
    empty = total <= 0
    return xp.where(empty, -xp.inf, xp.log(xp.where(empty, 1, total)))
