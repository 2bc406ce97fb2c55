import math

import numpy as np
import pytest

from mini_repr.metrics import label_ndcg, mean_reciprocal_rank, ndcg, recall_at_k, rows


def make_rows(n=23, d=4, seed=0, dtype="float64"):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(dtype)


def make_pairs(dtype="float64"):
    a = make_rows()
    return a.astype(dtype), (a + 0.8 * make_rows(seed=1)).astype(dtype)


def cosine(a, b):
    return (a @ b.T) / np.linalg.norm(a, axis=1)[:, None] / np.linalg.norm(b, axis=1)


def naive_ranks(a, b):
    s = cosine(a, b)
    return [1 + sum(s[i, j] > s[i, i] for j in range(len(b)) if j != i) for i in range(len(a))]


def naive_ndcg(similarity, relevance, k):
    values = []
    for s, r in zip(similarity, relevance, strict=True):
        order = sorted(range(len(s)), key=lambda j: -s[j])
        gain = sum(r[j] / math.log2(rank + 2) for rank, j in enumerate(order[:k]))
        best = sum(x / math.log2(rank + 2) for rank, x in enumerate(sorted(r, reverse=True)[:k]))
        if best > 0:
            values.append(gain / best)
    return np.mean(values)


def test_partner_ranks_follow_the_definition():
    a, b = make_pairs()
    ranks = naive_ranks(a, b)
    assert max(ranks) > 1
    assert mean_reciprocal_rank(a, b) == pytest.approx(np.mean([1 / r for r in ranks]), rel=1e-14)
    for k in (1, 2, 5, 23):
        assert recall_at_k(a, b, k) == np.mean([r <= k for r in ranks])


@pytest.mark.parametrize("k", [1, 3, 17, None])
def test_ndcg_follows_the_definition(k):
    queries, candidates = make_rows(9), make_rows(17, seed=1)
    relevance = np.random.default_rng(2).integers(0, 4, size=(9, 17))
    relevance[4] = 0  # a query without a relevant candidate is left out
    assert ndcg(queries, candidates, relevance, k) == pytest.approx(
        naive_ndcg(cosine(queries, candidates), relevance, k or 17), rel=1e-14
    )


@pytest.mark.parametrize("k", [1, 3, 23, None])
def test_label_ndcg_follows_the_definition(k):
    z, labels = make_rows(), np.arange(23) % 5
    labels[7] = 99  # alone in its class: left out as a query
    similarity = cosine(z, z)
    np.fill_diagonal(similarity, -np.inf)
    relevance = (labels[:, None] == labels) & ~np.eye(23, dtype=bool)
    assert label_ndcg(z, labels, k) == pytest.approx(naive_ndcg(similarity, relevance, k or 23), rel=1e-14)


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


@pytest.mark.parametrize("tile_rows", [1, 4, 22])
def test_tiles_change_nothing(tile_rows, monkeypatch):
    a, b = make_pairs()
    labels = np.arange(23) % 5

    def values():
        return recall_at_k(a, b, 2), mean_reciprocal_rank(a, b), label_ndcg(a, labels), ndcg(a, b, a @ b.T > 1.0)

    expected = values()
    monkeypatch.setattr(rows, "TILE_BYTES", tile_rows * 23 * 8)
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
        (lambda: recall_at_k(A, A[:2]), r"recall_at_k: a and b must have the same shape, got \(3, 4\) and \(2, 4\)"),
        (lambda: recall_at_k(A, A, k=4), r"recall_at_k: k must lie in \[1, 3 candidates\], got 4"),
        (lambda: recall_at_k(A, A, k=0), "recall_at_k: k must lie in .* got 0"),
        (lambda: mean_reciprocal_rank(A, 0 * A), "mean_reciprocal_rank: b has a zero row"),
        (lambda: ndcg(A, A[:, :3], np.ones((3, 3))), "ndcg: queries have 4 dimensions, candidates have 3"),
        (lambda: ndcg(A, A, np.ones((3, 2))), r"ndcg: relevance must have shape \(3, 3\), got \(3, 2\)"),
        (lambda: ndcg(A, A, -np.ones((3, 3))), "ndcg: relevance must be finite and at least 0"),
        (lambda: ndcg(A, A, np.full((3, 3), np.nan)), "ndcg: relevance must be finite and at least 0"),
        (lambda: ndcg(A, A, np.zeros((3, 3))), "ndcg: no query has a relevant candidate"),
        (lambda: ndcg(A, A, np.ones((3, 3)), k=4), r"ndcg: k must lie in \[1, 3 candidates\], got 4"),
        (lambda: label_ndcg(A, np.arange(3)), "label_ndcg: no query has a relevant candidate"),
        (lambda: label_ndcg(A, np.arange(2)), "label_ndcg: labels must be 3 integer labels"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
