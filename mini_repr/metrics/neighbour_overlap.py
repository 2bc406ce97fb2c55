"""What a projection does to neighbourhoods: the same items before and after it."""

from mini_repr.backend import backend_of
from mini_repr.metrics.rows import row_tiles, unit_rows


def neighbour_overlap(a, b, k=10):
    """Mean share of a row's k nearest rows of a that are also among its k nearest rows of b: 1 where none is lost.

    Nearest by cosine, the row itself left out; of equally near rows the first count. Unrelated sets of N rows give
    about k / (N - 1). Source: Li et al. 2025, arXiv 2509.11986, the k-nearest-neighbour overlap ratio.

    Args:
        a, b: (N, D) and (N, E): rows of the same N items, such as before and after a projection.
        k: 1 to N - 1; fewer rows than 11 take N - 1.
    Returns:
        float in [0, 1].
    Raises:
        ValueError: different numbers of rows, fewer than two, values that are not finite, zero rows, k below 1.
    """
    xp = backend_of(a).xp
    a, b = unit_rows("neighbour_overlap", "a", a), unit_rows("neighbour_overlap", "b", b)
    count = len(a)
    if len(b) != count or count < 2:
        raise ValueError(f"neighbour_overlap: a and b must have as many rows, two or more, got {count} and {len(b)}")
    if k < 1:
        raise ValueError(f"neighbour_overlap: k must be at least 1, got {k}")
    k = min(k, count - 1)
    kept = 0
    for tile in row_tiles(count, count, a.itemsize):
        here = xp.arange(tile.stop - tile.start)
        near = []
        for rows in (a, b):
            distance = -(rows[tile] @ rows.T)
            distance[here, here + tile.start] = xp.inf
            chosen = xp.zeros(distance.shape, dtype=bool)
            chosen[here[:, None], xp.argsort(distance, axis=1, kind="stable")[:, :k]] = True
            near.append(chosen)
        kept += int((near[0] & near[1]).sum())
    return kept / (count * k)
