"""Digits with random bits beside their pixels: an easy feature that a view leaves alone, and a hard one."""

from typing import NamedTuple

import numpy as np


class BitDigits(NamedTuple):
    """rows (N, pixels + bits * repeat) float32; bits (N, bits) of 0 and 1; labels (N,) classes of the digits."""

    rows: np.ndarray
    bits: np.ndarray
    labels: np.ndarray


def bit_digits(part, bits, repeat, rng):
    """Each digit's pixels, then ``bits`` random bits, each written ``repeat`` times in a row.

    The more bits, the more of an image can be told apart without its digit. Source: own, after the random bits of Chen,
    Luo, Li 2021, arXiv 2011.02803. For rows 059 and 087 (simplicity bias, projection head).

    Args:
        part: ImageSet of digits. bits: how many a digit, 0 or more. repeat: columns a bit takes, 1 or more.
    Raises:
        ValueError: a negative number of bits, or no column for one.
    """
    if bits < 0 or repeat < 1:
        raise ValueError(f"bit_digits: bits {bits} and repeat {repeat}, expected at least 0 and 1")
    drawn = rng.integers(2, size=(len(part), bits))
    return BitDigits(_rows(part.images.reshape(len(part), -1), drawn, repeat), drawn, part.labels)


def redrawn_bits(drawn, repeat, keep, rng):
    """The rows (N, D) of a view: each bit stays with probability ``keep``, else is drawn anew, in all its columns.

    Args:
        drawn, repeat: what ``bit_digits`` returned, and was given.
    """
    shape = drawn.bits.shape
    pixels = drawn.rows[:, : drawn.rows.shape[1] - shape[1] * repeat]
    bits = np.where(rng.random(shape) < keep, drawn.bits, rng.integers(2, size=shape))
    return _rows(pixels, bits, repeat)


def _rows(pixels, bits, repeat):
    return np.concatenate([pixels, np.repeat(bits, repeat, axis=1).astype(np.float32)], axis=1)
