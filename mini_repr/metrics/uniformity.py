"""How evenly rows spread over the sphere, as the energy of a Gaussian potential between them."""

import math

from mini_repr.backend import backend_of
from mini_repr.metrics.rows import row_tiles, unit_rows


def uniformity(z, t=2.0):
    """log of the mean over distinct pairs i < j of exp(-t ||z_i - z_j||²), rows scaled to length 1.

    0 when all rows are the same, lower when they spread; never below -4t. Works in tiles of rows: O(N * tile) memory.

    Source: Wang & Isola 2020, arXiv 2005.10242, section 4.1 (t = 2).

    Args:
        z: (N, D), at least two rows.
        t: above 0.
    Raises:
        ValueError: shape, fewer than two rows, values that are not finite, zero rows, t not above 0.
    """
    xp = backend_of(z).xp
    z = unit_rows("uniformity", "z", z)
    rows = z.shape[0]
    if rows < 2:
        raise ValueError(f"uniformity: z must have at least two rows, got {rows}")
    if not t > 0.0:
        raise ValueError(f"uniformity: t must be above 0, got {t}")

    log_sums = []  # one a tile
    for tile in row_tiles(rows - 1, rows, z.itemsize):
        later = z[tile.start + 1 :]  # column c is row start + 1 + c: distinct and counted once where c >= r
        exponent = z[tile] @ later.T
        xp.minimum(exponent, 1.0, out=exponent)  # rounding must not make a distance negative
        exponent -= 1.0
        exponent *= 2.0 * t  # ||x - y||² = 2 - 2 x.y
        square = exponent[:, : exponent.shape[0]]
        square[xp.tri(exponent.shape[0], k=-1, dtype=bool)] = -math.inf
        largest = float(exponent.max())
        exponent -= largest
        xp.exp(exponent, out=exponent)
        log_sums.append(largest + math.log(float(exponent.sum())))
    largest = max(log_sums)
    log_sum = largest + math.log(sum(math.exp(value - largest) for value in log_sums))
    return log_sum - math.log(rows * (rows - 1) / 2)
