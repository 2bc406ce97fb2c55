"""Neighbour overlap by Euclidean distance and item by item (by cosine: ``test_pair_metrics.py``)."""

import numpy as np
import pytest
from device_double import DOUBLE

from mini_repr.metrics import neighbour_overlap
from mini_repr.metrics.neighbour_overlap import neighbour_overlaps

RNG = np.random.default_rng(0)
A = RNG.standard_normal((30, 4)) * RNG.uniform(0.5, 3, size=(30, 1)) + 2
B = A + RNG.standard_normal((30, 4))


def nearest(rows, k, with_self=False):
    distance = ((rows[:, None] - rows) ** 2).sum(axis=2)
    np.fill_diagonal(distance, -1 if with_self else np.inf)
    return [set(row) for row in distance.argsort(axis=1)[:, :k]]


def by_loops(k, with_self=False):
    pairs = zip(nearest(A, k, with_self), nearest(B, k, with_self), strict=True)
    return np.array([len(before & after) / k for before, after in pairs])


@pytest.mark.parametrize("k", [1, 4, 29])
def test_euclidean_overlap_equals_loops(k):
    np.testing.assert_array_equal(neighbour_overlaps(A, B, k, normalize=False), by_loops(k))
    assert neighbour_overlap(A, B, k, normalize=False) == pytest.approx(by_loops(k).mean())


def test_length_counts_by_distance_and_not_by_cosine():
    scaled = A * RNG.uniform(0.2, 5, size=(30, 1))
    assert neighbour_overlap(A, scaled, 3) == 1.0
    assert neighbour_overlap(A, scaled, 3, normalize=False) < 0.7
    assert neighbour_overlap(A, 2 * A + 100, 3, normalize=False) == 1.0
    assert neighbour_overlap(A, 2 * A + 100, 3) < 1.0


def test_a_far_centre_costs_no_precision():
    far = (A + 1000).astype("float32")
    assert neighbour_overlap(far, far.astype("float64"), 3, normalize=False) == 1.0


def test_how_to_compare_with_a_ratio_that_counts_the_row_itself():
    ratio = neighbour_overlap(A, B, 4, normalize=False)
    assert (1 + 4 * ratio) / 5 == pytest.approx(by_loops(5, with_self=True).mean())


def test_a_zero_row_has_neighbours_by_distance_alone():
    rows = np.concatenate([A, np.zeros((1, 4))])
    assert neighbour_overlap(rows, rows, 3, normalize=False) == 1.0
    with pytest.raises(ValueError, match="neighbour_overlap: a: got a row of zeros"):
        neighbour_overlap(rows, rows, 3)


@pytest.mark.parametrize("normalize", [True, False])
def test_runs_where_the_rows_live(normalize):
    on_device = neighbour_overlaps(DOUBLE.asarray(A), DOUBLE.asarray(B), 4, normalize)
    np.testing.assert_array_equal(DOUBLE.to_numpy(on_device), neighbour_overlaps(A, B, 4, normalize))
    assert type(neighbour_overlap(DOUBLE.asarray(A), DOUBLE.asarray(B), 4, normalize)) is float
