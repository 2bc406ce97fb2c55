"""Log-sum-exps of each row's logits with the rows of its own class and with those of all others."""

import operator
from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

from mini_repr.autograd import primitive
from mini_repr.backend import backend_of
from mini_repr.kernels.log_sum_exp import add_shares, weigh_shares
from mini_repr.kernels.tiles import row_tiles


class ClassLogSums(NamedTuple):
    """(N,) each, -inf where there is no pair: over the rows of other classes, and over the other rows of the class."""

    negatives: object
    positives: object


class Logit(NamedTuple):
    """Logits as a function of x = s for the similarity s of rows of two classes, and of x = 1 - s within a class.

    ``prepare(x)`` is applied in place first; ``of(x, out)`` writes the logits of what it leaves; ``times_slope(w, x)``
    multiplies w in place by what the gradient takes for their slope.
    """

    prepare: Callable
    of: Callable
    times_slope: Callable


@primitive
def class_logsumexp(u, /, kind, logit, tile=None):
    """``ClassLogSums`` of the rows u (N, D), which are sorted by their classes ``kind`` (N,).

    So the positives of a tile of rows lie side by side. O(N * tile) memory.

    Args:
        kind: where it lies on the host, no GPU is waited for. logit: a ``Logit``. tile: rows per tile; None chooses.
    """
    backend, kind_xp = backend_of(u), backend_of(kind).xp
    xp = backend.xp
    # Row i's class: [first, end).
    first, end = kind_xp.searchsorted(kind, kind), kind_xp.searchsorted(kind, kind, side="right")
    kind = backend.asarray(kind)
    tiles = row_tiles(u, len(u), tile)
    sums = ClassLogSums(*xp.empty((2, len(u)), dtype=u.dtype))

    def pairs_of(rows):
        """The x of a tile (tile, N), the columns of its rows' classes, and which of these are of the row's class."""
        x = backend.product(u[rows], u.T)
        near = slice(int(first[rows.start]), int(end[rows.stop - 1]))
        same = kind[rows, None] == kind[near]
        xp.copyto(x[:, near], 1 - x[:, near], where=same)
        logit.prepare(x)
        return x, near, same

    def logits_of(rows, x, near, same, out):
        """Logits of the negatives in ``out`` (tile, N) and those of the positives (tile, near); -inf elsewhere."""
        logit.of(x, out)
        of_positives = xp.where(same, out[:, near], -xp.inf)
        of_positives[xp.arange(len(out)), xp.arange(rows.start - near.start, rows.stop - near.start)] = -xp.inf
        xp.copyto(out[:, near], -xp.inf, where=same)
        return out, of_positives

    def sum_up(share):
        for rows in share:
            x, *where = pairs_of(rows)
            negatives, positives = logits_of(rows, x, *where, out=x)
            sums.negatives[rows], sums.positives[rows] = (_logsumexp(backend, one) for one in (negatives, positives))

    backend.map_shares(sum_up, tiles)

    def backward(g):
        g_negatives, g_positives = g
        finite = ClassLogSums(*(xp.where(xp.isfinite(one), one, 0) for one in sums))
        g_rows = xp.zeros_like(u)

        def visit(share):
            g_columns = xp.zeros_like(u)
            for rows in share:
                x, near, same = pairs_of(rows)
                weights, of_positives = logits_of(rows, x, near, same, out=xp.empty_like(x))
                weigh_shares(backend, finite.negatives[rows], g_negatives[rows], None, None, weights)
                weigh_shares(backend, finite.positives[rows], g_positives[rows], None, None, of_positives)
                weights[:, near] -= of_positives  # x falls where the similarity of a positive rises
                logit.times_slope(weights, x)
                g_rows[rows] += backend.product(weights, u)
                g_columns += backend.product(weights.T, u[rows])
            return g_columns

        return reduce(operator.iadd, backend.map_shares(visit, tiles), g_rows)

    return sums, backward


def _logsumexp(backend, logits):
    """Over each row, -inf for a row of them; ``logits`` is overwritten."""
    xp = backend.xp
    top = logits.max(axis=1)
    top = xp.where(xp.isfinite(top), top, 0)
    total = xp.zeros_like(top)
    add_shares(backend, top, logits, total)
    return xp.where(total > 0, xp.log(xp.where(total > 0, total, 1)) + top, -xp.inf)
