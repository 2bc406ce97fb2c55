"""How far apart the two sides of aligned pairs lie as sets: images and texts, words and definitions."""

import numpy as np

from mini_repr.backend import backend_of
from mini_repr.metrics.rows import unit_pairs


def modality_gap(a, b):
    """Distance between the mean unit row of a and that of b: 0 where the sets share a centre, at most 2.

    Source: Liang et al. 2022, arXiv 2203.02053, section 2; Fahim et al. 2024, arXiv 2405.18570, measures it so too.

    Args:
        a, b: (N, D), row i of a belongs to row i of b.
    Raises:
        ValueError: shapes, empty sets, values that are not finite, zero rows.
    """
    a, b = unit_pairs("modality_gap", a, b)
    return float(backend_of(a).xp.linalg.norm(a.mean(axis=0) - b.mean(axis=0)))


def modality_separability(a, b):
    """Accuracy at telling unit rows of a from those of b by a plane: about 0.5 where they mix, 1 where one splits them.

    The plane is the least-squares one of the pairs of even number, slightly ridged; those of odd number are scored.
    Fahim et al. 2024, arXiv 2405.18570, report linear separability besides the gap.

    Raises:
        ValueError: as ``modality_gap``; fewer than two pairs.
    """
    a, b = unit_pairs("modality_separability", a, b)
    if len(a) < 2:
        raise ValueError(
            "modality_separability: a and b must have two pairs or more, to fit on one half and score another"
        )
    backend = backend_of(a)
    a, b = (backend.to_numpy(x).astype(np.float64) for x in (a, b))
    middle = (a[::2].mean(axis=0) + b[::2].mean(axis=0)) / 2
    x = np.concatenate([a[::2], b[::2]]) - middle
    sides = np.repeat([1.0, -1.0], len(a[::2]))
    plane = np.linalg.solve(x.T @ x + 1e-6 * len(x) * np.eye(x.shape[1]), x.T @ sides)
    return float(((a[1::2] - middle) @ plane > 0).mean() + ((b[1::2] - middle) @ plane < 0).mean()) / 2
