"""Rotary positions: queries and keys are turned by angles, so that their products depend on distances alone.

Of a head's query or key x, the columns k and k + n/2 of a block of n columns are one point of the plane, which the
coordinate p of its token turns by the angle p w_k, w_k = 10000^(-2k/n), k = 0 .. n/2 - 1:

    (x_k, x_{k+n/2}) <- (x_k cos - x_{k+n/2} sin, x_k sin + x_{k+n/2} cos)

With several coordinates each has an equal block of the head's columns. Then q_i·k_j is a function of the differences of
the coordinates of tokens i and j. The gradient is turned back by the same angles.

Source: Su et al. 2021, arXiv 2104.09864, section 3.2.2, with pairs of columns half a block apart, as in public code;
two coordinates, half of the columns each: Zheng et al. 2025, arXiv 2501.13397 (ExLM).
"""

from typing import NamedTuple

import numpy as np

from mini_repr.autograd import primitive
from mini_repr.backend import backend_of


class Angles(NamedTuple):
    """cos and sin (B, T, C, n/2) of the angles of C coordinates, each of a block of n columns."""

    cos: object
    sin: object


def rotary_angles(coordinates, size, dtype=np.float32):
    """``Angles`` of tokens, host arrays.

    Args:
        coordinates: C arrays (B, T) of host integers. size: columns of a head, a multiple of 2 C.
    Raises:
        ValueError: another size.
    """
    if size % (2 * len(coordinates)):
        expected = f"a multiple of {2 * len(coordinates)}"
        raise ValueError(f"rotary_angles: size: got {size} columns of a head, expected {expected}")
    block = size // len(coordinates)
    frequency = 10000.0 ** (-np.arange(block // 2) * 2 / block)
    angles = np.stack(coordinates, axis=-1)[..., None] * frequency
    return Angles(np.cos(angles).astype(dtype), np.sin(angles).astype(dtype))


@primitive
def rotated(x, cos, sin, /, heads):
    """Rows x (B, T, D) of all heads, turned by angles (B, T, C, n/2); the gradient is turned back."""

    def turned(x, sin):
        blocks = x.reshape(*x.shape[:2], heads, cos.shape[2], 2, cos.shape[3])
        c, s = cos[:, :, None], sin[:, :, None]
        first, second = blocks[..., 0, :], blocks[..., 1, :]
        return backend_of(x).xp.stack([first * c - second * s, first * s + second * c], axis=-2).reshape(x.shape)

    return turned(x, sin), lambda g: (turned(g, -sin), None, None)
