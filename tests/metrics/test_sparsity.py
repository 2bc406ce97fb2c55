import numpy as np
import pytest

from mini_repr.metrics import expected_flops
from mini_repr.metrics.sparsity import sparse_search


def sparse_rows(n, d, share, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) * (rng.random((n, d)) < share)


def test_flops_count_shared_dimensions_pair_by_pair():
    z = sparse_rows(12, 9, 0.3)
    assert expected_flops(z) == pytest.approx(expected_flops.definition(z), rel=1e-13)
    assert expected_flops(np.ones((4, 6))) == 6
    assert expected_flops(np.eye(5)) == 0


def test_search_finds_what_dense_products_find_and_counts_its_work():
    queries, candidates = sparse_rows(7, 20, 0.3, 1), sparse_rows(50, 20, 0.3, 2)
    found, scores, multiplications = sparse_search(queries, candidates, 5)
    dense = queries @ candidates.T
    np.testing.assert_array_equal(found, np.argsort(-dense, axis=1, kind="stable")[:, :5])
    np.testing.assert_allclose(scores, -np.sort(-dense, axis=1)[:, :5], atol=1e-14)
    counted = [sum(((q != 0) & (c != 0)).sum() for c in candidates) for q in queries]
    np.testing.assert_array_equal(multiplications, counted)
    dense_work = sparse_search(np.ones((2, 4)), np.ones((3, 4)), 1)[2]
    assert dense_work.tolist() == [12, 12]


def test_a_query_of_zeros_costs_nothing_and_ties_go_by_index():
    found, scores, multiplications = sparse_search(np.zeros((1, 4)), sparse_rows(5, 4, 0.5), 3)
    assert found.tolist() == [[0, 1, 2]] and not scores.any() and multiplications.tolist() == [0]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: expected_flops(np.ones((1, 3))), r"expected_flops: z: got shape \(1, 3\), expected shape \(N>=2, D\)"),
        (
            lambda: sparse_search(np.ones((1, 3)), np.ones((2, 4))),
            r"sparse_search: candidates: got shape \(2, 4\), expected shape \(M, D=3 as in queries\)",
        ),
        (
            lambda: sparse_search(np.ones((1, 3)), np.ones((2, 3)), 3),
            "sparse_search: k: got 3, expected 1 to 2, the candidates",
        ),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
