"""How far two sets of rows are from being drawn from one distribution."""

from mini_repr.backend import backend_of, blocks_of
from mini_repr.pages.arguments import Rows
from mini_repr.pages.declare import metric
from mini_repr.pages.page import definition

_LEAST = 16  # rows of a tile, at least


@metric(paper=("003", "047"), most_rows=10_000)
def energy_distance(a: Rows("N>=2 D"), b: Rows("M>=2 D")):
    """Energy distance: how far apart two sets of rows lie as distributions.

    2 E|a - b| - E|a - a'| - E|b - b'|, the means over all pairs of rows, and over distinct ones within a set: 0 in
    expectation for two samples of one distribution (a value may be below 0), greater for any others. Rows come a tile
    at a time, in float64.

    Source: Székely, Rizzo 2013, Journal of Statistical Planning and Inference 143, eq. 1,
    doi 10.1016/j.jspi.2013.03.018.
    """
    within = [_mean_distance(z, z) * (len(z) / (len(z) - 1)) for z in (a, b)]
    return 2 * _mean_distance(a, b) - sum(within)


def _mean_distance(a, b):
    """The mean distance of all pairs, in float64, by differences: products lose the digits of near rows."""
    backend, total = backend_of(a), 0.0
    blocks = blocks_of(len(b), max(1, backend.tile_bytes // (_LEAST * a.shape[1] * 8)))
    for rows in blocks_of(len(a), max(_LEAST, backend.tile_bytes // (blocks[0].stop * a.shape[1] * 8))):
        for columns in blocks:
            apart = a[rows, None].astype("float64") - b[columns].astype("float64")
            total = total + backend.xp.sqrt((apart * apart).sum(axis=2)).sum()
    return float(total) / (len(a) * len(b))


@definition(energy_distance)
def energy_distance_definition(a, b):
    def mean(first, second, distinct):
        pairs = [(i, j) for i in range(len(first)) for j in range(len(second)) if not (distinct and i == j)]
        return sum(float(((first[i] - second[j]) ** 2).sum()) ** 0.5 for i, j in pairs) / len(pairs)

    return 2 * mean(a, b, False) - mean(a, a, True) - mean(b, b, True)
