import numpy as np

from mini_repr.tokens import least_redundant


def test_copies_go_first_and_one_of_each_stays():
    rng = np.random.default_rng(0)
    tokens = rng.standard_normal((5, 6, 4))
    tokens[:, 4], tokens[:, 2] = 3 * tokens[:, 1], tokens[:, 0]
    kept = least_redundant(tokens, 4)
    for row in kept:
        assert len({*row} & {1, 4}) == 1 and len({*row} & {0, 2}) == 1 and {3, 5} <= {*row}
    assert np.array_equal(least_redundant(tokens, 6), np.tile(np.arange(6), (5, 1)))


def test_equals_a_loop():
    tokens = np.random.default_rng(1).standard_normal((3, 7, 3))
    for x, kept in zip(tokens, least_redundant(tokens, 3), strict=True):
        left = list(range(7))
        while len(left) > 3:
            u = x / np.linalg.norm(x, axis=1, keepdims=True)
            most = {i: max(u[i] @ u[j] for j in left if j != i) for i in left}
            left.remove(min(i for i in left if most[i] > max(most.values()) - 1e-12))
        assert kept.tolist() == left


def test_zero_tokens_resemble_nothing():
    tokens = np.zeros((1, 3, 2))
    tokens[0, 1:] = [[1, 0], [1, 0.1]]
    assert least_redundant(tokens, 2)[0].tolist() == [0, 2]
