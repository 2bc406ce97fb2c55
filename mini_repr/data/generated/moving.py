"""Moving digits: short clips of one digit that moves a pixel per frame and bounces off the border."""

from typing import NamedTuple

import numpy as np

from mini_repr.data.dataset import DataError, Dataset, ImageSet
from mini_repr.data.embedded import digits

# (down, right) of the eight directions, clockwise from up.
DIRECTIONS = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
DIRECTION_NAMES = ("up", "up-right", "right", "down-right", "down", "down-left", "left", "up-left")


class Moving(NamedTuple):
    """clips (N, T, 1, canvas, canvas) float32; labels (N,); directions (N,) into ``DIRECTIONS``, at the start."""

    clips: np.ndarray
    labels: np.ndarray
    directions: np.ndarray


def moving(part, count, rng, frames=8, canvas=16):
    """Draw clips of a digit that starts anywhere, moves one pixel per frame, and turns back at the border.

    Args:
        part: ImageSet of 8x8 digits. canvas: pixels along a side, more than 8.
    Returns:
        Moving.
    Raises:
        ValueError: a canvas without room to move.
    Source: after Moving MNIST (Srivastava et al. 2015, arXiv 1502.04681), with one digit. For rows 031, 096, 107.
    """
    size = part.images.shape[-1]
    room = canvas - size
    if room < 1:
        raise ValueError(f"moving: canvas is {canvas}, expected more than {size}, the size of a digit")
    rows = rng.integers(len(part), size=count)
    starts = rng.integers(room + 1, size=(count, 1, 2))
    directions = rng.integers(len(DIRECTIONS), size=count)
    straight = starts + np.arange(frames)[:, None] * np.array(DIRECTIONS)[directions][:, None]
    places = room - np.abs(straight % (2 * room) - room)  # bounces: a triangle wave of period 2 room
    clips = np.zeros((count, frames, 1, canvas, canvas), dtype=np.float32)
    for clip, row, path in zip(clips, rows, places, strict=True):
        for frame, (y, x) in zip(clip[:, 0], path, strict=True):
            frame[y : y + size, x : x + size] = part.images[row, 0]
    return Moving(clips, part.labels[rows], directions)


def moving_clips(count=1500, seed=0, frames=8, canvas=16, label="digit"):
    """Moving digits as labelled clips: the label is the class of the digit, or the direction in which it starts.

    Args:
        count: training clips, of training digits; a third as many test clips, of test digits.
        seed, frames, canvas: as in ``moving``. label: "digit" or "direction" (up, up-right, ... clockwise).
    Raises:
        DataError: another label. ValueError: as ``moving``.
    """
    if label not in ("digit", "direction"):
        raise DataError(f"moving: option label is {label!r}, expected digit or direction: --set data.label=direction")
    data, parts = digits(), []
    for stream, (part, size) in enumerate(((data.train, count), (data.test, max(10, count // 3)))):
        drawn = moving(part, size, np.random.default_rng([seed, stream]), frames, canvas)
        labels, names = (drawn.labels, part.label_names) if label == "digit" else (drawn.directions, DIRECTION_NAMES)
        parts.append(ImageSet("moving", drawn.clips, labels, names))
    return Dataset("moving", *parts)
