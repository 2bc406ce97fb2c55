"""Linear filters of images as products with small banded matrices, whose transposes are their backward."""

import math


def along_both(image, matrices):
    """Each image (H, W) of (B, C, H, W) as a @ image @ bᵀ, for matrices a (H', H) and b (W', W)."""
    return matrices[0] @ image @ matrices[1].T


def window_matrix(xp, side, window, sigma, dtype):
    """(side - window + 1, side): row i holds the Gaussian window, of sum 1, that starts at place i."""
    places = xp.arange(side - window + 1)[:, None]
    matrix = xp.zeros((len(places), side), dtype=dtype)
    matrix[places, places + xp.arange(window)] = xp.asarray(gaussian(window, sigma), dtype=dtype)
    return matrix


def halving_matrix(xp, side, dtype):
    """(side // 2, side): row i averages places 2i and 2i + 1."""
    places = xp.arange(side // 2)[:, None]
    matrix = xp.zeros((len(places), side), dtype=dtype)
    matrix[places, 2 * places + xp.arange(2)] = 0.5
    return matrix


def gaussian(window, sigma):
    """``window`` weights of sum 1, symmetric about the middle."""
    squares = [(k - (window - 1) / 2) ** 2 for k in range(window)]
    weights = [math.exp(-(s - min(squares)) / sigma / sigma / 2) for s in squares]  # of any sigma > 0
    return [w / sum(weights) for w in weights]
