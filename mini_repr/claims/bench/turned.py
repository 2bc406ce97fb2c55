"""Turned digits on scenes: images that a pair of towers trained on upright ones knows less of."""

import numpy as np
from scipy.ndimage import rotate

from mini_repr.standins.scenes_clip import in_cells

ANGLE = 20  # degrees


def turned_digits(part, rng, shots=None, classes=range(10)):
    """(images (N, 1, 16, 16), labels (N,), counted from the first of ``classes``): each digit turned, in a random cell.

    Args:
        part: ``ImageSet`` of digits. shots: images of a class, drawn; all by default, in order.
    """
    rows = []
    for digit in classes:
        own = np.flatnonzero(part.labels == digit)
        rows.append(own if shots is None else rng.choice(own, size=shots, replace=False))
    labels = np.repeat(np.arange(len(rows)), [len(own) for own in rows])
    turned = [rotate(part.images[row, 0], ANGLE, reshape=False, order=1) for row in np.concatenate(rows)]
    return in_cells(np.clip(np.stack(turned), 0, 1)[:, None], rng), labels
