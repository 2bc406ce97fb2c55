"""A word in the span of others: which are chosen, that it stays there, and the ends: one word and all directions."""

import numpy as np
import pytest

from mini_repr.autograd import Tensor
from mini_repr.methods.concepts import fitted_rows
from mini_repr.methods.textual_subspace import select_basis, subspace_row

TABLE = np.random.default_rng(0).standard_normal((9, 4))
GOAL = np.array([0.5, -1.0, 2.0, 0.3])


def loss_of(slots):
    return ((slots["s1"] - Tensor(GOAL)) ** 2).sum()


@pytest.mark.parametrize("distance", ["dot", "cosine", "l2"])
def test_the_nearest_words_that_add_a_direction(distance):
    table = np.vstack([TABLE, 2 * TABLE[3], TABLE[3], np.zeros(4)])
    own = table[3]
    order = {
        "dot": -table @ own,
        "cosine": -table @ own / np.maximum(np.linalg.norm(table, axis=1), 1e-300),
        "l2": np.linalg.norm(table - own, axis=1),
    }[distance]
    found = select_basis(table, 3, 3, distance)
    others = [w for w in np.argsort(order, kind="stable") if w not in (3, 9, 10, 11)]
    assert found.tolist() == [3, *others[:2]]
    assert len(select_basis(table, 3, 20, distance)) == 4 == np.linalg.matrix_rank(table[select_basis(table, 3, 20)])
    assert set(select_basis(table, 3, 3, distance, among=[5, 6])) == {3, 5, 6}


def test_the_row_stays_in_the_span_and_goes_as_near_as_it_can():
    basis = TABLE[:2]
    row = subspace_row(basis, loss_of, steps=2000, lr=0.02)["s1"]
    projected = basis.T @ np.linalg.lstsq(basis.T, GOAL, rcond=None)[0]
    np.testing.assert_allclose(row, projected, atol=0.02)
    for steps in (0, 1, 7):
        row = subspace_row(basis, loss_of, steps=steps, lr=0.1)["s1"]
        left = row - basis.T @ np.linalg.lstsq(basis.T, row, rcond=None)[0]
        assert np.abs(left).max() < 1e-12


def test_one_word_changes_its_length_alone_and_it_starts_as_the_first():
    np.testing.assert_array_equal(subspace_row(TABLE[:3], loss_of, steps=0, lr=0.1)["s1"], TABLE[0])
    row = subspace_row(TABLE[:1], loss_of, steps=50, lr=0.1)["s1"]
    np.testing.assert_allclose(row / np.linalg.norm(row), TABLE[0] / np.linalg.norm(TABLE[0]) * np.sign(row @ TABLE[0]))


def test_all_directions_reach_what_a_free_row_reaches():
    basis = TABLE[select_basis(TABLE, 0, 4)]
    free = fitted_rows({"s1": TABLE[0]}, loss_of, steps=3000, lr=0.02)["s1"]
    np.testing.assert_allclose(subspace_row(basis, loss_of, steps=3000, lr=0.02)["s1"], free, atol=0.05)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="select_basis: distance 'l1'"):
        select_basis(TABLE, 0, 2, "l1")
    with pytest.raises(ValueError, match="the row of word 1 is zero"):
        select_basis(np.eye(3) * [1, 0, 1], 1, 2)
