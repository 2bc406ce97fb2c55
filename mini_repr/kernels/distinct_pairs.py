"""Sums over the pairs of one set of rows; the N x N matrix is never stored whole.

Each pair i < j is visited once, a tile of rows against a block of later rows at a time. The backward pass computes each
tile again instead of storing it: beside copies of the rows, the memory of a tile. Distances do not see a shift of all
rows, so rows are centred first, which saves digits where they lie far from the origin and close together.
"""

import math

from mini_repr.autograd import primitive
from mini_repr.backend import backend_of, blocks_of
from mini_repr.kernels.tiles import COLUMNS, choose_tile


@primitive
def pair_log_mean_exp(x, /, scale, distances=True, self_pairs=False, tile=None):
    """Log of the mean over pairs i != j of e^L_ij: a 0-d array, finite however far the rows lie apart.

    L_ij = -scale |x_i - x_j|² or, without ``distances``, scale x_i·x_j.

    Args:
        x: (N, D), N >= 2. scale: number above 0, a constant.
        self_pairs: whether the mean runs over the N pairs i = j too.
        tile: rows per tile; None chooses.
    """
    xp = backend_of(x).xp
    slope = -scale if distances else scale
    if distances:
        x = x - backend_of(x).column_means(x)

    # The sum is top + log(total). The two stay apart: where distances are large, their sum has lost digits of e^L.
    def tops_and_totals(blocks):
        found = []  # (top, total) of a tile, of which each pair stands for (i, j) and (j, i)
        for _, _, values in _pairs(x, distances, blocks):
            values *= slope
            top, total = _top_and_total(xp, values)
            found.append((top, 2 * total))
        return found

    parts = [part for share in backend_of(x).map_shares(tops_and_totals, _blocks(x, tile)) for part in share]
    count = len(x) * (len(x) - 1)
    if self_pairs:
        own = xp.zeros(len(x), dtype=x.dtype) if distances else scale * (x * x).sum(axis=1)
        parts.append(_top_and_total(xp, own.copy()))
        count = len(x) ** 2
    tops, totals = (xp.stack(part) for part in zip(*parts, strict=True))
    top = tops.max()
    total = (xp.exp(tops - top) * totals).sum()

    def backward(g):
        share = g / total

        def weights_of(values):
            values *= slope
            values -= top
            weights = xp.exp(values, out=values)
            weights *= 2 * slope * share
            return weights

        g_x = _pull(x, distances, tile, weights_of)
        if self_pairs and not distances:
            g_x += (2 * scale * share * xp.exp(own - top))[:, None] * x
        return g_x

    return top + xp.log(total) - math.log(count), backward


@primitive
def pair_hinge(x, /, margin, tile=None):
    """Sum over the pairs i < j of max(0, margin - |x_i - x_j|²)²: a 0-d array."""
    xp = backend_of(x).xp
    x = x - backend_of(x).column_means(x)

    def shortfall(values):
        xp.subtract(margin, values, out=values)
        return xp.maximum(values, 0, out=values)

    def squares(blocks):
        shortfalls = (shortfall(values) for _, _, values in _pairs(x, True, blocks))
        return sum((short * short).sum() for short in shortfalls)

    total = sum(backend_of(x).map_shares(squares, _blocks(x, tile)))

    def backward(g):
        def weights_of(values):
            weights = shortfall(values)
            weights *= -2 * g
            return weights

        return _pull(x, True, tile, weights_of)

    return total, backward


def _blocks(x, tile):
    """Tiles of rows that have later rows. Early ones have more: in this order each core gets some of both."""
    blocks = blocks_of(len(x) - 1, tile or choose_tile(x, min(COLUMNS, len(x))))
    return [*blocks[::2], *blocks[1::2]]


def _pairs(x, distances, blocks):
    """Yield (rows, columns, values): |x_i - x_j|² (or x_i·x_j) for i in rows, j in columns, each pair i < j once.

    Places with j <= i hold +inf (or -inf), so that they weigh nothing in what follows. ``values`` may be overwritten.
    """
    xp = backend_of(x).xp
    squares = (x * x).sum(axis=1) if distances else None
    for rows in blocks:
        for start in range(rows.start + 1, len(x), COLUMNS):
            columns = slice(start, min(start + COLUMNS, len(x)))
            values = x[rows] @ x[columns].T
            if distances:
                values *= -2
                values += squares[rows, None]
                values += squares[columns]
                xp.maximum(values, 0, out=values)  # rounding must not make a distance negative
            near = max(0, min(rows.stop, columns.stop) - start)
            earlier = xp.tri(len(values), near, k=rows.start - start, dtype=bool)
            xp.copyto(values[:, :near], math.inf if distances else -math.inf, where=earlier)
            yield rows, columns, values


def _pull(x, distances, tile, weights_of):
    """The gradient of x from ``weights_of(values)``, the gradient of every pair's value."""
    xp = backend_of(x).xp

    def pull(blocks):
        g_x, mass = xp.zeros_like(x), xp.zeros((len(x), 1), dtype=x.dtype)
        for rows, columns, values in _pairs(x, distances, blocks):
            weights = weights_of(values)
            g_x[rows] += weights @ x[columns]
            g_x[columns] += weights.T @ x[rows]
            mass[rows] += weights.sum(axis=1, keepdims=True)
            mass[columns] += weights.T.sum(axis=1, keepdims=True)
        return g_x, mass

    g_x, mass = map(sum, zip(*backend_of(x).map_shares(pull, _blocks(x, tile)), strict=True))
    return 2 * (mass * x - g_x) if distances else g_x  # sum_j w_ij 2 (x_i - x_j), or sum_j w_ij x_j


def _top_and_total(xp, values):
    """The largest element and the sum of e^(values - it), of at least one finite element; ``values`` is overwritten."""
    top = values.max()
    values -= top
    return top, xp.exp(values, out=values).sum()
