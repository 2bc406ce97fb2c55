"""What a projection does to neighbourhoods: the same items before and after it."""

from mini_repr.backend import backend_of
from mini_repr.metrics.rows import checked_rows, row_tiles, unit_rows


def neighbour_overlap(a, b, k=10, normalize=True):
    """Mean share of a row's k nearest rows of a that are also among its k nearest rows of b: 1 where none is lost.

    Nearest by cosine (``normalize``) or by Euclidean distance, the row itself left out; of equally near rows the first
    count. Unrelated sets of N rows give about k / (N - 1).

    Source: Li et al. 2025, arXiv 2509.11986, eq. 6 and 7 (k-nearest neighbours overlap ratio), there of the mean of an
    image's patches by Euclidean distance; appendix B also of unit rows. The official code counts a row among its own
    nearest, as it is on both sides: its ratio for k is (1 + (k - 1) r) / k, r the one here for k - 1.

    Measured: `mini-repr claim embedding_loss` (three connectors between an encoder of two-digit scenes and a reader):
    overlap 0.626 ± 0.019 to 0.713 ± 0.014, rank correlation with each scene's recall@5 0.167 ± 0.031 to 0.215 ± 0.006:
    holds, but for the paper's extent, below 0.62 for all: does not hold.

    Args:
        a, b: (N, D) and (N, E): rows of the same N items, such as before and after a projection.
        k: 1 to N - 1; fewer rows than 11 take N - 1.
    Returns:
        float in [0, 1].
    Raises:
        ValueError: different numbers of rows, fewer than two, values that are not finite, zero rows where normalised,
            k below 1.
    """
    return float(neighbour_overlaps(a, b, k, normalize).mean())


def neighbour_overlaps(a, b, k=10, normalize=True):
    """The shares that ``neighbour_overlap`` takes the mean of, one for each item: (N,) float64 (eq. 6 there)."""
    xp = backend_of(a).xp
    rows_of = unit_rows if normalize else checked_rows
    sides = [rows_of("neighbour_overlap", name, rows) for name, rows in (("a", a), ("b", b))]
    count = len(a)
    if len(b) != count or count < 2:
        raise ValueError(f"neighbour_overlap: a and b must have as many rows, two or more, got {count} and {len(b)}")
    if k < 1:
        raise ValueError(f"neighbour_overlap: k must be at least 1, got {k}")
    k = min(k, count - 1)
    if not normalize:  # no distance changes, and what follows cancels less
        sides = [rows - rows.mean(axis=0) for rows in sides]
    # |x - y|² / 2 without |x|² / 2, which changes no order; of unit rows the squares are all 1, up to rounding.
    squares = [0 if normalize else (rows * rows).sum(axis=1) / 2 for rows in sides]
    shares = xp.empty(count, dtype="float64")
    for tile in row_tiles(count, count, a.itemsize):
        here = xp.arange(tile.stop - tile.start)
        near = []
        for rows, square in zip(sides, squares, strict=True):
            distance = square - rows[tile] @ rows.T
            distance[here, here + tile.start] = xp.inf
            chosen = xp.zeros(distance.shape, dtype=bool)
            chosen[here[:, None], xp.argsort(distance, axis=1, kind="stable")[:, :k]] = True
            near.append(chosen)
        shares[tile] = (near[0] & near[1]).sum(axis=1) / k
    return shares
