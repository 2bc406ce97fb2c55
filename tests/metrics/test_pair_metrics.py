"""AUC, modality gap, separability and neighbour overlap in constructed cases."""

import numpy as np
import pytest

from mini_repr.metrics import auc, modality_gap, modality_separability, neighbour_overlap

RNG = np.random.default_rng(0)
A = RNG.standard_normal((12, 4))
B = A + RNG.standard_normal((12, 4))


def naive_auc(positives, negatives):
    return np.mean([(p > n) + 0.5 * (p == n) for p in positives for n in negatives])


def test_auc_of_equal_rows_is_a_half_and_of_separated_ones_1():
    assert auc(np.ones((5, 3)), np.ones((5, 3))) == 0.5
    assert auc(np.eye(5), np.eye(5)) == 1.0


def test_auc_of_scores_with_ties():
    import importlib

    auc_of_scores = importlib.import_module("mini_repr.metrics.auc").auc_of_scores
    scores, positive = np.array([1.0, 2.0, 2.0, 0.0]), np.array([True, False, True, False])
    assert auc_of_scores(scores, positive) == naive_auc([1.0, 2.0], [2.0, 0.0])
    with pytest.raises(ValueError, match="0 negatives"):
        auc_of_scores(scores, np.ones(4, dtype=bool))


def test_gap_of_opposite_and_equal_sets():
    assert modality_gap(np.eye(3)[[0, 0]], -np.eye(3)[[0, 0]]) == pytest.approx(2.0)
    assert modality_gap(A, 3 * A) == pytest.approx(0.0, abs=1e-12)


def test_separability_of_split_and_mixed_sets():
    shift = np.array([8.0, 0, 0, 0])
    assert modality_separability(A + shift, B - shift) == 1.0
    assert modality_separability(A, A) == modality_separability(A, 3 * A) == 0.5, "every row is on the plane"
    assert modality_separability.definition(A, A) == 0.5
    x, y = RNG.standard_normal((2, 400, 4))
    assert modality_separability(x, y) == pytest.approx(0.5, abs=0.1)


def test_overlap_counts_shared_neighbours():
    assert neighbour_overlap(A, 2 * A @ np.linalg.qr(RNG.standard_normal((4, 4)))[0]) == 1.0
    assert neighbour_overlap(A, B, k=3) == pytest.approx(neighbour_overlap.definition(A, B, k=3))
    with pytest.raises(ValueError, match=r"neighbour_overlap: b: got shape \(5, 4\), expected shape \(N=12 as in a"):
        neighbour_overlap(A, B[:5])
