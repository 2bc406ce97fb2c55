"""ELECTRA: what is drawn, which words count as replaced, and what gradients do not pass."""

import numpy as np
import pytest

from mini_repr.autograd import Tensor
from mini_repr.backend import CPU
from mini_repr.data import Dataset, TextSet
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.losses.scores.replaced_tokens import replaced_tokens
from mini_repr.methods import Batch, build_method
from mini_repr.methods.electra import drawn_words, with_words
from mini_repr.training import config

TEXTS = [" ".join(f"w{(7 * i + k) % 30}" for k in range(2 + i % 9)) for i in range(24)]
DATA = Dataset("f", TextSet("f", TEXTS), TextSet("f", TEXTS[:8]))
ENCODER = {"name": "text_transformer", "width": 16, "depth": 2, "heads": 2, "buckets": 64}


def method_for(encoder=ENCODER, **method):
    chosen = {
        "encoder": encoder,
        "method": {"name": "electra", "generator_width": 8, "ratio": 0.3, **method},
        "loss": {"name": "replaced_tokens"},
    }
    made = build_method(config.resolve(chosen, "sentences"), DATA, np.random.default_rng(0))
    return made, made.load(DATA.train, CPU)


def test_words_are_drawn_by_their_probability():
    rng = np.random.default_rng(0)
    scores = np.log(np.array([0.1, 0.6, 0.0001, 0.2999]))
    levels = rng.random((400, 25))
    words = drawn_words(np.broadcast_to(scores, (400, 25, 4)).copy(), levels)
    shares = np.bincount(words.reshape(-1), minlength=4) / words.size
    np.testing.assert_allclose(shares, np.exp(scores), atol=0.015)
    sure = drawn_words(np.array([[[-50.0, 0.0, -50.0]]], dtype=np.float32), np.array([[0.9999999]]))
    assert sure.tolist() == [[1]]


def test_words_come_to_their_places_and_nowhere_else():
    ids = np.arange(12).reshape(2, 6)
    filled = np.array([[True, True], [True, False]])
    put = with_words(ids, np.array([[50, 51], [52, 53]]), np.array([[0, 4], [0, 0]]), filled)
    assert put.tolist() == [[50, 1, 2, 3, 51, 5], [52, 7, 8, 9, 10, 11]]


@pytest.mark.parametrize("loss_on", ["all", "hidden"])
def test_loss_of_all_words_and_of_the_generator(loss_on):
    method, inputs = method_for(loss_on=loss_on, weight=3.0)
    drawn = method.sample(*inputs, np.random.default_rng(1))
    ids, mask, hidden, _ = drawn
    scores, found, changed, _ = rows = method.embed(*drawn)
    step = method.compare(rows, method.targets(*drawn), Batch(drawn), method.objective)
    generated = []
    for i in range(len(ids)):
        for slot, place in enumerate(np.flatnonzero(hidden[i])):
            generated.append(cross_entropy(scores.data[i, slot][None], ids[i, place : place + 1]).data)
    detected = replaced_tokens(found.data, changed.data > 0, mask if loss_on == "all" else hidden).data
    assert float(step.total.data) == pytest.approx(np.mean(generated) + 3 * float(detected), rel=1e-5)
    assert (changed.data <= hidden).all() and changed.data.sum() > 0.5 * hidden.sum()


def test_a_lucky_draw_is_an_original_word():
    method, inputs = method_for()
    drawn = method.sample(*inputs, np.random.default_rng(1))
    method.generator.forward = lambda ids, mask, hidden, places: _sure_of(np.take_along_axis(ids, places, axis=1))
    _, _, changed, _ = method.embed(*drawn)
    assert not changed.data.any()


def _sure_of(words):
    return Tensor(np.where(np.arange(64) == words[..., None], 100.0, 0.0).astype(np.float32))


def test_no_gradient_passes_the_draw():
    method, inputs = method_for()
    drawn = method.sample(*inputs, np.random.default_rng(1))
    _, found, changed, _ = method.embed(*drawn)
    replaced_tokens(found, changed.data > 0, drawn[1]).backward()
    shared = {id(p) for p in method.encoder.parameters()}
    own = [p for p in method.generator.parameters() if id(p) not in shared]
    assert own and all(p.grad is None for p in own)
    assert all(p.grad is not None for p in (*method.encoder.parameters(), *method.detector.parameters()))


def test_uniform_replacements_are_any_word():
    method, inputs = method_for(replacements="uniform")
    drawn = method.sample(*inputs, np.random.default_rng(1))
    hidden = drawn[2]
    changed = method.embed(*drawn)[2].data
    assert changed.sum() > 0.9 * hidden.sum() and (changed <= hidden).all()


def test_other_encoders_and_losses_are_refused():
    with pytest.raises(ValueError, match="method electra: needs words to hide, expected --encoder text_transformer"):
        method_for(encoder={"name": "text", "width": 8})
    with pytest.raises(ValueError, match="method electra: cannot train cross_entropy"):
        config.resolve({"method": {"name": "electra"}, "loss": {"name": "cross_entropy"}}, "sentences")


def test_rotary_positions_are_no_table_to_share():
    with pytest.raises(ValueError, match="WordGenerator: encoder: got one with rotary positions, expected a table"):
        method_for(encoder={"name": "text_transformer", "positions": "rotary"})
