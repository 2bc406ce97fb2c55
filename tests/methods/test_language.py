"""Masked language models: what is hidden, what the encoder sees of it, and what is predicted."""

import numpy as np
import pytest

from mini_repr.backend import CPU
from mini_repr.data import Dataset, TextSet
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.masking import chosen_places, masked_words
from mini_repr.methods import Batch, build_method
from mini_repr.methods.language import level_with_padding
from mini_repr.training import config

WORDS = [f"w{k}" for k in range(30)]
TEXTS = [" ".join(WORDS[(7 * i + k) % 30] for k in range(2 + i % 9)) for i in range(24)]
DATA = Dataset("f", TextSet("f", TEXTS), TextSet("f", TEXTS[:8]))
ENCODER = {"name": "text_transformer", "width": 16, "depth": 2, "heads": 2, "buckets": 64}


def method_for(data=DATA, encoder=ENCODER, **method):
    chosen = {"encoder": encoder, "method": {"name": "language", **method}, "loss": {"name": "cross_entropy"}}
    made = build_method(config.resolve(chosen, "sentences"), data, np.random.default_rng(0))
    return made, made.load(data.train, CPU)


@pytest.mark.parametrize("ratio", [0.01, 0.15, 0.5, 0.99])
def test_a_share_of_the_words_of_each_text_is_chosen(ratio):
    counts = np.array([1, 2, 3, 7, 12])
    mask = np.arange(12) < counts[:, None]
    chosen = masked_words(np.random.default_rng(0), mask, ratio)
    expected = [0 if n == 1 else min(max(round(ratio * n), 1), n - 1) for n in counts.tolist()]
    assert chosen.sum(axis=1).tolist() == expected and not (chosen & ~mask).any()
    often = np.mean([masked_words(np.random.default_rng(seed), mask, ratio) for seed in range(400)], axis=0)
    shares = np.array(expected) / counts
    assert np.abs(often - np.where(mask, shares[:, None], 0)).max() < 0.12  # every word as often as any other
    places, filled = chosen_places(chosen, 12)
    for row, own, full in zip(chosen, places, filled, strict=True):
        assert own[full].tolist() == np.flatnonzero(row).tolist() and not own[~full].any()


def test_as_much_padding_is_hidden_as_makes_all_rows_level():
    mask = np.arange(9) < np.array([2, 5, 9])[:, None]
    chosen = masked_words(np.random.default_rng(0), mask, 0.4)
    hidden = level_with_padding(chosen, mask)
    assert len(set(hidden.sum(axis=1))) == 1 and (hidden & mask).tolist() == chosen.tolist()


@pytest.mark.parametrize("style", ["mlm", "mae_lm"])
def test_the_loss_is_the_mean_over_hidden_words(style):
    method, inputs = method_for(style=style, ratio=0.3)
    batch = method.sample(*inputs, np.random.default_rng(1))
    ids, _, chosen = batch
    step = method.compare(method.embed(*batch), method.targets(*batch), Batch(batch), method.objective)
    scores = method.embed(*batch)[0].data
    losses = []
    for i in range(len(ids)):
        for slot, place in enumerate(np.flatnonzero(chosen[i])):
            losses.append(float(cross_entropy(scores[i, slot : slot + 1], ids[i, place : place + 1]).data))
    assert len(losses) == chosen.sum() and float(step.total.data) == pytest.approx(np.mean(losses), rel=1e-5)
    assert step.embeddings.shape == (24, 16)


@pytest.mark.parametrize("style", ["mlm", "mae_lm"])
def test_nothing_is_known_of_hidden_words(style):
    method, inputs = method_for(style=style, ratio=0.3)
    ids, mask, chosen = method.sample(*inputs, np.random.default_rng(1))
    other = np.where(chosen, (ids + 5) % 64, ids)
    for one, same in zip(method.embed(ids, mask, chosen), method.embed(other, mask, chosen), strict=True):
        np.testing.assert_array_equal(one.data, same.data)
    padded = np.where(mask, ids, 3)
    for one, same in zip(method.embed(ids, mask, chosen), method.embed(padded, mask, chosen), strict=True):
        np.testing.assert_allclose(one.data, same.data, atol=1e-5)


def test_mae_lm_keeps_the_mask_row_out_of_the_encoder_and_the_places_of_words():
    method, inputs = method_for(style="mae_lm", ratio=0.3)
    ids, mask, chosen = method.sample(*inputs, np.random.default_rng(1))
    seen = method.embed(ids, mask, chosen)[1].data
    method.decoder.mask_token.data += 1
    np.testing.assert_array_equal(method.embed(ids, mask, chosen)[1].data, seen)
    i = int(np.argmax(mask.sum(axis=1)))
    left = np.flatnonzero(mask[i] & ~chosen[i])
    alone = method.encoder(ids[i : i + 1, left], np.ones((1, len(left)), bool), places=left[None]).pooled.data
    np.testing.assert_allclose(alone[0], seen[i], atol=1e-5)
    closed_up = method.encoder(ids[i : i + 1, left], np.ones((1, len(left)), bool)).pooled.data
    assert np.abs(closed_up - alone).max() > 1e-3  # numbered from 0 they would stand elsewhere


def test_gradient_reaches_the_mask_row_of_a_plain_model_through_the_encoder():
    method, inputs = method_for(ratio=0.3)
    method.step(Batch(inputs), np.random.default_rng(1)).total.backward()
    assert np.abs(method.mask_token.grad).max() > 0
    assert all(p.grad is not None for p in method.parameters())


@pytest.mark.parametrize(
    "change, message",
    [
        ({"encoder": {"name": "text", "width": 8}}, "method language: needs words to hide, expected --encoder"),
        ({"data": Dataset("f", TextSet("f", ["a", "b"]), TextSet("f", ["a"]))}, "no text of two words"),
        ({"ratio": 1.0}, "ratio"),
    ],
)
def test_what_cannot_be_trained_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        method_for(**change)
