"""ExLM: how texts are expanded, what states emit, and which state may follow which."""

import numpy as np
import pytest

from mini_repr.backend import CPU
from mini_repr.data import Dataset, TextSet
from mini_repr.methods import Batch, build_method
from mini_repr.methods.exlm import expanded
from mini_repr.training import config

TEXTS = [" ".join(f"w{(7 * i + k) % 30}" for k in range(1 + i % 9)) for i in range(24)]
DATA = Dataset("f", TextSet("f", TEXTS), TextSet("f", TEXTS[:8]))
ENCODER = {"name": "text_transformer", "width": 16, "depth": 2, "heads": 2, "buckets": 64, "max_tokens": 10}


def method_for(encoder=ENCODER, **method):
    chosen = {
        "encoder": encoder,
        "method": {"name": "exlm", "ratio": 0.4, **method},
        "loss": {"name": "dag_likelihood"},
    }
    made = build_method(config.resolve(chosen, "sentences"), DATA, np.random.default_rng(0))
    return made, made.load(DATA.train, CPU)


def test_hidden_words_stand_several_times_at_their_place():
    mask = np.array([[True] * 4, [True, True, False, False]])
    hidden = np.array([[False, True, False, True], [True, False, False, False]])
    text = expanded(mask, hidden, copies=3, slots=2)
    assert text.places.tolist() == [[0, 1, 1, 1, 2, 3, 3, 3], [0, 0, 0, 1, 2, 3, 3, 3]]
    assert text.copies.tolist() == [[0, 0, 1, 2, 0, 0, 1, 2], [0, 1, 2, 0, 0, 0, 0, 0]]
    assert text.mask.tolist() == [[True] * 8, [True] * 4 + [False] * 4]
    assert text.hidden.tolist() == [[False, True, True, True, False, True, True, True], [True] * 3 + [False] * 5]


def test_one_copy_is_a_masked_language_model_and_its_links():
    method, inputs = method_for(copies=1)
    drawn = method.sample(*inputs, np.random.default_rng(1))
    ids, mask, hidden = drawn
    rows = method.embed(*drawn)
    emissions, links = (x.data for x in rows[:2])
    step = method.compare(rows, method.targets(*drawn), Batch(drawn), method.objective)
    token = method.mask_tokens[0]
    scores = method.head(method.encoder(ids, mask, replace=hidden, mask_token=token).tokens).data
    log_p = scores - np.log(np.exp(scores).sum(axis=2, keepdims=True))
    costs = []
    for n in range(len(ids)):
        places = np.flatnonzero(hidden[n])
        total = sum(log_p[n, place, ids[n, place]] for place in places)
        total += sum(links[n, u, u + 1] for u in range(len(places) + 1))
        costs.append(-total / (len(places) + 2))
    assert float(step.total.data) == pytest.approx(np.mean(costs), rel=1e-5)
    assert not emissions[:, 0].any()


def test_links_are_probabilities_of_later_states():
    method, inputs = method_for(copies=3)
    drawn = method.sample(*inputs, np.random.default_rng(1))
    states, words = method.targets(*drawn)
    assert (states == 3 * (words - 2) + 2).all() and words.min() == 2  # a text of one word hides none
    _, links, _ = method.embed(*drawn)
    for own, last in zip(np.exp(links.data.astype(np.float64)), states, strict=True):
        np.testing.assert_allclose(own[: last - 1].sum(axis=1), 1, rtol=1e-5)
        assert (own[: last - 1][~np.triu(np.ones(own.shape, dtype=bool), 1)[: last - 1]] == 0).all()
        assert (own[: last - 1, last:] == 0).all()


def test_no_hidden_word_is_seen_and_everything_is_trained():
    method, inputs = method_for()
    ids, mask, hidden = method.sample(*inputs, np.random.default_rng(1))
    rows = method.embed(ids, mask, hidden)
    other = method.embed(np.where(hidden, (ids + 1) % 64, ids), mask, hidden)
    np.testing.assert_array_equal(rows[1].data, other[1].data)
    np.testing.assert_array_equal(rows[2].data, other[2].data)
    method.compare(rows, method.targets(ids, mask, hidden), Batch(()), method.objective).total.backward()
    without = [name for name, p in method.named_parameters().items() if p.grad is None or not np.any(p.grad)]
    assert without == []


def test_what_it_cannot_use_is_refused():
    with pytest.raises(ValueError, match="method exlm: needs words to hide, expected --encoder text_transformer"):
        method_for(encoder={"name": "text", "width": 8})
    with pytest.raises(ValueError, match=r"method exlm: link_heads: got 3, expected a divisor of encoder\.width 16"):
        method_for(link_heads=3)
    with pytest.raises(ValueError, match="method exlm: cannot train cross_entropy"):
        config.resolve({"method": {"name": "exlm"}, "loss": {"name": "cross_entropy"}}, "sentences")


def test_with_two_coordinates_copies_are_one_row_at_numbered_positions():
    method, inputs = method_for(encoder={**ENCODER, "positions": "rotary_2d"}, copies=3)
    ids, mask, hidden = method.sample(*inputs, np.random.default_rng(1))
    rows = method.embed(ids, mask, hidden)
    text = expanded(mask, hidden, 3, method.slots)
    numbers = np.where(text.hidden, text.copies + 1, 0)
    assert method.mask_tokens.shape == (1, 16) and set(numbers[text.hidden]) == {1, 2, 3}
    words = np.take_along_axis(ids, text.places, axis=1)
    encoded = method.encoder(
        words, text.mask, replace=text.hidden, mask_token=method.mask_tokens[0], places=text.places, copies=numbers
    )
    np.testing.assert_array_equal(encoded.pooled.data, rows[2].data)
    method.compare(rows, method.targets(ids, mask, hidden), Batch(()), method.objective).total.backward()
    assert [name for name, p in method.named_parameters().items() if p.grad is None or not np.any(p.grad)] == []
    states = encoded.tokens.data[text.hidden].reshape(-1, 3, 16)
    assert np.abs(states[:, 0] - states[:, 1]).max(axis=1).min() > 1e-4
