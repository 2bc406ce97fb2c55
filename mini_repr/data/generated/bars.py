"""Images of a bar at any angle: a circle in the space of images."""

from typing import NamedTuple

import numpy as np

from mini_repr.data.dataset import Dataset, ImageSet

SECTORS = 8


class Bars(NamedTuple):
    """images (N, 1, size, size) float32 in [0, 1]; angles (N,) in [0, pi)."""

    images: np.ndarray
    angles: np.ndarray


def bars(count, rng, size=16):
    """A bar through the middle of each image, three pixels wide, at a uniform angle.

    A bar and the same bar turned by pi are one image, so the images lie on a closed curve. Source: own, after the bars
    of Alberti et al. 2023, arXiv 2303.15244. For row 072 (mixtures of VAEs).

    Raises:
        ValueError: fewer than 8 pixels along a side.
    """
    if size < 8:
        raise ValueError(f"bars: size is {size}, expected at least 8")
    angles = rng.uniform(0, np.pi, size=count)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    along = np.abs(np.cos(angles)[:, None, None] * x + np.sin(angles)[:, None, None] * y)
    across = np.abs(np.cos(angles)[:, None, None] * y - np.sin(angles)[:, None, None] * x)
    images = np.clip(2 - across, 0, 1) * np.clip(0.4 * size + 0.5 - along, 0, 1)
    return Bars(images[:, None].astype(np.float32), angles)


def bar_images(count=3000, seed=0, size=16):
    """Bars as labelled images: the label is the eighth of the half circle that the angle lies in.

    Args:
        count: training images; a third as many test images.
        seed, size: as in ``bars``.
    """
    parts = []
    for stream, number in enumerate((count, max(10, count // 3))):
        drawn = bars(number, np.random.default_rng([seed, stream]), size)
        sectors = np.minimum((drawn.angles / np.pi * SECTORS).astype(np.int64), SECTORS - 1)
        parts.append(ImageSet("bars", drawn.images, sectors, tuple(str(k) for k in range(SECTORS))))
    return Dataset("bars", *parts)
