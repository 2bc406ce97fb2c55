"""Searches for numbers of tokens, first on oracles whose answer is known; and the hook that follows them."""

import itertools
import math

import numpy as np
import pytest

from mini_repr.data import digits
from mini_repr.standins import scenes_lmm
from mini_repr.tokens.rate_search import (
    attended_keep,
    centre_of,
    dropped_once,
    g_search,
    rounded,
    sigmoid_rates,
    sigmoid_search,
)


class Oracle:
    """1 where each block has what it needs, else 0; counts how often it was asked."""

    def __init__(self, needs):
        self.needs, self.calls = needs, 0

    def __call__(self, by_block):
        self.calls += 1
        assert all(a >= b for a, b in itertools.pairwise(by_block))
        return float(all(have >= need for have, need in zip(by_block, self.needs, strict=True)))


@pytest.mark.parametrize("seed", range(20))
def test_falling_needs_are_found_exactly_with_few_questions(seed):
    rng = np.random.default_rng(seed)
    needs = [64, *sorted(rng.integers(1, 65, size=5).tolist(), reverse=True)]
    oracle = Oracle(needs)
    assert g_search(oracle, 6, 64) == needs
    assert oracle.calls <= 1 + sum(math.ceil(math.log2(k)) + 1 for k in needs[:-1])


def test_no_falling_numbers_that_are_accepted_cost_less():
    for needs in ([6, 5, 3, 1], [6, 2, 2, 2], [6, 6, 6, 6], [6, 1, 1, 1]):
        found = g_search(Oracle(needs), 4, 6)
        for other in itertools.product(range(1, 7), repeat=4):
            falling = all(a >= b for a, b in itertools.pairwise(other))
            if falling and all(have >= need for have, need in zip(other, needs, strict=True)):
                assert all(mine <= theirs for mine, theirs in zip(found, (6, *other[1:]), strict=True))


def test_needs_that_grow_are_met_but_not_with_the_fewest():
    assert g_search(Oracle([8, 2, 5, 1]), 4, 8) == [8, 5, 5, 1]


def test_one_block_has_nothing_to_search():
    assert g_search(Oracle([3]), 1, 3) == [3]


@pytest.mark.parametrize("slope", [0.0, 2.0, 16.0, 64.0])
@pytest.mark.parametrize("budget", [0.3, 0.5, 0.9])
def test_the_centre_meets_the_budget_and_shares_fall(slope, budget):
    rates = sigmoid_rates(6, slope, centre_of(6, slope, budget))
    assert abs(rates.mean() - budget) < 1e-6 and rates[0] == 1 and (np.diff(rates) <= 1e-12).all()
    if slope == 0:
        np.testing.assert_allclose(rates[1:], (6 * budget - 1) / 5, atol=1e-6)


def test_a_budget_that_the_first_block_alone_exceeds_is_refused():
    for budget in (1 / 6, 1.0):
        with pytest.raises(ValueError, match=r"sigmoid_search: budget: got .*, expected a number above 0.167, below 1"):
            sigmoid_search(sum, 6, 16, budget)


def test_the_best_slope_is_taken_and_numbers_are_whole():
    late = sigmoid_search(lambda by_block: by_block[1] - by_block[4], 6, 16, 0.5)
    even = sigmoid_search(lambda by_block: by_block[4], 6, 16, 0.5)
    assert late[1] == 16 and late[4] == 1 and even[1] == even[4] == 7
    assert rounded([1.0, 0.3, 0.31, 0.0], 10) == [10, 3, 3, 1]
    assert dropped_once(6, 16, 3, 0.5) == [16, 16, 4, 4, 4, 4]


def test_the_hook_keeps_what_the_block_before_looked_at():
    images, ids, _ = scenes_lmm.asked(digits().test, np.random.default_rng(0), 3)
    decoder, by_block, seen = scenes_lmm.make(0, width=16, depth=4, heads=2).eval(), [16, 9, 9, 2], []
    keep = attended_keep(by_block)

    def watched(number, tokens, weights, count, last):
        places = keep(number, tokens, weights, count, last)
        seen.append(count)
        if places is not None:
            for k in range(3):
                scores = weights[k, :, last[k], :count].mean(axis=0)
                assert set(places[k]) == set(np.argsort(-scores, kind="stable")[: by_block[number]])
        return places

    decoder(images, ids[:, :1], watched)
    assert seen == [16, 9, 9]
