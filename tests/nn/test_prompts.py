"""Rows between tokens: where they stand, what is thrown away, and what the ends of ``fresh`` are."""

import numpy as np
import pytest

from mini_repr.autograd import Tensor
from mini_repr.nn import Block
from mini_repr.nn.prompts import through_blocks

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 5, 8))
ROWS = {2: RNG.standard_normal((3, 8)), 3: RNG.standard_normal((3, 8))}


@pytest.fixture(scope="module")
def blocks():
    rng = np.random.default_rng(1)
    return [Block(8, 2, 2.0, rng, dtype=np.float64) for _ in range(3)]


def through(blocks, prompts=None, x=X, **settings):
    return through_blocks(blocks, Tensor(x), prompts, **settings).data


def by_hand(blocks, fresh, causal):
    """The blocks one by one, an image at a time."""
    found = []
    for x in X:
        for number, block in enumerate(blocks, 1):
            if number == 2:
                x = np.concatenate([x[:1], ROWS[2], x[1:]])
            if number == 3:
                x = np.concatenate([x[:1], fresh * ROWS[3] + (1 - fresh) * x[1:4], x[4:]])
            mask = np.tri(len(x), dtype=bool) if causal else None
            x = block(Tensor(x[None]), mask)[0].data[0]
        found.append(x)
    return np.stack(found)


@pytest.mark.parametrize("fresh", [1.0, 0.7, 0.0])
@pytest.mark.parametrize("causal", [False, True])
def test_they_stand_behind_the_first_token_and_are_replaced(blocks, fresh, causal):
    found = through(blocks, ROWS, fresh=fresh, causal=causal)
    np.testing.assert_allclose(found, by_hand(blocks, fresh, causal), rtol=1e-10)


def test_without_any_the_tokens_pass_as_they_are(blocks):
    expected = Tensor(X)
    for block in blocks:
        expected, _ = block(expected)
    np.testing.assert_array_equal(through(blocks), expected.data)
    np.testing.assert_array_equal(through(blocks, {}), expected.data)


def test_without_positions_their_order_does_not_reach_the_other_tokens(blocks):
    turned = {number: rows[::-1] for number, rows in ROWS.items()}
    one, other = through(blocks, ROWS), through(blocks, turned)
    np.testing.assert_allclose(one[:, [0, 4, 5, 6, 7]], other[:, [0, 4, 5, 6, 7]], rtol=1e-9)
    one, other = (through(blocks, rows, causal=True)[:, 4:] for rows in (ROWS, turned))
    np.testing.assert_allclose(one, other, rtol=1e-9)  # all are replaced before one that saw another is heard
    one, other = (through(blocks, rows, causal=True, fresh=0.5)[:, 4:] for rows in (ROWS, turned))
    assert np.abs(one - other).max() > 1e-6


def test_only_the_last_rows_are_heard_where_they_replace_all(blocks):
    """With fresh = 0 the later ones are lost."""
    for fresh, lost in ((1.0, False), (0.0, True)):
        later = Tensor(ROWS[3], requires_grad=True)
        (through_blocks(blocks, Tensor(X), {2: Tensor(ROWS[2]), 3: later}, fresh=fresh) ** 2).sum().backward()
        assert (later.grad is None or not later.grad.any()) == lost
