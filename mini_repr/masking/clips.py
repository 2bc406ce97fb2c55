"""Structured masks of clips: whole places, whole frames or blocks of space and time are hidden.

Source: Feichtenhofer et al. 2022, arXiv 2205.09113, figure 3, which finds masks without structure (``random_mask``) to
be the best. Its official code (facebookresearch/mae_st) has these alone; the size of blocks, 2 x 2 x 2 tokens, and
where they may lie are this page's.
"""

import math

import numpy as np

from mini_repr.masking.random import hidden_count, random_mask
from mini_repr.pages.names import choose

CLIP_MASKS = ("space", "time", "block")
BLOCK = 2


def clip_mask(rng, batch, grid, ratio, kind):
    """Hide a share of the tokens of every clip by their places, by their times or in blocks of both.

    Args:
        grid: (times, rows, columns) of tokens. ratio: of what is hidden, between 0 and 1.
        kind: "space": the same random places at all times; "time": all places at random times; "block": boxes of 2
            tokens along each axis at random, which may overlap and go on at the opposite edge (so that all tokens are
            hidden equally often), the last of them cut to the exact number.
    Returns:
        Host booleans (batch, times * rows * columns), True = hidden: the share is rounded, of places, of times or of
        tokens, and at least one is hidden and one left.
    Raises:
        ValueError: another kind, a ratio out of range, or an axis with less than two tokens to choose from.
    """
    times, rows, columns = grid
    choose("clip mask", kind, CLIP_MASKS)
    choices = {"space": rows * columns, "time": times, "block": math.prod(grid)}[kind]
    if choices < 2 or not 0 < ratio < 1:
        raise ValueError(
            f"clip_mask: {kind}: {choices} to choose from, ratio {ratio:g}; expected 2 or more, between 0 and 1"
        )
    if kind == "space":
        return np.tile(random_mask(rng, batch, choices, ratio), (1, times))
    if kind == "time":
        return random_mask(rng, batch, choices, ratio).repeat(rows * columns, axis=1)
    return _boxes(rng, batch, grid, hidden_count(ratio, choices))


def _boxes(rng, batch, grid, hidden):
    """Boxes in a random order until ``hidden`` tokens are covered: a token's turn is that of its first box."""
    drawn = rng.random((batch, *grid))
    corners = np.ndindex(*(min(BLOCK, length) for length in grid))
    turn = np.min([np.roll(drawn, corner, axis=(1, 2, 3)) for corner in corners], axis=0)
    return turn.reshape(batch, -1).argsort(axis=1, kind="stable").argsort(axis=1) < hidden
