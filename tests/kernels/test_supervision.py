import numpy as np
import pytest
from device_double import DOUBLE

from mini_repr.kernels.supervision import gaussian_neighbours, nearest_neighbours, same_group, shared_clusters


def test_same_group_of_rows_and_of_classes():
    np.testing.assert_array_equal(same_group(np.array([2, 7, 2])), [[1, 0, 1], [0, 1, 0], [1, 0, 1]])
    found = same_group(np.array([1, 0]), np.arange(3), dtype=np.float64)
    np.testing.assert_array_equal(found, [[0, 1, 0], [1, 0, 0]])
    assert found.dtype == np.float64


def test_nearest_neighbours_leave_the_row_out_and_break_ties_by_number():
    x = np.array([[0.0], [1.0], [2.0], [10.0]])
    np.testing.assert_array_equal(nearest_neighbours(x, 1), [[0, 1, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])
    np.testing.assert_array_equal(nearest_neighbours(x, 2).sum(axis=1), [2, 2, 2, 2])


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-6), (np.float32, 1e-3)])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("perplexity", [1.5, 5.0, 30.0])
def test_gaussian_neighbours_have_the_perplexity(perplexity, scale, dtype, tolerance):
    x = (scale * np.random.default_rng(0).standard_normal((40, 5))).astype(dtype)
    p = gaussian_neighbours(x, perplexity)
    assert p.dtype == dtype and not p.diagonal().any()
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    entropy = -(p * np.log(np.where(p > 0, p, 1))).sum(axis=1)
    np.testing.assert_allclose(np.exp(entropy), perplexity, rtol=tolerance)
    nearest = np.where(np.eye(40, dtype=bool), np.inf, ((x[:, None] - x) ** 2).sum(axis=2)).argmin(axis=1)
    np.testing.assert_array_equal(p.argmax(axis=1), nearest)


def test_symmetric_neighbours():
    x = np.random.default_rng(1).standard_normal((20, 3))
    p, joint = gaussian_neighbours(x, 5.0), gaussian_neighbours(x, 5.0, symmetric=True)
    np.testing.assert_allclose(joint, (p + p.T) / 2)
    assert joint.sum() == pytest.approx(20)


def test_equal_rows_are_equal_neighbours():
    np.testing.assert_allclose(gaussian_neighbours(np.ones((6, 2)), 2.0), (1 - np.eye(6)) / 5)


def test_shared_clusters_walk_over_clusters():
    rng = np.random.default_rng(2)
    soft = rng.dirichlet(np.ones(3), 6)
    p = shared_clusters(soft)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert p[1, 4] == pytest.approx(sum(soft[1, c] * soft[4, c] / soft[:, c].sum() for c in range(3)))
    hard = np.eye(4)[[0, 0, 2, 2, 2]]  # clusters 1 and 3 are empty
    expected = same_group(np.array([0, 0, 2, 2, 2]), dtype=np.float64)
    np.testing.assert_allclose(shared_clusters(hard), expected / expected.sum(axis=1, keepdims=True))


def test_on_a_device():
    x = np.random.default_rng(3).standard_normal((8, 3))
    moved = DOUBLE.asarray(x)
    for function in (lambda x: nearest_neighbours(x, 3), lambda x: gaussian_neighbours(x, 3.0), shared_clusters):
        np.testing.assert_allclose(DOUBLE.to_numpy(function(moved)), function(x), rtol=1e-12)
    labels = np.arange(8) % 3
    np.testing.assert_array_equal(DOUBLE.to_numpy(same_group(DOUBLE.asarray(labels))), same_group(labels))


def test_misuse_is_refused():
    x = np.eye(4)
    with pytest.raises(ValueError, match=r"^nearest_neighbours: k: got 4, expected 1 to 3"):
        nearest_neighbours(x, 4)
    with pytest.raises(ValueError, match=r"^gaussian_neighbours: perplexity: got 3, expected between 1 and 3"):
        gaussian_neighbours(x, 3.0)
