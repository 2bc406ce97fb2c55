"""The coding rate: what leaves it, what raises it."""

import math

import numpy as np
import pytest

from mini_repr.metrics import coding_rate


def tokens(seed=0, shape=(3, 9, 8)):
    return np.random.default_rng(seed).standard_normal(shape)


def test_by_hand():
    """One unit token in a plane: β = 2 / ε², the determinant 1 + β."""
    assert coding_rate(np.array([[[3.0, 4.0]]]), epsilon=0.5) == pytest.approx(0.5 * math.log(1 + 8))
    # Two orthogonal unit tokens: β = 1 / ε².
    assert coding_rate(np.array([[[3.0, 0.0], [0.0, 2.0]]]), epsilon=0.5) == pytest.approx(math.log(1 + 4))


def test_tokens_as_rows_or_columns_give_one_determinant():
    for z in (tokens(shape=(2, 3, 8)), tokens(shape=(2, 12, 4))):
        v = z / np.linalg.norm(z, axis=2, keepdims=True)
        beta = z.shape[2] / (z.shape[1] * 0.01)
        for grams in (v @ v.swapaxes(1, 2), v.swapaxes(1, 2) @ v):
            expected = np.mean([np.linalg.slogdet(np.eye(len(g)) + beta * g)[1] / 2 for g in grams])
            assert coding_rate(z) == pytest.approx(expected)


def test_order_and_rotation_leave_it_and_size_raises_it():
    z = tokens()
    rotation = np.linalg.qr(tokens(1, (8, 8)))[0]
    rate = coding_rate(z, normalize=False)
    assert coding_rate(z[:, ::-1], normalize=False) == pytest.approx(rate)
    assert coding_rate(z @ rotation, normalize=False) == pytest.approx(rate)
    assert coding_rate(2 * z, normalize=False) > rate and coding_rate(0 * z, normalize=False) == 0
    assert coding_rate(2 * z) == pytest.approx(coding_rate(z))
    line = np.ones((3, 9, 1)) * z[:, :1]
    assert coding_rate(line) < coding_rate(z)


def test_heads_divide_the_columns():
    with pytest.raises(ValueError, match="coding_rate: heads: got 3, expected a divisor of 8"):
        coding_rate(tokens(), heads=3)
