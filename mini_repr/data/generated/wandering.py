"""Wandering digits: one digit anywhere on a canvas, which must be found before it can be read."""

from typing import NamedTuple

import numpy as np

from mini_repr.data.dataset import Dataset, ImageSet
from mini_repr.data.embedded import digits


class Wandering(NamedTuple):
    """images (N, 1, canvas, canvas) float32; labels (N,) classes 0..9; places (N, 2): top row and left column."""

    images: np.ndarray
    labels: np.ndarray
    places: np.ndarray


def wandering(part, count, rng, canvas=16, clutter=0):
    """Put one whole digit at a random place of an empty canvas, with ``clutter`` pieces of other digits behind it.

    A piece is 4x4 pixels of a random digit; where ink overlaps, the brighter pixel stays. Raw pixels are poor features
    here, as they are not on centred digits. Source: own, after translated and cluttered MNIST (Mnih et al. 2014, arXiv
    1406.6247). For rows 036, 049 and 073.

    Args:
        part: ImageSet of 8x8 digits. canvas: pixels along a side, at least 8.
    Returns:
        Wandering.
    Raises:
        ValueError: a canvas smaller than a digit.
    """
    size = part.images.shape[-1]
    if canvas < size:
        raise ValueError(f"wandering: canvas is {canvas}, expected at least {size}, the size of a digit")
    images = np.zeros((count, 1, canvas, canvas), dtype=np.float32)
    rows = rng.integers(len(part), size=count)
    places = rng.integers(canvas - size + 1, size=(count, 2))
    for image, row, (y, x) in zip(images[:, 0], rows, places, strict=True):
        for _ in range(clutter):
            other = rng.integers(len(part))
            (v, u), (down, right) = rng.integers(size - 3, size=2), rng.integers(canvas - 3, size=2)
            window = image[down : down + 4, right : right + 4]
            np.maximum(window, part.images[other, 0, v : v + 4, u : u + 4], out=window)
        window = image[y : y + size, x : x + size]
        np.maximum(window, part.images[row, 0], out=window)
    return Wandering(images, part.labels[rows], places)


def wandering_images(count=3000, seed=0, canvas=16, clutter=0):
    """Wandering digits as labelled images: the label is the class of the whole digit.

    Args:
        count: training images, of training digits; a third as many test images, of test digits.
        seed, canvas, clutter: as in ``wandering``. ``mini-repr train --data wandering --set data.clutter=4``
    """
    data, parts = digits(), []
    for stream, (part, size) in enumerate(((data.train, count), (data.test, max(10, count // 3)))):
        drawn = wandering(part, size, np.random.default_rng([seed, stream]), canvas, clutter)
        parts.append(ImageSet("wandering", drawn.images, drawn.labels, part.label_names))
    return Dataset("wandering", *parts)
