import math

import numpy as np
import pytest

from mini_repr.backend import NumpyBackend
from mini_repr.metrics import label_ndcg, mean_reciprocal_rank, ndcg, recall_at_k


def make_rows(n=23, d=4, seed=0, dtype="float64"):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(dtype)


def make_pairs(dtype="float64"):
    a = make_rows()
    return a.astype(dtype), (a + 0.8 * make_rows(seed=1)).astype(dtype)


@pytest.mark.parametrize("k", [1, 2, 5, 23])
def test_partner_ranks_follow_the_definition(k):
    a, b = make_pairs()
    assert mean_reciprocal_rank(a, b) == pytest.approx(mean_reciprocal_rank.definition(a, b), rel=1e-14)
    assert recall_at_k(a, b, k) == recall_at_k.definition(a, b, k)
    assert recall_at_k(a, b) < 1


@pytest.mark.parametrize("k", [1, 3, 17, None])
def test_ndcg_follows_the_definition(k):
    queries, candidates = make_rows(9), make_rows(17, seed=1)
    relevance = np.random.default_rng(2).integers(0, 4, size=(9, 17))
    relevance[4] = 0  # a query without a relevant candidate is left out
    expected = ndcg.definition(queries, candidates, relevance, k)
    assert ndcg(queries, candidates, relevance, k) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("k", [1, 3, 23, None])
def test_label_ndcg_follows_the_definition(k):
    z, labels = make_rows(), np.arange(23) % 5
    labels[7] = 99  # alone in its class: left out as a query
    assert label_ndcg(z, labels, k) == pytest.approx(label_ndcg.definition(z, labels, k), rel=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_perfect_retrieval(dtype):
    z, labels = make_rows(dtype=dtype), np.arange(24) % 3
    assert recall_at_k(z, 3.0 * z) == 1.0
    assert mean_reciprocal_rank(z, 3.0 * z) == 1.0
    separate = (10.0 * np.eye(4)[labels] + 0.1 * make_rows(24)).astype(dtype)
    assert label_ndcg(separate, labels) == pytest.approx(1.0)
    relevance = (labels[:, None] == labels).astype(dtype)
    assert ndcg(separate, separate, relevance) == pytest.approx(1.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("d", [3, 300])
def test_collapsed_rows_score_worst(dtype, d):
    """All rows the same up to rounding: ties are counted against the representation."""
    z = np.tile(make_rows(1, d, dtype=dtype), (24, 1)) * np.arange(1, 25, dtype=dtype)[:, None]
    labels = np.repeat(np.arange(4), 6)
    assert recall_at_k(z, z, k=23) == 0.0
    assert mean_reciprocal_rank(z, z) == pytest.approx(1 / 24)
    assert label_ndcg(z, labels, k=18) == 0.0  # 18 rows of other classes come first
    assert ndcg(z, z, labels[:, None] == labels, k=18) == 0.0


def test_duplicate_of_the_partner_is_ranked_before_it():
    a = np.eye(3)
    b = np.eye(3)
    b[2] = b[1]
    a[2] = a[1]
    assert recall_at_k(a, b) == pytest.approx(1 / 3)
    assert mean_reciprocal_rank(a, b) == pytest.approx((1 + 0.5 + 0.5) / 3)


def test_worst_order_exact_value():
    queries, candidates = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    assert ndcg(queries, candidates, np.array([[1, 0, 0]])) == pytest.approx(0.5)  # rank 3 discounts by log2(4)
    assert ndcg(queries, candidates, np.array([[1, 0, 0]]), k=2) == 0.0
    expected = (1 + 3 / 2) / (3 + 1 / math.log2(3))
    assert ndcg(queries, candidates, np.array([[3, 0, 1]])) == pytest.approx(expected)


def test_tiles_change_nothing(monkeypatch):
    a, b = make_pairs()
    labels = np.arange(23) % 5

    def values():
        return recall_at_k(a, b, 2), mean_reciprocal_rank(a, b), label_ndcg(a, labels), ndcg(a, b, a @ b.T > 1.0)

    expected = values()
    monkeypatch.setattr(NumpyBackend, "tile_bytes", 1)
    assert values() == pytest.approx(expected, rel=1e-14)


def test_order_rotation_and_scale_change_nothing():
    a, b = make_pairs()
    labels = np.arange(23) % 5
    generator = np.random.default_rng(5)
    order = generator.permutation(23)
    rotation = np.linalg.qr(make_rows(4, seed=6))[0]
    turned_a = (a @ rotation * generator.uniform(0.1, 9, size=(23, 1)))[order]
    turned_b = (b @ rotation)[order]
    assert recall_at_k(turned_a, turned_b, 2) == recall_at_k(a, b, 2)
    assert mean_reciprocal_rank(turned_a, turned_b) == pytest.approx(mean_reciprocal_rank(a, b), rel=1e-14)
    assert label_ndcg(turned_a, labels[order]) == pytest.approx(label_ndcg(a, labels), rel=1e-14)


A = make_rows(3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: recall_at_k(A, A[:2]), r"recall_at_k: b: got shape \(2, 4\), expected shape \(N=3 as in a"),
        (lambda: recall_at_k(A, A, k=4), "recall_at_k: k: got 4, expected 1 to 3, the candidates"),
        (lambda: recall_at_k(A, A, k=0), "recall_at_k: k: got 0, expected a whole number from 1"),
        (lambda: mean_reciprocal_rank(A, 0 * A), "mean_reciprocal_rank: b: got a row of zeros"),
        (
            lambda: ndcg(A, A[:, :3], np.ones((3, 3))),
            r"ndcg: candidates: got shape \(3, 3\), expected shape \(M, D=4 as in queries\)",
        ),
        (
            lambda: ndcg(A, A, np.ones((3, 2))),
            r"ndcg: relevance: got shape \(3, 2\), expected shape \(N=3 as in queries, M=3 as in candidates\)",
        ),
        (lambda: ndcg(A, A, -np.ones((3, 3))), "ndcg: relevance: got a negative number"),
        (lambda: ndcg(A, A, np.full((3, 3), np.nan)), "ndcg: relevance: got a NaN"),
        (lambda: ndcg(A, A, np.zeros((3, 3))), "ndcg: relevance: got no relevant candidate for any query"),
        (lambda: ndcg(A, A, np.ones((3, 3)), k=4), "ndcg: k: got 4, expected 1 to 3, the candidates"),
        (lambda: label_ndcg(A, np.arange(3)), "label_ndcg: labels: got no relevant candidate for any query"),
        (lambda: label_ndcg(A, np.arange(2)), r"label_ndcg: labels: got shape \(2,\), expected shape \(N=3 as in z\)"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
