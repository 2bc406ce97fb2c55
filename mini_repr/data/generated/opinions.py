"""Opinions on images, made rather than collected: images spoilt by some amount, and what people would say of them."""

import numpy as np
from scipy.ndimage import uniform_filter

OPINIONS = 10  # from 1, the worst
WAYS = ("blurred", "noisy", "blocky", "blended")


def rated(
    images: np.ndarray, rng: np.random.Generator, blended: np.ndarray, people: int = 20
) -> tuple[np.ndarray, np.ndarray]:
    """(images (N, C, H, W) spoilt, each in one of four ways, histograms (N, 10) of opinions on them).

    With q in [0, 1] the quality that is left, an opinion is a whole number drawn about 1 + 9 q with deviation 1, of 1
    to 10, as NIMA's data have them (Talebi, Milanfar 2017, arXiv 1709.05424).

    Args:
        blended: images as a method makes them whose faults are to be known, such as one trained on squared errors
            (Ma et al. 2016, arXiv 1612.05890, rated what methods of super-resolution make).
    """
    quality = rng.random(len(images))
    lost = (1 - quality).astype(images.dtype)[:, None, None, None]
    blurred = uniform_filter(images, size=(1, 1, 3, 3), mode="constant")
    noisy = images + 0.5 * rng.standard_normal(images.shape).astype(images.dtype)
    count, channels, height, width = images.shape
    blocks = images.reshape(count, channels, height // 4, 4, width // 4, 4).mean(axis=(3, 5))
    spoilt = np.stack([blurred, noisy, blocks.repeat(4, axis=2).repeat(4, axis=3), blended])
    chosen = spoilt[rng.integers(len(WAYS), size=count), np.arange(count)]
    said = np.rint(1 + 9 * quality[:, None] + rng.standard_normal((count, people))).clip(1, OPINIONS)
    histograms = (said[:, :, None] == np.arange(1, OPINIONS + 1)).mean(axis=1).astype(images.dtype)
    return np.clip((1 - lost) * images + lost * chosen, 0, 1), histograms
