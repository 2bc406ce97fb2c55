"""The nearest rows of each row, by similarity or by distance; ties are broken by row number.

Candidates come a block at a time, and each row keeps the best so far: O(M * count + tile) memory for any number of
candidates.
"""

from functools import partial

from mini_repr.autograd import unit_rows
from mini_repr.backend import backend_of
from mini_repr.kernels.tiles import column_blocks, row_tiles


def most_similar(x, y, count, skip_diagonal=True, ceiling=None, normalize=False, first=0, tile=None):
    """The ``count`` rows of y with the largest x_i·y_j for each row x_i, largest first.

    Args:
        x: (M, D). y: (K, D). count: how many; as many as there are where there are no more.
        skip_diagonal: leave y_(first + i) out, the partner of x_i (needs first + M <= K).
        ceiling: (M,), similarities of row i above which none counts; None for no such limit.
        normalize: by cosine. Rows are scaled to length 1 a block at a time, so that no copy of them is made.
        first: the number among the rows of y of the partner of x_0.
        tile: rows per tile; None chooses.
    Returns:
        (similarities, columns), both (M, count); a similarity of -inf means that fewer were left.
    """

    def prepared(rows):
        return (unit_rows.on_arrays(rows)[0] if normalize else rows), 0

    return _largest(x, y, count, prepared, first if skip_diagonal else None, ceiling, tile)


def nearest_rows(x, count, tile=None, rows=None, centre=None):
    """Numbers (M, count) of the other rows of x (N, D) nearest by Euclidean distance, nearest first.

    Exact but for the rounding of x·x, which costs more the further the rows lie from the origin.

    Args:
        count: how many; N - 1 where that is less. tile: rows per tile; None chooses.
        rows: a slice, the M rows whose neighbours are sought; None for all.
        centre: (D,), taken off the rows a block at a time, such as their mean: no distance changes, and fewer digits
            are lost. None: the rows as they are.
    """
    rows = slice(0, len(x)) if rows is None else rows

    def prepared(block):
        block = block if centre is None else block - centre
        # x_i·x_j - |x_j|² / 2 is |x_i|² / 2 - |x_i - x_j|² / 2: the same order for each i.
        return block, (block * block).sum(axis=1) / 2

    return _largest(x[rows], x, count, prepared, rows.start, None, tile)[1]


def _largest(x, y, count, prepared, first, ceiling, tile):
    """As ``most_similar`` with p_i·q_j - s_j for x_i·y_j, where ``prepared(rows)`` gives rows as p or q, and their s.

    ``first``: None to leave no partner out.
    """
    backend = backend_of(x)
    xp = backend.xp
    count = min(count, len(y) - (first is not None))
    find = _by_sorting if backend.reading_waits else _by_partition
    values = xp.empty((len(x), count), dtype=x.dtype)
    columns = xp.empty((len(x), count), dtype="int64")

    def search(block, candidates, subtracted, held, tiles):
        for rows in tiles:
            s = prepared(x[rows])[0] @ candidates.T
            s -= subtracted
            if first is not None:
                own = xp.arange(max(first + rows.start, block.start), min(first + rows.stop, block.stop))
                s[own - first - rows.start, own - block.start] = -xp.inf
            if ceiling is not None:
                xp.copyto(s, -xp.inf, where=s > ceiling[rows, None])
            if held == count and not backend.reading_waits:  # a later block has something for few rows
                better = xp.flatnonzero((s > values[rows, -1:]).any(axis=1))
                rows, s = better + rows.start, s[better]
            numbers = find(xp, s, min(count, len(candidates)))
            best = xp.take_along_axis(s, numbers, axis=1)
            numbers += block.start
            if held:  # what earlier blocks have stands first: ties are broken by row number
                best = xp.concatenate([values[rows, :held], best], axis=1)
                numbers = xp.concatenate([columns[rows, :held], numbers], axis=1)
                order = _by_sorting(xp, best, count)
                best, numbers = (xp.take_along_axis(one, order, axis=1) for one in (best, numbers))
            values[rows, : best.shape[1]], columns[rows, : best.shape[1]] = best, numbers

    blocks, held = column_blocks(y), 0
    tiles = row_tiles(x, blocks[0].stop, tile)
    for block in blocks:
        candidates, subtracted = prepared(y[block])
        backend.map_shares(partial(search, block, candidates, subtracted, held), tiles)
        held = min(count, held + len(candidates))  # of the places of a row, how many are filled
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
