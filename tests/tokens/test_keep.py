"""Tokens that go on: the schedule, the ranking by hand, what nests, what is refused, and what it costs."""

import math

import numpy as np
import pytest

from mini_repr.autograd import Tensor
from mini_repr.data import digits
from mini_repr.nn import Block
from mini_repr.standins import scenes_lmm
from mini_repr.tokens.keep import (
    answering_cost,
    best,
    next_attention,
    pyramid_counts,
    pyramid_keep,
    tokens_by_block,
)

IMAGES, IDS, _ = scenes_lmm.asked(digits().test, np.random.default_rng(0), 3)


@pytest.fixture(scope="module")
def decoder():
    made = scenes_lmm.make(0, width=16, depth=6, heads=2)
    rng = np.random.default_rng(1)
    for parameter in made.parameters():
        parameter.data += 0.2 * rng.standard_normal(parameter.shape).astype(np.float32)
    return made.eval()


def test_the_schedule_of_the_paper_and_of_the_stand_in():
    assert pyramid_counts(32, 576) == {8: 288, 16: 144, 24: 72}
    assert pyramid_counts(6, 16) == {2: 8, 3: 4, 4: 2}
    assert tokens_by_block({2: 8, 3: 4, 4: 2}, 6, 16) == [16, 16, 8, 4, 2, 2]
    assert sum(tokens_by_block(pyramid_counts(4, 64), 4, 64)) / 4 / 64 == 0.46875


def test_the_next_block_s_attention_by_hand():
    rng = np.random.default_rng(0)
    block, x, last = Block(8, 2, 2.0, rng, dtype=np.float64), rng.standard_normal((2, 5, 8)), np.array([4, 2])
    found = next_attention(block, Tensor(x), last)
    _, weights = block(Tensor(x), np.tri(5, dtype=bool))
    for k in range(2):
        np.testing.assert_allclose(found[k], weights[k, :, last[k]].mean(axis=0), atol=1e-12)
    assert not found[1, 3:].any()


def test_what_is_kept_nests_in_order_and_is_what_is_looked_at_most(decoder):
    kept, keep = {}, pyramid_keep(decoder, pyramid_counts(6, 16))

    def watched(number, tokens, weights, count, last):
        found = keep(number, tokens, weights, count, last)
        if found is not None:
            scores = next_attention(decoder.blocks[number], tokens, last)[:, :count]
            chosen = np.take_along_axis(scores, found, axis=1)
            assert (chosen.min(axis=1) >= np.sort(scores, axis=1)[:, -found.shape[1]]).all()
            kept[number] = found
        return found

    decoder(IMAGES, IDS[:, :1], watched)
    assert {number: places.shape[1] for number, places in kept.items()} == {2: 8, 3: 4, 4: 2}
    assert all((np.diff(places, axis=1) > 0).all() for places in kept.values())


def test_counts_of_all_tokens_change_nothing(decoder):
    full = decoder(IMAGES, IDS[:, :1]).data
    np.testing.assert_array_equal(decoder(IMAGES, IDS[:, :1], pyramid_keep(decoder, {2: 20, 3: 16})).data, full)
    assert (decoder(IMAGES, IDS[:, :1], pyramid_keep(decoder, {2: 4})).data != full).any()


def test_kept_tokens_pass_their_gradient_and_random_ones_are_drawn(decoder):
    x = Tensor(IMAGES, requires_grad=True)
    decoder(x, IDS[:, :1], pyramid_keep(decoder, {5: 1}))[:, 0, 3].sum().backward()
    assert np.abs(x.grad).max() > 0
    one, other = (
        decoder(IMAGES, IDS[:, :1], pyramid_keep(decoder, {1: 3}, np.random.default_rng(k))).data for k in (0, 1)
    )
    assert (one != other).any()


def test_ties_go_to_the_first():
    assert best(np.array([[1.0, 2.0, 2.0, 1.0]]), 3).tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("counts", [{2: 0}, {1: 4, 3: 5}])
def test_counts_that_grow_or_leave_nothing_are_refused(decoder, counts):
    with pytest.raises(ValueError, match=r"pyramid_keep: counts: got .* expected numbers from 1 that do not grow"):
        pyramid_keep(decoder, counts)


def test_the_cost_is_that_of_the_products():
    n, d = 7 + 3, 8
    products = n * d * 3 * d + n * d * d + 2 * n * d * 2 * d + 2 * n * n * d  # q, k, v; out; MLP; scores and sums
    assert math.isclose(answering_cost([7, 7], 3, d), 2 * products)
