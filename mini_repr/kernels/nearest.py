"""The nearest rows of each row, by similarity or by distance; ties are broken by row number."""

from mini_repr.backend import backend_of
from mini_repr.kernels.tiles import row_tiles


def most_similar(x, y, count, skip_diagonal=True, ceiling=None, tile=None):
    """The ``count`` rows of y with the largest x_i·y_j for each row x_i, largest first.

    Args:
        x: (M, D). y: (K, D). count: how many; as many as there are where there are no more.
        skip_diagonal: leave y_i out, the partner of x_i (needs M = K).
        ceiling: (M,), similarities of row i above which none counts; None for no such limit.
        tile: rows per tile; None chooses.
    Returns:
        (similarities, columns), both (M, count); a similarity of -inf means that fewer were left.
    """
    return _largest(x, y, count, 0, skip_diagonal, ceiling, tile)


def nearest_rows(x, count, tile=None):
    """Numbers (N, count) of the other rows nearest to each row of x (N, D) by Euclidean distance, nearest first.

    Exact but for the rounding of x·x, which costs more the further the rows lie from the origin: centre such rows.
    """
    # x_i·x_j - |x_j|² / 2 is |x_i|² / 2 - |x_i - x_j|² / 2: the same order for each i.
    return _largest(x, x, count, (x * x).sum(axis=1) / 2, True, None, tile)[1]


def _largest(x, y, count, subtracted, skip_diagonal, ceiling, tile):
    """As ``most_similar`` with x_i·y_j - subtracted_j for x_i·y_j."""
    backend = backend_of(x)
    xp = backend.xp
    count = min(count, len(y) - skip_diagonal)
    find = _by_sorting if backend.reading_waits else _by_partition
    values = xp.empty((len(x), count), dtype=x.dtype)
    columns = xp.empty((len(x), count), dtype="int64")

    def search(tiles):
        for rows in tiles:
            s = x[rows] @ y.T
            s -= subtracted
            if skip_diagonal:
                numbers = xp.arange(rows.start, rows.stop)
                s[numbers - rows.start, numbers] = -xp.inf
            if ceiling is not None:
                xp.copyto(s, -xp.inf, where=s > ceiling[rows, None])
            columns[rows] = find(xp, s, count)
            values[rows] = xp.take_along_axis(s, columns[rows], axis=1)

    backend.map_shares(search, row_tiles(x, len(y), tile))
    return values, columns


def _by_sorting(xp, s, count):
    """Columns (M, count) of the largest of each row of s (M, K), largest first; of equal ones the first come first."""
    return xp.argsort(-s, axis=1, kind="stable")[:, :count]


def _by_partition(xp, s, count):
    """The same, faster on the host. A GPU's partition is a sort too, and its ``flatnonzero`` makes the host wait."""
    width = s.shape[1]
    last = xp.partition(s, width - count, axis=1)[:, width - count, None]
    chosen = s >= last
    if int(chosen.sum()) > count * len(s):  # of those that tie for the last place the first are taken
        tied = s == last
        room = count - (s > last).sum(axis=1, keepdims=True)
        chosen &= ~tied | (xp.cumsum(tied, axis=1) <= room)
    chosen = xp.flatnonzero(chosen).reshape(len(s), count) % width
    order = xp.argsort(-xp.take_along_axis(s, chosen, axis=1), axis=1, kind="stable")
    return xp.take_along_axis(chosen, order, axis=1)
