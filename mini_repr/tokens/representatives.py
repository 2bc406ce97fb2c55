"""Tokens that stand for others: where many are alike, few need to look at each other."""

import numpy as np

from mini_repr.backend import backend_of
from mini_repr.pages.declare import part


@part("procedure", "representatives", paper="074")
def representatives(grid, *, ratio=0.5, window=2, noise=0.1, rng=None):
    """A ``prune`` of a denoiser by which the tokens that are most like others take what those get.

    With C the cosines of tokens, the base token of every window is that with the largest sum_j C_ij + noise n_i, n_i
    standard normal. Of the other tokens the round(ratio N) with the largest cosine with some base token go before
    attention, and take the output of that one after it; ties go to the first. Tokens beyond the last whole window are
    no base tokens. The choice has no gradient; an output's gradient adds up over all that take it.

    Source: SimPrune of OptiPrune, 2025, arXiv 2507.00789, after SiTo (code read: EvelynZhang-epiclab/SiTo, sito.py,
    prune_and_recover_tokens: window 2, noise 0.1). That the output is copied after attention is SiTo's way; OptiPrune's
    abstract puts the recovery before it, which would save nothing in attention.

    Args:
        grid: (rows, columns) of tokens. ratio: share of all that go. noise: weight of n. rng: host generator of n, by
            default one of seed 0.
    Returns:
        function of tokens (B, N, D) to (keep (B, n), source (B, N)): places in order, and which of these n each token
        takes.
    Raises:
        ValueError: a ratio that leaves fewer than the base tokens; or, of that function, N tokens that fill no grid.
    """
    rng = rng or np.random.default_rng(0)
    count = grid[0] * grid[1]
    windows = _windows(grid, window)
    most, gone = 1 - len(windows) / count, round(ratio * count)
    if ratio < 0 or gone > count - len(windows):
        raise ValueError(
            f"representatives: ratio: got {ratio:g}, expected 0 to {most:g}: each of {len(windows)} windows keeps one"
        )

    def prune(tokens):
        backend = backend_of(tokens)
        xp, batch = backend.xp, len(tokens)
        if tokens.shape[1] != count:
            raise ValueError(f"representatives: tokens: got {tokens.shape[1]}, expected {grid[0]} x {grid[1]}")
        length = xp.sqrt((tokens * tokens).sum(axis=2, keepdims=True))
        unit = tokens / xp.where(length > 0, length, 1)
        cosine = unit @ unit.swapaxes(1, 2)
        draws = backend.asarray(rng.standard_normal((batch, count)).astype(tokens.dtype))
        every, places = xp.arange(batch)[:, None], backend.asarray(windows)
        score = (cosine.sum(axis=2) + noise * draws)[:, places]  # (B, windows, their tokens)
        base = xp.sort(places[xp.arange(len(windows)), score.argmax(axis=2)], axis=1)
        alike = cosine[every[..., None], xp.arange(count)[None, :, None], base[:, None]]  # (B, N, base tokens)
        taken, nearest = base[every, alike.argmax(axis=2)], alike.max(axis=2)
        nearest[every, base] = -xp.inf
        order = xp.argsort(-nearest, axis=1, kind="stable")
        keep = xp.sort(order[:, gone:], axis=1)
        source = xp.broadcast_to(xp.arange(count), (batch, count)).copy()
        source[every, order[:, :gone]] = taken[every, order[:, :gone]]
        place = xp.zeros((batch, count), dtype=int)
        place[every, keep] = xp.arange(count - gone)
        return keep, place[every, source]

    return prune


def _windows(grid, side):
    """(W, side * side) places of a grid's whole windows, each in order."""
    rows, columns = (size // side for size in grid)
    places = np.arange(grid[0] * grid[1]).reshape(grid)[: rows * side, : columns * side]
    return places.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(rows * columns, side * side)
