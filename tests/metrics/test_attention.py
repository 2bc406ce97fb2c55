import numpy as np
import pytest

from mini_repr.metrics.attention import attention_distance, attention_information


def test_distance_is_the_mean_over_what_is_looked_at():
    here = np.eye(6)[None, None]
    even = np.full((1, 1, 6, 6), 1 / 6)
    assert attention_distance(here, (2, 3)).tolist() == [0]
    places = [(i, j) for i in range(2) for j in range(3)]
    expected = np.mean([np.hypot(a - c, b - d) for a, b in places for c, d in places])
    both = attention_distance(np.concatenate([here, even], axis=1), (2, 3))
    np.testing.assert_allclose(both, [0, expected])


def test_information_is_none_of_equal_rows_and_all_of_a_permutation():
    rng = np.random.default_rng(0)
    same = np.broadcast_to(rng.dirichlet(np.ones(6), size=(2, 1, 1)), (2, 1, 6, 6))
    permuted = np.broadcast_to(np.eye(6)[rng.permutation(6)], (2, 1, 6, 6))
    random = rng.dirichlet(np.ones(6), size=(2, 1, 6))
    found = attention_information(np.concatenate([same, permuted, random], axis=1))
    np.testing.assert_allclose(found[:2], [0, 1], atol=1e-7)
    assert 0 < found[2] < 1
    joint = random / 6  # of the place that looks and the one looked at
    each = []
    for one in joint[:, 0]:
        p, q = one.sum(axis=1), one.sum(axis=0)
        mutual = sum(one[i, j] * np.log(one[i, j] / (p[i] * q[j])) for i in range(6) for j in range(6))
        each.append(mutual / np.sqrt(-(p * np.log(p)).sum() * -(q * np.log(q)).sum()))
    assert found[2] == pytest.approx(np.mean(each))
