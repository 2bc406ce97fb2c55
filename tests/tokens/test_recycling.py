"""What matters of an image's tokens, by hand and by entropies that are known; and which tokens stand for which."""

import numpy as np
import pytest

from mini_repr.nn.patches import patchify
from mini_repr.tokens.recycling import context_relevance, importance, patch_entropy, recycled


def attention(seed, count=6):
    return np.random.default_rng(seed).dirichlet(np.full(count, 0.2), (2, 3, count))


def test_entropies_that_are_known():
    rng = np.random.default_rng(0)
    flat, every = np.full((1, 1, 16, 16), 0.3), rng.permutation(256).reshape(1, 1, 16, 16) / 255
    assert patch_entropy(flat, 16).item() == 0 and patch_entropy(every, 16).item() == 8
    half = np.array([0.0, 0.0, 1.0, 1.0]).reshape(1, 1, 2, 2)
    assert patch_entropy(half, 2).item() == 1
    assert patch_entropy(half.repeat(3, axis=1), 2).item() == 1


def test_entropy_is_that_of_a_histogram_and_knows_no_order():
    images = np.random.default_rng(1).integers(0, 5, (2, 1, 8, 12)) / 255
    found = patch_entropy(images, 4)
    for image, row in zip(patchify(images, 4), found, strict=True):
        for pixels, bits in zip(image, row, strict=True):
            p = np.bincount(np.rint(255 * pixels).astype(int)) / 16
            assert bits == pytest.approx(-(p[p > 0] * np.log2(p[p > 0])).sum())
    turned = patch_entropy(images[:, :, ::-1, ::-1], 4)
    np.testing.assert_allclose(turned.reshape(2, 2, 3)[:, ::-1, ::-1].reshape(2, 6), found)


def test_relevance_by_hand():
    weights = attention(0)
    for threshold in (0.0, 0.8, 1.1):
        found = context_relevance(weights, threshold)
        for k in range(2):
            mean = weights[k].mean(axis=0)
            received = mean.mean(axis=0)
            rows = [i for i in range(6) if received[i] > threshold * received.mean()]
            np.testing.assert_allclose(found[k], mean[rows].mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(found.sum(axis=1), 1)


def test_a_threshold_that_no_query_reaches_counts_as_none():
    weights = attention(1)
    np.testing.assert_array_equal(context_relevance(weights, 50.0), context_relevance(weights))


def test_importance_adds_the_share_of_entropy():
    weights, entropy = attention(2), np.random.default_rng(3).random((2, 6))
    np.testing.assert_array_equal(importance(weights, entropy), context_relevance(weights))
    share = importance(weights, entropy, weight=-0.5) - context_relevance(weights)
    np.testing.assert_allclose(share.sum(axis=1), -0.5)
    np.testing.assert_allclose(share[:, 0] / share[:, 1], np.exp(entropy[:, 0] - entropy[:, 1]))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("cell", [2, 2.5, 4])
def test_how_many_are_left_and_what_they_stand_for(seed, cell):
    values, keep = np.random.default_rng(seed).random(16), (0.25, 0.4, 0.7)[seed % 3]
    made = recycled(values, keep, (4, 4), cell)
    low = np.argsort(values)[: round(16 * (1 - keep)) + int(16 / cell**2)]
    groups = {}
    for place in low:
        groups.setdefault((place // 4 // cell, place % 4 // cell), []).append(place)
    assert len(made.weights) == 16 - len(low) + len(groups) == len(made.importance)
    np.testing.assert_allclose(made.weights.sum(axis=1), 1)
    assert (made.weights >= 0).all()
    for group in groups.values():
        best = max(group, key=lambda place: values[place])
        row = made.weights[made.importance == values[best]][0]
        np.testing.assert_allclose(row[group], values[group] / values[group].sum())
    stays = np.setdiff1d(np.arange(16), low)
    assert set(values[stays]) <= set(made.importance)


def test_tokens_stay_in_order_and_without_cells_the_others_are_dropped():
    made = recycled(np.array([4.0, 1.0, 3.0, 2.0]), 0.5, (2, 2))
    np.testing.assert_array_equal(made.weights, [[1, 0, 0, 0], [0, 0, 1, 0]])
    assert made.importance.tolist() == [4, 3]


def test_cells_of_one_token_merge_nothing_and_one_cell_merges_all():
    values = np.random.default_rng(0).random(9)
    np.testing.assert_array_equal(recycled(values, 0.5, (3, 3), 1).weights, np.eye(9))
    one = recycled(values, 0.5, (3, 3), 5)
    assert (np.count_nonzero(one.weights, axis=1) > 1).sum() == 1


def test_negative_importance_ranks_but_weighs_as_nothing():
    made = recycled(np.array([-3.0, -2.0, 1.0, -1.0]), 0.25, (2, 2), 2)
    assert made.importance.tolist() == [1.0] and made.weights[0, 2] == pytest.approx(1)


@pytest.mark.parametrize("keep, grid, cell", [(0, (2, 2), 2), (1.5, (2, 2), 2), (0.5, (2, 3), 2), (0.5, (2, 2), 0.5)])
def test_what_cannot_be_is_refused_in_a_line(keep, grid, cell):
    with pytest.raises(ValueError, match=r"recycled: got 4 tokens.*expected tokens that fill the grid"):
        recycled(np.arange(4.0), keep, grid, cell)
