"""Masks that hide the patches that are thought hardest, and random ones beside them.

Source: Wang et al. 2023, arXiv 2304.05919, section 3.4; official code Haochen-Wang409/HPM (generate_mask).
"""

import numpy as np

from mini_repr.masking.random import hidden_count


def mined_mask(rng, scores, ratio, share):
    """Hide a share of the patches of every image, of them the ``share`` with the highest scores and others at random.

    Args:
        scores: host array (B, P). ratio: of all patches to hide, 0 to 1. share: of the hidden ones to choose by score,
            0 (a random mask) to 1.
    Returns:
        Host booleans (B, P), True = hidden: round(ratio P) per image, at least one each way.
    Raises:
        ValueError: a share or ratio out of range, or fewer than two patches.
    """
    batch, patches = scores.shape
    if patches < 2 or not 0 < ratio < 1 or not 0 <= share <= 1:
        raise ValueError(
            f"mined_mask: {patches} patches, ratio {ratio:g}, share {share:g}; expected 2 or more, between 0 and 1, "
            "and 0 to 1"
        )
    hidden = hidden_count(ratio, patches)
    mined = int(hidden * share)
    rank = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1)
    order = np.where(rank < mined, rank - patches, rng.random((batch, patches)))
    return order.argsort(axis=1).argsort(axis=1) < hidden
