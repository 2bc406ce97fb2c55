from itertools import combinations
from math import sqrt

import numpy as np
import pytest
from device_double import DOUBLE
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import pdist, squareform

from mini_repr.losses.embeddings.t_regs import spanning_tree, t_regs


def loops(z, length_weight, sphere_weight, normalize):
    """Kruskal's algorithm: edges from the shortest on, those that join two parts of the forest."""
    norms = [sqrt(sum(float(c) ** 2 for c in row)) for row in z]
    rows = [[float(c) / (norm if normalize else 1) for c in row] for row, norm in zip(z, norms, strict=True)]
    edges = sorted(
        (sqrt(sum((p - q) ** 2 for p, q in zip(x, y, strict=True))), i, j)
        for (i, x), (j, y) in combinations(enumerate(rows), 2)
    )
    part, length = list(range(len(rows))), 0.0
    for distance, i, j in edges:
        if part[i] != part[j]:
            length += distance
            part = [part[i] if p == part[j] else p for p in part]
    sphere = sum((1 - (1 if normalize else norm)) ** 2 for norm in norms)
    return (sphere_weight * sphere - length_weight * length) / len(rows)


def length_of(tree, z):
    inner, outer = tree
    return np.sqrt(((z[inner] - z[outer]) ** 2).sum(axis=1)).sum()


@pytest.mark.parametrize("shape", [(2, 1), (3, 2), (40, 5), (7, 30), (25, 1)])
def test_tree_is_as_short_as_scipys_and_connects_all(shape):
    z = np.random.default_rng(0).standard_normal(shape)
    inner, outer = spanning_tree(z)
    assert length_of((inner, outer), z) == pytest.approx(minimum_spanning_tree(squareform(pdist(z))).sum(), rel=1e-13)
    assert sorted(outer) == list(range(1, len(z)))
    reached = {0}
    for i, j in zip(inner, outer, strict=True):
        assert i in reached
        reached.add(j)


def test_tree_of_few_rows_is_the_shortest_of_all_trees():
    z = np.random.default_rng(1).standard_normal((5, 2))
    pairs = list(combinations(range(5), 2))
    shortest = np.inf
    for edges in combinations(pairs, 4):
        part = list(range(5))
        for i, j in edges:
            part = [part[i] if p == part[j] else p for p in part]
        if len(set(part)) == 1:
            shortest = min(shortest, length_of(np.array(edges).T, z))
    assert length_of(spanning_tree(z), z) == pytest.approx(shortest, rel=1e-14)


def test_duplicates_lengthen_nothing_and_do_not_part():
    """scipy takes a distance of 0 in a dense matrix for a missing edge; here it is an edge of length 0."""
    z = np.random.default_rng(2).standard_normal((6, 3))
    twice = np.concatenate([z, z[:4]])
    assert length_of(spanning_tree(twice), twice) == pytest.approx(length_of(spanning_tree(z), z), rel=1e-14)
    value, gradients = t_regs.value_and_grad(twice, sphere_weight=0.0)
    defined, _ = t_regs.definition_and_grad(twice, sphere_weight=0.0)
    assert float(value) == pytest.approx(float(defined), rel=1e-14)
    assert np.isfinite(gradients["z"]).all()
    value, gradients = t_regs.value_and_grad(np.ones((5, 3)))
    assert np.isfinite(value)
    _, gradients = t_regs.value_and_grad(np.ones((5, 3)), sphere_weight=0.0)
    assert not gradients["z"].any()


@pytest.mark.parametrize("normalize", [True, False])
def test_zero_row_is_finite(normalize):
    z = np.random.default_rng(3).standard_normal((5, 3))
    z[2] = 0
    value, gradients = t_regs.value_and_grad(z, normalize=normalize)
    assert np.isfinite(value) and np.isfinite(gradients["z"]).all()
    assert gradients["z"][2].any() != normalize


def test_ends_of_an_edge_are_pulled_with_the_same_force_whatever_its_length():
    z = np.array([[0.0, 0.0], [0.1, 0.0], [0.1, 7.0]])
    _, gradients = t_regs.value_and_grad(z, sphere_weight=0.0)
    np.testing.assert_allclose(gradients["z"] * 3, [[1, 0], [-1, 1], [0, -1]], atol=1e-15)


def test_named_parts_and_weights():
    z = np.random.default_rng(4).standard_normal((6, 3))
    value = t_regs(z, length_weight=2.0, sphere_weight=3.0)
    assert float(value.data) == pytest.approx(2 * value.terms["length"] + 3 * value.terms["sphere"], rel=1e-14)


def test_few_rows_become_a_regular_simplex():
    """Theorem 4.1: at most D + 1 rows on the sphere have the longest tree at the vertices of a regular simplex."""
    z = np.random.default_rng(5).standard_normal((4, 3))
    for step in range(500):
        z -= 10 / (50 + step) * t_regs.value_and_grad(z, normalize=True, sphere_weight=0.0)[1]["z"]
        z /= np.linalg.norm(z, axis=1, keepdims=True)
    np.testing.assert_allclose((z @ z.T)[~np.eye(4, dtype=bool)], -1 / 3, atol=0.05)


def test_tree_grows_on_the_device():
    z = np.random.default_rng(6).standard_normal((9, 4))
    for here, there in zip(spanning_tree(z), spanning_tree(DOUBLE.asarray(z)), strict=True):
        np.testing.assert_array_equal(there.get(), here)


@pytest.mark.crosscheck
@pytest.mark.parametrize("normalize", [True, False])
def test_equals_torch_along_scipys_tree(normalize):
    torch = pytest.importorskip("torch")
    z = np.random.default_rng(7).standard_normal((12, 4))
    t = torch.tensor(z, requires_grad=True)
    u = torch.nn.functional.normalize(t, dim=1) if normalize else t
    tree = minimum_spanning_tree(squareform(pdist(u.detach().numpy()))).tocoo()
    expected = (u.norm(dim=1) - 1).pow(2).mean() - torch.cdist(u, u)[tree.row, tree.col].sum() / 12
    expected.backward()
    value, gradients = t_regs.value_and_grad(z, normalize=normalize)
    assert float(value) == pytest.approx(expected.item(), rel=1e-10)
    np.testing.assert_allclose(gradients["z"], t.grad.numpy(), atol=1e-10)
