"""Random masks of square units of several patches: one large hidden region is harder than as many small ones.

Source: Xie et al. 2021, arXiv 2111.09886, section 3.2; official code microsoft/SimMIM, data/data_simmim.py.
"""

import math

import numpy as np


def unit_mask(rng, batch, grid, ratio, unit):
    """Hide a share of the units of ``unit`` x ``unit`` patches, at random.

    Args:
        grid: (rows, columns) of patches. ratio: of the units to hide, between 0 and 1; as in the official code their
            number is rounded up.
    Returns:
        Host booleans (batch, rows * columns), True = hidden: ceil(ratio units) units per image, at least one each way.
    Raises:
        ValueError: a unit that does not divide the grid, one that is all of it, or a ratio out of range.
    """
    rows, columns = grid
    units = (rows // max(unit, 1)) * (columns // max(unit, 1))
    if unit < 1 or rows % unit or columns % unit or units < 2 or not 0 < ratio < 1:
        raise ValueError(
            f"unit_mask: unit {unit}, grid {rows} x {columns}, ratio {ratio:g}; expected a unit that divides the grid "
            "into two or more, and a ratio between 0 and 1"
        )
    hidden = min(max(math.ceil(ratio * units), 1), units - 1)
    chosen = rng.random((batch, units)).argsort(axis=1).argsort(axis=1) < hidden
    square = chosen.reshape(batch, rows // unit, columns // unit)
    return square.repeat(unit, axis=1).repeat(unit, axis=2).reshape(batch, rows * columns)


def distance_to_visible(mask, grid):
    """How far a hidden patch is from what is seen: the mean over hidden patches of the distance to the nearest visible.

    SimMIM's AvgDist, in patches where the paper counts pixels. mask: host booleans (B, rows * columns).
    """
    places = np.stack(np.divmod(np.arange(mask.shape[1]), grid[1]), axis=1)
    apart = np.linalg.norm(places[:, None] - places, axis=2)
    nearest = np.where(mask[:, None, :], np.inf, apart).min(axis=2)
    return float(nearest[mask].mean())
