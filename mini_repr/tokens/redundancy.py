"""Which tokens say little that others do not: those that resemble another one most."""

import numpy as np


def least_redundant(tokens, keep):
    """Numbers (B, keep) of the tokens that are left, in order, when the most redundant go one after the other.

    Of all that are still there, the one with the largest cosine with another goes; of such a pair the first.

    Args:
        tokens: host array (B, N, D). keep: 1 to N.
    """
    unit = tokens / np.maximum(np.linalg.norm(tokens, axis=-1, keepdims=True), 1e-12)
    cosine = unit @ unit.swapaxes(-1, -2)
    batch, count = cosine.shape[:2]
    rows = np.arange(batch)
    cosine[:, np.arange(count), np.arange(count)] = -np.inf
    left = np.ones((batch, count), dtype=bool)
    for _ in range(count - keep):
        gone = np.where(left, cosine.max(axis=2), -np.inf).argmax(axis=1)
        left[rows, gone] = False
        cosine[rows, gone] = cosine[rows, :, gone] = -np.inf
    return np.nonzero(left)[1].reshape(batch, keep)
