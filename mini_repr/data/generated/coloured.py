"""Coloured digits: a digit of its class's hue, anywhere on a coloured ground that tells places."""

from typing import NamedTuple

import numpy as np

from mini_repr.data.dataset import Dataset, ImageSet
from mini_repr.data.embedded import digits
from mini_repr.data.generated.wandering import wandering

# Deviation of a digit's hue, in full turns of the colour wheel; the hues of the ten classes are a tenth apart.
HUE_NOISE = 0.05


class Coloured(NamedTuple):
    """images (N, 3, canvas, canvas) float32; labels (N,) classes 0..9; hues (N,) of the digits, 0 to 1."""

    images: np.ndarray
    labels: np.ndarray
    hues: np.ndarray


def coloured(part, count, rng, canvas=12):
    """Wandering digits in colour: hue = class / 10 plus normal noise, on a ground that is the same in all images.

    The ground's hue turns along one diagonal and its brightness rises along the other, so that a piece of it tells
    where it is from, in grey too. Source: own. For row 081.

    Args:
        part: ImageSet of 8x8 digits. canvas: pixels along a side, at least 8.
    Returns:
        Coloured.
    Raises:
        ValueError: a canvas smaller than a digit.
    """
    drawn = wandering(part, count, rng, canvas)
    hues = (drawn.labels / 10 + HUE_NOISE * rng.standard_normal(count)) % 1
    row, column = np.indices((canvas, canvas)) / canvas
    ground = (0.3 + 0.3 * (row - column + 1) / 2) * rgb((row + column) / 2)
    images = drawn.images * rgb(hues).T[:, :, None, None] + (1 - drawn.images) * ground
    return Coloured(images.astype(np.float32), drawn.labels, hues)


def rgb(hue):
    """Red, green and blue (3, ...) of full colours, by their hue: 0 red, 1/3 green, 2/3 blue."""
    turned = (np.asarray(hue) * 6 + np.array([0, 4, 2]).reshape(3, *[1] * np.ndim(hue))) % 6
    return np.clip(abs(turned - 3) - 1, 0, 1)


def coloured_images(count=3000, seed=0, canvas=12):
    """Coloured digits as labelled images: the label is the class of the digit.

    Args:
        count: training images, of training digits; a third as many test images, of test digits.
        seed, canvas: as in ``coloured``.
    """
    data, parts = digits(), []
    for stream, (part, size) in enumerate(((data.train, count), (data.test, max(10, count // 3)))):
        drawn = coloured(part, size, np.random.default_rng([seed, stream]), canvas)
        parts.append(ImageSet("coloured", drawn.images, drawn.labels, part.label_names))
    return Dataset("coloured", *parts)
