import numpy as np
import pytest

from mini_repr.data.permutations import permutation_set


def distances(chosen):
    """Hamming distances of all pairs."""
    apart = (chosen[:, None] != chosen).sum(axis=2)
    return apart[np.triu_indices(len(chosen), 1)]


@pytest.mark.parametrize("length, count", [(3, 6), (4, 10), (9, 32)])
def test_different_permutations_far_apart(length, count):
    chosen = permutation_set(np.random.default_rng(0), count, length)
    assert chosen.shape == (count, length) and len(np.unique(chosen, axis=0)) == count
    assert (np.sort(chosen, axis=1) == np.arange(length)).all()
    assert np.array_equal(chosen, permutation_set(np.random.default_rng(0), count, length))
    if length == 9:
        random = np.random.default_rng(1).permuted(np.tile(np.arange(9), (count, 1)), axis=1)
        assert distances(chosen).mean() > distances(random).mean() + 0.1


def test_the_next_one_is_the_farthest_on_average():
    first, second, third = permutation_set(np.random.default_rng(0), 3, 3)
    assert (first != second).all()
    assert (third != first).sum() + (third != second).sum() == 6  # the rotations of three
    assert (
        permutation_set(np.random.default_rng(1), 2, 9)[0] != permutation_set(np.random.default_rng(1), 2, 9)[1]
    ).all()


@pytest.mark.parametrize("count, length", [(1, 4), (7, 3), (5041, 9)])
def test_impossible_numbers_are_refused(count, length):
    with pytest.raises(ValueError, match=f"permutation_set: got {count} permutations"):
        permutation_set(np.random.default_rng(0), count, length)
