"""The singular values of many rows, a block of rows at a time."""

from mini_repr.backend import backend_of, blocks_of

BLOCK = 16384  # rows; fewer are taken together


def singular_values(z, prepared):
    """Singular values (min(N, D),), largest first, of ``prepared(z)`` for rows z (N, D), row by row the same shape.

    The triangular factor of all rows so far has their singular values: each block is factored below it, and memory is
    that of a block.
    """
    xp, factor = backend_of(z).xp, None
    blocks = blocks_of(len(z), BLOCK)
    if len(blocks) == 1:
        return xp.linalg.svd(prepared(z), compute_uv=False)
    for block in blocks:
        rows = prepared(z[block])
        factor = xp.linalg.qr(rows if factor is None else xp.concatenate([factor, rows]), mode="r")
    return xp.linalg.svd(factor, compute_uv=False)
