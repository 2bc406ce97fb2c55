"""How far the heads of a transformer look, and how much where they look depends on where they are.

Source: Dosovitskiy et al. 2020, arXiv 2010.11929, figure 7 (distance); Park et al. 2023, arXiv 2305.00729, section 3
(mutual information: what masked image modelling keeps in the last blocks and contrastive learning loses).
"""

import numpy as np


def attention_distance(weights, grid):
    """(heads,): the mean distance in patches from a token to where it looks, by attention weights.

    Args:
        weights: host array (B, heads, P, P) whose last axis sums to 1. grid: (rows, columns) with P = rows * columns.
    """
    places = np.stack(np.indices(grid), axis=-1).reshape(-1, 2)
    apart = np.linalg.norm(places[:, None] - places, axis=-1)
    return (weights * apart).sum(axis=-1).mean(axis=(0, 2))


def attention_information(weights):
    """(heads,): normalised mutual information of token and place looked at, 0 where all tokens look alike, at most 1.

    With p(i) = 1/P and p(j|i) the weights, I(i; j) / sqrt(H(i) H(j)), the mean over images.

    Args:
        weights: host array (B, heads, P, P) with P >= 2 whose last axis sums to 1.
    """
    count = weights.shape[-1]
    of_place = weights.mean(axis=2)
    entropy = _entropy(of_place)
    information = entropy - _entropy(weights).mean(axis=-1)
    return (information / np.sqrt(np.log(count) * np.maximum(entropy, 1e-12))).mean(axis=0)


def _entropy(p):
    return -(p * np.log(np.where(p > 0, p, 1))).sum(axis=-1)
