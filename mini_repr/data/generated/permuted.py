"""Permuted pixels: tasks that show the same digits, each with its own fixed order of the pixels."""

import numpy as np

from mini_repr.data.dataset import Dataset, ImageSet
from mini_repr.data.embedded import digits


def pixel_orders(tasks, pixels, rng):
    """The order of pixels of each task, (tasks, pixels) int64: task 0 is the image as it is, the others are random."""
    return np.stack([np.arange(pixels), *(rng.permutation(pixels) for _ in range(tasks - 1))])


def permuted(part, order):
    """The ImageSet with its pixels in another order, the same in every image and channel; labels stay.

    Args:
        order: (H W,) a permutation: pixel i of the result is pixel ``order[i]`` of the image.
    Raises:
        ValueError: ``order`` is no permutation of the pixels.
    """
    flat = part.images.reshape(*part.images.shape[:2], -1)
    if not np.array_equal(np.sort(order), np.arange(flat.shape[2])):
        raise ValueError(f"permuted: order of shape {np.shape(order)} is no permutation of {flat.shape[2]} pixels")
    return ImageSet(part.name, flat[:, :, order].reshape(part.images.shape), part.labels, part.label_names)


def permuted_images(task=1, seed=0):
    """Digits with their pixels in another order: one task of a sequence whose tasks make a network forget.

    Args:
        task: its number; 0 leaves the pixels as they are. seed: of the orders; the same for training and test digits.
    Returns:
        Dataset of ImageSet; labels are the classes of the digits.
    Raises:
        ValueError: a negative task.
    Source: Goodfellow et al. 2013, arXiv 1312.6211; Kirkpatrick et al. 2017, arXiv 1612.00796.
    For row 044 (Sy-CON).
    """
    if task < 0:
        raise ValueError(f"permuted: task is {task}, expected 0 or more")
    data = digits()
    order = pixel_orders(task + 1, data.train.images[0, 0].size, np.random.default_rng(seed))[task]
    return Dataset("permuted", permuted(data.train, order), permuted(data.test, order))
