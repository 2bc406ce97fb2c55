"""Strategies of pruning: the budget, the hook, what comes out with nothing pruned, and a search that improves."""

from copy import deepcopy

import numpy as np
import pytest
from device_double import DOUBLE

from mini_repr.autograd import Tensor, unit_rows
from mini_repr.data import digits
from mini_repr.standins import scenes_lmm
from mini_repr.tokens.flow_search import (
    Strategy,
    flow_pruned,
    flow_search,
    ranked_places,
    stage_ends,
    third_share,
)
from mini_repr.tokens.recycling import importance, patch_entropy, recycled

IMAGES, IDS, _ = scenes_lmm.asked(digits().test, np.random.default_rng(0), 12)
IDS = IDS[:, :2]


@pytest.fixture(scope="module")
def decoder():
    made = scenes_lmm.make(0, patch=4, width=16, depth=4, heads=2, vision_depth=1)
    rng = np.random.default_rng(1)
    for parameter in made.parameters():
        parameter.data += 0.2 * rng.standard_normal(parameter.shape).astype(np.float32)
    return made.eval()


def test_stages_of_the_paper_and_of_the_stand_in():
    assert stage_ends(28) == (9, 18) and stage_ends(6) == (2, 4)


@pytest.mark.parametrize("first, second", [(0.3, 0.6), (0.25, 0.7), (0.36, 0.9)])
def test_the_third_share_meets_the_budget_or_stays_below(first, second):
    third = third_share(first, second, 28, 0.25)
    spent = (9 * first + 9 * first * second + 10 * first * second * third) / 28
    assert third <= 1 and (spent == pytest.approx(0.25) or (third == 1 and spent < 0.25))
    assert third_share(0.375, 1.0, 6, 0.25) == 0 > third_share(0.5, 1.0, 6, 0.25)


def test_each_stage_keeps_the_most_important_of_those_that_are_left():
    places = ranked_places(np.array([[4.0, 1.0, 3.0, 5.0]]), {2: 1, 1: 3})
    assert {number: found.tolist() for number, found in places.items()} == {1: [[0, 2, 3]], 2: [[2]]}


def test_nothing_pruned_changes_nothing(decoder):
    full = decoder.read(decoder.see(IMAGES)[0], IDS).data
    made = flow_pruned(decoder, IMAGES, IDS, Strategy((1.0, 1.0, 1.0)))
    np.testing.assert_allclose(made.rows.data, full, rtol=1e-4, atol=1e-5)
    assert (made.by_block == 16).all()
    np.testing.assert_allclose(decoder.answer(made.rows).data, decoder(IMAGES, IDS).data, atol=1e-4)


def test_images_go_through_together_as_they_do_alone(decoder):
    strategy = Strategy((0.4, 0.7, 0.5), 1.0, 2.5, 0.3)
    made = flow_pruned(decoder, IMAGES, IDS, strategy)
    assert len(np.unique(made.by_block[:, 0])) > 1  # else nothing is put in order
    for k in range(len(IMAGES)):
        alone = flow_pruned(decoder, IMAGES[k : k + 1], IDS[k : k + 1], strategy)
        np.testing.assert_allclose(made.rows.data[k], alone.rows.data[0], rtol=1e-3, atol=1e-5)
        assert made.by_block[k].tolist() == alone.by_block[0].tolist()


def test_the_kept_are_the_most_important_at_every_stage(decoder, monkeypatch):
    seen, read = {}, decoder.read
    monkeypatch.setattr(
        decoder,
        "read",
        lambda tokens, ids, places: seen.update(places, tokens=tokens.data) or read(tokens, ids, places),
    )
    made = flow_pruned(decoder, IMAGES[:1], IDS[:1], Strategy((0.5, 0.5, 0.5), 0.0, None, 0.5))
    tokens, weights = decoder.see(IMAGES[:1])
    ranks = importance(weights, patch_entropy(IMAGES[:1], 4), 0.0, 0.5)[0]
    order = np.argsort(-ranks, kind="stable")
    np.testing.assert_array_equal(seen["tokens"][0], tokens.data[0, np.sort(order[:8])])
    one, two = stage_ends(4)
    assert made.by_block[0].tolist() == [8] * one + [4] * (two - one) + [2] * (4 - two)
    assert np.sort(order[:8])[seen[one][0]].tolist() == np.sort(order[:4]).tolist()


def test_a_merged_token_gives_its_gradient_to_its_members(decoder, monkeypatch):
    tokens, weights = decoder.see(IMAGES[:1])
    leaf = Tensor(tokens.data, requires_grad=True)
    monkeypatch.setattr(decoder, "see", lambda images: (leaf, weights))
    monkeypatch.setattr(decoder, "read", lambda merged, ids, places: merged)
    flow_pruned(decoder, IMAGES[:1], IDS[:1], Strategy((0.25, 1.0, 1.0), cell=2)).rows[:, 0].sum().backward()
    ranks = importance(weights, patch_entropy(IMAGES[:1], 4))[0]
    expected = recycled(ranks, 0.25, (4, 4), 2).weights[0]
    assert np.count_nonzero(expected) > 1
    np.testing.assert_allclose(leaf.grad[0], expected[:, None].repeat(16, axis=1), rtol=1e-5)


def test_the_search_never_ends_below_what_it_tried_and_is_seeded(decoder):
    found = flow_search(decoder, IMAGES, IDS, 0.4, np.random.default_rng(0), calls=12)
    again = flow_search(decoder, IMAGES, IDS, 0.4, np.random.default_rng(0), calls=12)
    assert found == again and len(found.tried) == 12 and found.value == max(value for _, value in found.tried)
    assert found.value <= 1 and all(strategy.shares[2] > 0 for strategy, _ in found.tried)
    full = unit_rows.on_arrays(decoder.read(decoder.see(IMAGES)[0], IDS).data)[0]
    rows = unit_rows.on_arrays(flow_pruned(decoder, IMAGES, IDS, found.strategy).rows.data)[0]
    assert found.value == pytest.approx(float((full * rows).sum(axis=2).mean()), abs=1e-6)


def test_what_is_left_out_of_the_search_is_not_tried(decoder):
    rng = np.random.default_rng(0)
    dropped = flow_search(decoder, IMAGES, IDS, 0.4, rng, calls=4, merging=False, entropy=False)
    assert all(strategy.cell is None and strategy.weight == 0 for strategy, _ in dropped.tried)
    both = flow_search(decoder, IMAGES, IDS, 0.4, rng, calls=4)
    assert all(strategy.cell in (2, 4) and strategy.weight for strategy, _ in both.tried)


def test_what_cannot_be_is_refused_in_a_line(decoder):
    with pytest.raises(ValueError, match=r"flow_search: got budget 0.9, 4 calls, 4 blocks; expected a budget above"):
        flow_search(decoder, IMAGES, IDS, 0.9, np.random.default_rng(0), calls=4)
    blind = scenes_lmm.make(0, width=16, depth=4, heads=2)
    with pytest.raises(ValueError, match="flow_pruned: decoder: got one without vision blocks"):
        flow_pruned(blind, IMAGES, IDS, Strategy((1.0, 1.0, 1.0)))


def test_on_a_device_as_on_the_host(decoder):
    strategy = Strategy((0.4, 0.7, 0.5), 1.0, 2, 0.3)
    host = flow_pruned(decoder, IMAGES, IDS, strategy)
    moved = deepcopy(decoder).to(DOUBLE)
    made = flow_pruned(moved, DOUBLE.asarray(IMAGES), IDS, strategy)
    np.testing.assert_allclose(DOUBLE.to_numpy(made.rows.data), host.rows.data, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(made.by_block, host.by_block)
    search = [
        flow_search(one, images, IDS, 0.4, np.random.default_rng(0), calls=3).strategy
        for one, images in ((decoder, IMAGES), (moved, DOUBLE.asarray(IMAGES)))
    ]
    assert search[0] == search[1]
