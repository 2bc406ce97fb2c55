"""How much an image token matters before any question is read, and what the others leave behind: merged, not lost.

With A the attention weights of a vision block, mean over heads (rows are queries and sum to 1), e the entropy of the
patches' grey levels, and threshold t and weight α,

    received_j = mean over i of A_ij,          global queries = { i : received_i > t mean(received) }
    relevance_j = mean over global i of A_ij,  importance = relevance + α softmax(e)

Of N tokens, with a share k to keep and cells of m x m places, r = round(N (1 - k)), g = floor(N / m²): the r + g least
important are put in groups by cell, and of each group one token goes on, sum_i w_i x_i, w the importance normalised to
sum 1, at the place and with the importance of its most important member. So N - r - g + (number of groups) are left,
which is about k N where the cells fill the grid.

Source: Yang et al. 2025, arXiv 2508.05211 (VFlowOpt), read by its code: sihany077/VFlowOpt, siglip_encoder.py and
llava_qwen_training_free.py, whose entropy, relevance and groups were run beside these and equal them. There the entropy
is of pixels that are normalised already, whose negative values wrap around in eight bits; here of the grey levels. A
threshold that no query reaches gives NaN there, and counts as 0 here; weights that are negative or sum to 0, of α < 0,
are raised to a tiny positive number here.
"""

from typing import NamedTuple

import numpy as np

from mini_repr.backend import backend_of
from mini_repr.nn.patches import patchify

TINY = 1e-12


class Recycled(NamedTuple):
    """weights (K, N): the tokens (K, D) that go on are weights @ tokens. importance (K,): of these."""

    weights: np.ndarray
    importance: np.ndarray


def context_relevance(attention, threshold=0.0):
    """(B, N): the attention that each token receives from the global queries, of weights (B, heads, N, N).

    Args:
        threshold: t >= 0, in multiples of the mean attention received.
    """
    mean = attention.mean(axis=1)
    received = mean.mean(axis=1)
    seen = received > threshold * received.mean(axis=1, keepdims=True)
    seen = (seen | ~seen.any(axis=1, keepdims=True)).astype(mean.dtype)
    return (mean * seen[:, :, None]).sum(axis=1) / seen.sum(axis=1, keepdims=True)


def patch_entropy(images, patch):
    """(B, N) bits: the entropy of the 256 grey levels within each patch of images (B, C, H, W) in [0, 1]."""
    xp = backend_of(images).xp
    levels = patchify(xp.rint(255 * images.mean(axis=1, keepdims=True)), patch)
    # Each pixel says -log p of its own level; their mean is the entropy.
    alike = (levels[..., :, None] == levels[..., None, :]).sum(axis=3)
    return xp.log2(levels.shape[2] / alike).mean(axis=2)


def importance(attention, entropy, threshold=0.0, weight=0.0):
    """(B, N): relevance + weight * softmax(entropy).

    Args:
        attention: (B, heads, N, N). entropy: (B, N). threshold: t. weight: α.
    """
    powers = backend_of(entropy).xp.exp(entropy - entropy.max(axis=1, keepdims=True))
    return context_relevance(attention, threshold) + weight * powers / powers.sum(axis=1, keepdims=True)


def recycled(importance, keep, grid, cell=None):
    """Which tokens of one image go on, and which are merged into one per cell: ``Recycled``.

    Args:
        importance: host array (N,). keep: share above 0, at most 1. grid: (rows, columns) of tokens. cell: side m >= 1
            of a cell in tokens, any number; None drops without merging.
    Raises:
        ValueError: these out of their bounds, or N that does not fill the grid.
    """
    count = len(importance)
    if not 0 < keep <= 1 or (cell is not None and cell < 1) or count != grid[0] * grid[1]:
        raise ValueError(
            f"recycled: got {count} tokens, grid {grid[0]} x {grid[1]}, keep {keep:g}, cell {cell}; "
            "expected tokens that fill the grid, keep above 0 and at most 1, cell None or from 1"
        )
    order = np.argsort(importance, kind="stable")
    gone = min(round(count * (1 - keep)), count - 1)
    if cell is None:
        kept = np.sort(order[gone:])
        return Recycled(np.eye(count, dtype=importance.dtype)[kept], importance[kept])
    low = np.sort(order[: gone + int(count / cell**2)])
    weights, stays = np.eye(count, dtype=importance.dtype), np.ones(count, dtype=bool)
    stays[low] = False
    places = (np.stack(np.divmod(low, grid[1]), axis=1) // cell).astype(int)
    for place in np.unique(places, axis=0):
        group = low[(places == place).all(axis=1)]
        place_of_best = group[importance[group].argmax()]
        share = np.maximum(importance[group], TINY)
        weights[place_of_best] = 0
        weights[place_of_best, group] = share / share.sum()
        stays[place_of_best] = True
    return Recycled(weights[stays], importance[stays])
