"""How far apart the two sides of aligned pairs lie as sets: images and texts, words and definitions."""

import math

import numpy as np

from mini_repr.autograd import unit_rows
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Rows
from mini_repr.pages.declare import metric
from mini_repr.pages.page import definition


@metric(paper="104")
def modality_gap(a: Rows("N D", no_zero_row=True), b: Rows("N D", no_zero_row=True)):
    """Distance between the centres of the two sides, 0 to 2.

    |mean u - mean v| of the rows scaled to length 1: 0 where the sets share a centre, at most 2.

    Source: Liang et al. 2022, arXiv 2203.02053, section 2; Fahim et al. 2024, arXiv 2405.18570, measures it so too.

    Args:
        a, b: (N, D), row i of a belongs to row i of b.
    """
    (u, _), (v, _) = unit_rows.on_arrays(a), unit_rows.on_arrays(b)
    return float(backend_of(a).xp.linalg.norm(u.mean(axis=0) - v.mean(axis=0)))


@definition(modality_gap)
def modality_gap_definition(a, b):
    norm = backend_of(a).xp.linalg.norm
    centre_a, centre_b = (sum(row / norm(row) for row in rows) / len(rows) for rows in (a, b))
    return math.sqrt(sum(float(x - y) ** 2 for x, y in zip(centre_a, centre_b, strict=True)))


@metric(paper="104")
def modality_separability(a: Rows("N>=2 D", no_zero_row=True), b: Rows("N>=2 D", no_zero_row=True)):
    """Accuracy of a plane between the two sides, 0.5 where they mix.

    1 where a plane splits the unit rows of a from those of b. The plane is the least-squares one of the pairs of even
    number, slightly ridged; those of odd number are scored, and one on the plane counts half.

    Source: Fahim et al. 2024, arXiv 2405.18570, report linear separability besides the gap.
    """
    (u, _), (v, _) = unit_rows.on_arrays(a), unit_rows.on_arrays(b)
    backend = backend_of(a)
    a, b = (backend.to_numpy(x).astype(np.float64) for x in (u, v))
    middle = (a[::2].mean(axis=0) + b[::2].mean(axis=0)) / 2
    x = np.concatenate([a[::2], b[::2]]) - middle
    sides = np.repeat([1.0, -1.0], len(a[::2]))
    plane = np.linalg.solve(x.T @ x + 1e-6 * len(x) * np.eye(x.shape[1]), x.T @ sides)
    heights_a, heights_b = (a[1::2] - middle) @ plane, (middle - b[1::2]) @ plane
    return float(np.heaviside(heights_a, 0.5).mean() + np.heaviside(heights_b, 0.5).mean()) / 2


@definition(modality_separability)
def modality_separability_definition(a, b):
    a, b = (backend_of(x).to_numpy(x) for x in (a, b))
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    middle = (a[::2].mean(axis=0) + b[::2].mean(axis=0)) / 2
    x = np.concatenate([a[::2], b[::2]]) - middle
    # The ridge as further rows of a least-squares problem.
    ridge = np.sqrt(1e-6 * len(x)) * np.eye(x.shape[1])
    sides = [*[1.0] * len(a[::2]), *[-1.0] * len(b[::2]), *[0.0] * len(ridge)]
    plane = np.linalg.lstsq(np.concatenate([x, ridge]), np.array(sides))[0]
    heights = [(row - middle) @ plane for row in a[1::2]] + [-(row - middle) @ plane for row in b[1::2]]
    return sum(1.0 if height > 0 else 0.5 if height == 0 else 0.0 for height in heights) / len(heights)
