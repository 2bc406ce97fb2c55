"""Tiles of rows: similarities of all rows with all others are computed a tile at a time and never stored whole."""

from mini_repr.backend import backend_of, blocks_of

# Columns per block: with the rows of a tile about the products' best shape.
COLUMNS = 4096


def choose_tile(x, columns):
    """Rows per tile of similarities of x with ``columns`` others: what suits the device of x."""
    return max(16, backend_of(x).tile_bytes // (columns * x.dtype.itemsize))


def column_blocks(y):
    """Slices that cover the rows of y, each as many as a tile has columns."""
    return blocks_of(len(y), COLUMNS)


def row_tiles(x, columns, tile=None):
    """Slices that cover the rows of x, ``tile`` rows each; None chooses."""
    return blocks_of(len(x), tile or choose_tile(x, columns))
