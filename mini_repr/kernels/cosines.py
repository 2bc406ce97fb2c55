"""Cosines of all rows of two sets, a tile at a time: neither their matrix nor unit rows are stored whole."""

from typing import NamedTuple

from mini_repr.autograd import unit_rows
from mini_repr.backend import backend_of
from mini_repr.kernels.tiles import column_blocks, row_tiles


class Cosines(NamedTuple):
    """Cosines s (tile, columns) of some rows of a with some of b."""

    rows: slice
    columns: slice
    s: object

    def partners(self):
        """The places in s where rows meet the row of b of their number; they are all in one tile, or none is."""
        xp = backend_of(self.s).xp
        own = xp.arange(max(self.rows.start, self.columns.start), min(self.rows.stop, self.columns.stop))
        return own - self.rows.start, own - self.columns.start


def cosines(a, b, rows, partners_only=False):
    """Yield the ``Cosines`` of rows ``rows``, a block of ``column_blocks``, of a (N, D) with all of b (N, D).

    The tiles in which rows meet their partners come first; with ``partners_only`` there are no others.
    """
    u = unit_rows.on_arrays(a[rows])[0]
    others = [] if partners_only else [block for block in column_blocks(b) if block != rows]
    for columns in [rows, *others]:
        v = unit_rows.on_arrays(b[columns])[0]
        for part in row_tiles(u, len(v)):
            yield Cosines(slice(rows.start + part.start, rows.start + part.stop), columns, u[part] @ v.T)
