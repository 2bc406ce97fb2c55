"""Block masks: one rectangle of patches is hidden, or with ``inverse`` one stays visible.

Source: Darcet et al. 2025, arXiv 2502.08769, section 3.3; official code facebookresearch/capi, data.py (BlockMasking,
InverseBlockMasking), which gives the aspect ratio, the cut to the exact count and the roll.
"""

import math

import numpy as np

from mini_repr.masking.random import hidden_count


def block_mask(rng, batch, grid, ratio, inverse=False):
    """Hide a rectangle of patches in every image, or with ``inverse`` all but one, rolled around the image's edges.

    The sides' ratio is drawn between 1/2 and 2 (uniform in its logarithm, less where the grid is narrower), the
    rectangle takes at least the patches that are wanted, and its last ones are given back.

    Args:
        grid: (rows, columns) of patches, two or more in all. ratio: of the patches to hide, between 0 and 1.
    Returns:
        Host booleans (batch, rows * columns), True = hidden: round(ratio P) per image, at least one each way.
    Raises:
        ValueError: one patch, or a ratio out of range.
    """
    patches = math.prod(grid)
    if patches < 2 or not 0 < ratio < 1:
        raise ValueError(f"block_mask: {patches} patches, ratio {ratio:g}; expected 2 or more, between 0 and 1")
    hidden = hidden_count(ratio, patches)
    inside = patches - hidden if inverse else hidden
    masks = np.stack([_rectangle(rng, grid, inside) for _ in range(batch)])
    return ~masks if inverse else masks


def _rectangle(rng, grid, count):
    """(rows * columns,) booleans, True at ``count`` patches."""
    rows, columns = grid
    low = max(math.log(0.5), math.log(count / columns**2))
    high = min(math.log(2.0), math.log(rows**2 / count))
    aspect = math.exp(rng.uniform(low, max(low, high)))
    tall, wide = (math.ceil(math.sqrt(count * factor) - 1e-9) for factor in (aspect, 1 / aspect))
    tall, wide = min(max(tall, math.ceil(count / columns)), rows), min(max(wide, math.ceil(count / rows)), columns)
    wide = max(wide, math.ceil(count / tall))
    mask = np.zeros(grid, dtype=bool)
    mask[:tall, :wide] = True
    mask.reshape(-1)[np.flatnonzero(mask)[count:]] = False
    return np.roll(mask, (rng.integers(rows), rng.integers(columns)), axis=(0, 1)).reshape(-1)
