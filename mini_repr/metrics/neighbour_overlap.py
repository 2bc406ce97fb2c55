"""What a projection does to neighbourhoods: the same items before and after it."""

from mini_repr.backend import backend_of
from mini_repr.kernels.nearest import most_similar, nearest_rows
from mini_repr.kernels.tiles import column_blocks
from mini_repr.pages.arguments import Count, Flag, Rows, has_zero_row
from mini_repr.pages.declare import checked, metric
from mini_repr.pages.page import definition


@metric(paper="019")
def neighbour_overlap(a: Rows("N>=2 D"), b: Rows("N>=2 E"), k: Count() = 10, normalize: Flag = True):
    """Share of nearest rows that both sets of rows agree on.

    The mean share of a row's k nearest rows of a that are also among its k nearest rows of b: 1 where none is lost.
    Nearest by cosine (``normalize``) or by Euclidean distance, the row itself left out; ties are broken by row number.
    Unrelated sets of N rows give about k / (N - 1).

    Source: Li et al. 2025, arXiv 2509.11986, eq. 6 and 7 (k-nearest neighbours overlap ratio), there of the mean of an
    image's patches by Euclidean distance; appendix B also of unit rows. The official code counts a row among its own
    nearest, as it is on both sides: its ratio for k is (1 + (k - 1) r) / k, r the one here for k - 1.

    Args:
        a, b: (N, D) and (N, E): rows of the same N items, such as before and after a projection.
        k: 1 to N - 1; fewer rows than k + 1 take N - 1.
    Returns:
        float in [0, 1].
    """
    return float(neighbour_overlaps(a, b, k, normalize).mean())


@definition(neighbour_overlap)
def neighbour_overlap_definition(a, b, k, normalize):
    xp = backend_of(a).xp
    k = min(k, len(a) - 1)

    def nearest(rows, i):
        rows = rows / xp.linalg.norm(rows, axis=1, keepdims=True) if normalize else rows
        others = [j for j in range(len(rows)) if j != i]
        return set(sorted(others, key=lambda j: float(((rows[j] - rows[i]) ** 2).sum()))[:k])

    return sum(len(nearest(a, i) & nearest(b, i)) / k for i in range(len(a))) / len(a)


@checked
def neighbour_overlaps(a: Rows("N>=2 D"), b: Rows("N>=2 E"), k: Count() = 10, normalize: Flag = True):
    """The shares that ``neighbour_overlap`` takes the mean of, one per item: (N,) float64 (eq. 6 there)."""
    xp = backend_of(a).xp
    k = min(k, len(a) - 1)
    if normalize:
        for name, rows in (("a", a), ("b", b)):
            if has_zero_row(rows):
                raise ValueError(f"neighbour_overlap: {name}: got a row of zeros, expected a direction to normalise")
    centres = [None if normalize else rows.mean(axis=0) for rows in (a, b)]

    def nearest(block, rows, centre):
        if normalize:
            return most_similar(rows[block], rows, k, normalize=True, first=block.start)[1]
        return nearest_rows(rows, k, rows=block, centre=centre)

    shares = xp.empty(len(a))
    for block in column_blocks(a):
        found = [nearest(block, rows, centre) for rows, centre in zip((a, b), centres, strict=True)]
        both = xp.sort(xp.concatenate(found, axis=1), axis=1)
        shares[block] = (both[:, 1:] == both[:, :-1]).sum(axis=1) / k  # what is in both lists is there twice
    return shares
