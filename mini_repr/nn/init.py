"""Initialisations: what a weight is drawn from before training. All draw on the host, in float64, and round."""

import math

import numpy as np


def truncated_normal(rng, shape, dtype=np.float32, std=0.02):
    """Normal of standard deviation ``std``, redrawn beyond two of them: tokens and positions of a ViT.

    Dosovitskiy et al. 2020, arXiv 2010.11929. (timm cuts at +-2, not at +-2 std, which for 0.02 cuts nothing.)
    """
    draws = rng.standard_normal(shape)
    while (far := np.abs(draws) > 2).any():
        draws[far] = rng.standard_normal(int(far.sum()))
    return (draws * std).astype(dtype)


def unit_normal(rng, shape, dtype=np.float32):
    """Normal of standard deviation 1, as PyTorch's Embedding starts."""
    return rng.standard_normal(shape).astype(dtype)


def xavier_uniform(rng, shape, dtype=np.float32):
    """Uniform in +-sqrt(6 / (inputs + outputs)) for a weight (inputs, outputs). Glorot, Bengio 2010, eq. 16."""
    bound = math.sqrt(6 / (shape[0] + shape[1]))
    return rng.uniform(-bound, bound, shape).astype(dtype)


def he_normal(rng, shape, dtype=np.float32):
    """Normal of standard deviation sqrt(2 / inputs), for layers before a ReLU. He et al. 2015, arXiv 1502.01852."""
    return (rng.standard_normal(shape) * math.sqrt(2 / shape[0])).astype(dtype)


def he_uniform(rng, shape, dtype=np.float32):
    """Uniform in +-sqrt(6 / inputs), of the same variance as ``he_normal``; PyTorch's kaiming_uniform."""
    bound = math.sqrt(6 / shape[0])
    return rng.uniform(-bound, bound, shape).astype(dtype)


def zeros(rng, shape, dtype=np.float32):
    """All zeros; ``rng`` is not drawn from."""
    return np.zeros(shape, dtype=dtype)


def half(rng, shape, dtype):
    """An ``init``: normal with deviation 1/2."""
    return (0.5 * rng.standard_normal(shape)).astype(dtype)
