"""How close rows of one class stay: the counterpart of uniformity in the uniformity-tolerance dilemma."""

from mini_repr.backend import backend_of
from mini_repr.metrics.rows import checked_labels, unit_rows


def tolerance(z, labels):
    """Mean cosine similarity over all pairs of distinct rows with the same label: 1 where each class is one point.

    A class with n unit rows that sum to S has pairs that sum to ||S||² - n, so no pair is ever formed. The paper writes
    an expectation over all pairs with an indicator of the same class, but describes and plots the mean within classes,
    which is what stands here: its value does not depend on the number of classes.

    Source: Wang & Liu 2020, arXiv 2012.09740, section 4.

    Args:
        z: (N, D). labels: (N,) integers.
    Raises:
        ValueError: shapes, empty sets, values that are not finite, zero rows, no two rows with the same label.
    """
    backend = backend_of(z)
    xp = backend.xp
    z = unit_rows("tolerance", "z", z).astype("float64")  # the difference below cancels
    _, index, counts = xp.unique(
        checked_labels("tolerance", "labels", labels, z), return_inverse=True, return_counts=True
    )
    pairs = int((counts * (counts - 1)).sum())
    if pairs == 0:
        raise ValueError("tolerance: labels has no two rows of the same class")
    sums = xp.zeros((counts.shape[0], z.shape[1]))
    backend.scatter_add(sums, index, z)
    return (float(xp.vdot(sums, sums)) - float(xp.vdot(z, z))) / pairs
