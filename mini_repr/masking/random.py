"""Uniformly random masks, the same number of hidden patches in every image.

Source: He et al. 2021, arXiv 2111.06377, section 3; Xie et al. 2021, arXiv 2111.09886, section 3.2.
"""

import numpy as np

from mini_repr.pages.arguments import Count, Scalar
from mini_repr.pages.declare import mask
from mini_repr.pages.page import definition


@mask(paper=("020", "096"))
def random_mask(rng, batch: Count(), patches: Count(2), ratio: Scalar(low=0, high=1, low_open=True, high_open=True)):
    """Hide a share of the patches of every image, at random.

    Returns:
        Host booleans (batch, patches), True = hidden: round(ratio * patches) per image, at least one each way (the
        official codes of MAE round down the number that is kept).
    """
    return rng.random((batch, patches)).argsort(axis=1) < hidden_count(ratio, patches)


def hidden_count(ratio, patches):
    """How many patches a share of them is: rounded, at least one, and one is left."""
    return min(max(round(ratio * patches), 1), patches - 1)


@definition(random_mask)
def random_mask_definition(rng, batch, patches, ratio):
    hidden = sorted([1, round(ratio * patches), patches - 1])[1]
    rows = []
    for numbers in rng.random((batch, patches)):
        shuffled = sorted(range(patches), key=lambda patch, numbers=numbers: numbers[patch])
        rows.append([patch < hidden for patch in shuffled])
    return np.array(rows)


def visible_patches(mask):
    """Numbers (B, V) of the patches that a host mask (B, P) leaves, in order; every image leaves the same number."""
    return np.nonzero(~mask)[1].reshape(len(mask), -1)


def hidden_patches(mask):
    """Numbers (B, M) of the patches that a host mask (B, P) hides, in order; every image hides the same number."""
    return visible_patches(~mask)
