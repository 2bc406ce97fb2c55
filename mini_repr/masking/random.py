"""Uniformly random masks, the same number of hidden patches in every image."""

import numpy as np


def random_mask(rng, batch, patches, ratio):
    """Host booleans (batch, patches), True = hidden: round(ratio * patches) an image, at least one each way.

    He et al. 2021, arXiv 2111.06377, section 3; Xie et al. 2021, arXiv 2111.09886, section 3.2.
    """
    if patches < 2:
        raise ValueError(f"random_mask: patches: got {patches}, expected 2 or more, to hide one and show one")
    if not 0 < ratio < 1:
        raise ValueError(f"random_mask: ratio: got {ratio}, expected more than 0 and less than 1")
    hidden = min(max(round(ratio * patches), 1), patches - 1)
    return rng.random((batch, patches)).argsort(axis=1) < hidden


def visible_patches(mask):
    """Numbers (B, V) of the patches that a host mask (B, P) leaves, in order; every image leaves the same number."""
    return np.nonzero(~mask)[1].reshape(len(mask), -1)
