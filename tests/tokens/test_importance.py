"""Token dropping: which words are kept, how their importance moves, and what the middle of the stack computes."""

import numpy as np
import pytest

from mini_repr.backend import CPU
from mini_repr.data import Dataset, TextSet
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.methods import Batch, build_method
from mini_repr.nn import TextTransformer
from mini_repr.tokens.importance import START, kept_places, moved_importance
from mini_repr.training import config

TEXTS = [" ".join(f"w{(7 * i + k) % 30}" for k in range(6 + i % 5)) for i in range(24)]
DATA = Dataset("f", TextSet("f", TEXTS), TextSet("f", TEXTS[:8]))


def encoder_of(depth, **settings):
    settings = {"buckets": 40, "max_tokens": 12, "width": 8, "heads": 2, **settings}
    encoder = TextTransformer(np.random.default_rng(0), np.float64, depth=depth, **settings)
    encoder.words.weight.data = np.random.default_rng(1).standard_normal(encoder.words.weight.shape)
    return encoder


def method_for(keep=4, style="mlm", depth=4):
    chosen = {
        "encoder": {"name": "text_transformer", "width": 16, "depth": depth, "heads": 2, "buckets": 64},
        "method": {"name": "language", "keep": keep, "importance_decay": 0.9, "style": style},
        "loss": {"name": "cross_entropy"},
    }
    made = build_method(config.resolve(chosen, "sentences"), DATA, np.random.default_rng(0))
    return made, made.load(DATA.train, CPU)


def test_importance_moves_for_predicted_words_alone():
    before = np.array([10.0, 4.0, 2.0, 1.0])
    after = moved_importance(before, np.array([1, 3, 1]), np.array([3.0, 0.5, 5.0]), 0.9)
    np.testing.assert_allclose(after, [10, 0.9 * 4 + 0.1 * 4, 2, 0.9 + 0.05])
    assert before.tolist() == [10, 4, 2, 1]


def test_hidden_words_first_then_the_important_and_padding_last():
    importance = np.array([0.0, 5.0, 1.0, 3.0, 3.0])
    ids = np.array([[1, 2, 3, 4, 0], [2, 2, 1, 0, 0]])
    mask = np.array([[True] * 5, [True, True, True, False, False]])
    hidden = np.zeros((2, 5), bool)
    hidden[0, 4] = True
    assert kept_places(importance, ids, mask, hidden, 3).tolist() == [[0, 2, 4], [0, 1, 2]]  # of equal ones the first
    assert kept_places(importance, ids, mask, hidden, 4).tolist() == [[0, 2, 3, 4], [0, 1, 2, 3]]


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_the_middle_is_the_full_block_of_the_kept_words(depth):
    encoder, rng = encoder_of(depth), np.random.default_rng(2)
    ids, mask = rng.integers(40, size=(3, 9)), np.arange(9) < np.array([9, 6, 7])[:, None]
    kept = np.sort(rng.permuted(np.tile(np.arange(6), (3, 1)), axis=1)[:, :4], axis=1)
    tokens = encoder.forward_dropping(ids, mask, kept).tokens.data
    rows, allowed, half = np.arange(3)[:, None], mask[:, None, None, :], depth // 2
    x = encoder.placed_words(ids)
    for block in encoder.blocks[: half - 1]:
        x, _ = block(x, allowed)
    y = encoder.blocks[half - 1](x, allowed)[0].data[rows, kept]
    for block in encoder.blocks[half:-1]:
        y = block(y, mask[rows, kept][:, None, None, :])[0].data
    x = x.data.copy()
    x[rows, kept] = y
    expected = encoder.norm(encoder.blocks[-1](x, allowed)[0]).data
    np.testing.assert_allclose(tokens[mask], expected[mask], atol=1e-12)


def test_keeping_all_is_the_plain_encoder():
    encoder = encoder_of(4)
    ids, mask = np.random.default_rng(3).integers(40, size=(2, 7)), np.ones((2, 7), bool)
    all_places = np.tile(np.arange(7), (2, 1))
    dropped, plain = encoder.forward_dropping(ids, mask, all_places), encoder(ids, mask)
    np.testing.assert_allclose(dropped.tokens.data, plain.tokens.data, atol=1e-12)
    np.testing.assert_allclose(dropped.pooled.data, plain.pooled.data, atol=1e-12)


def test_a_step_moves_the_importance_by_the_loss_of_each_word():
    method, inputs = method_for()
    drawn = method.sample(*inputs, np.random.default_rng(1))
    ids, _, chosen, kept = drawn
    assert kept.shape == (24, 4) and all(
        set(np.flatnonzero(row)) <= set(k) for row, k in zip(chosen, kept, strict=True)
    )
    rows = method.embed(*drawn)
    method.compare(rows, method.targets(*drawn), Batch(drawn), method.objective)
    losses = {}
    for i in range(len(ids)):
        for slot, place in enumerate(np.flatnonzero(chosen[i])):
            one = cross_entropy(rows[0].data[i, slot][None], ids[i, place : place + 1]).data
            losses.setdefault(int(ids[i, place]), []).append(float(one))
    expected = np.full(64, START)
    for word, found in losses.items():
        expected[word] = 0.9 * START + 0.1 * np.mean(found)
    np.testing.assert_allclose(method.importance, expected, rtol=1e-5)


@pytest.mark.parametrize("change", [{"style": "mae_lm"}, {"depth": 1}])
def test_where_nothing_can_be_dropped(change):
    with pytest.raises(
        ValueError, match=r"method language: keep: got .*, expected --set method.style=mlm and two blocks"
    ):
        method_for(**change)
    with pytest.raises(
        ValueError, match="kept: got depth 2, causal, expected two blocks or more, not causal, no prompt"
    ):
        encoder_of(2, causal=True).forward_dropping(np.zeros((1, 3), int), np.ones((1, 3), bool), np.zeros((1, 1), int))
