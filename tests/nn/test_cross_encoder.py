"""Words that look at patches: the encoder against loops, and the gradient of its attention."""

import math

import numpy as np
import pytest

from mini_repr.autograd import no_grad
from mini_repr.nn.cross_encoder import CrossEncoder
from mini_repr.nn.mlp import normalised, tanh_gelu

RNG = np.random.default_rng(0)
MASK = np.array([[True, True, False], [True, True, True]])
WORDS, PATCHES = RNG.standard_normal((2, 3, 8)), RNG.standard_normal((2, 5, 8))


def made(heads=2):
    encoder = CrossEncoder(8, heads, np.random.default_rng(1), np.float64)
    state = encoder.state_dict()
    rng = np.random.default_rng(2)
    encoder.load_state_dict({name: x + 0.1 * rng.standard_normal(x.shape) for name, x in state.items()})
    return encoder


def by_loops(encoder, words, mask, patches, shift):
    """Scores (2,) of one pair, a head and a word at a time."""
    state = encoder.state_dict()

    def norm(x, name):
        return normalised(x, state[f"{name}.gain"], state[f"{name}.bias"])

    def linear(x, name):
        return x @ state[f"{name}.weight"] + state[f"{name}.bias"]

    rows, context = norm(words, "norm_words"), norm(patches, "norm_patches")
    q, k, v = linear(rows, "query"), linear(context, "key"), linear(context, "value")
    mixed, size = np.zeros_like(words), words.shape[1] // encoder._heads
    for h in range(encoder._heads):
        part = slice(h * size, (h + 1) * size)
        for w in range(len(words)):
            weights = np.exp([q[w, part] @ k[p, part] / math.sqrt(size) for p in range(len(patches))])
            mixed[w, part] = (weights / weights.sum() + shift[h, w]) @ v[:, part]
    x = words + linear(mixed, "out")
    x = norm(x + linear(tanh_gelu(linear(norm(x, "norm"), "expand")), "contract"), "last")
    return linear(x[mask].mean(axis=0), "score")


def test_scores_equal_loops():
    encoder = made()
    scores, attention = encoder(WORDS, MASK, PATCHES)
    assert attention.shape == (2, 2, 3, 5)
    np.testing.assert_allclose(attention.data.sum(axis=-1), 1)
    for b in range(2):
        expected = by_loops(encoder, WORDS[b], MASK[b], PATCHES[b], np.zeros((2, 3, 5)))
        np.testing.assert_allclose(scores.data[b], expected, rtol=1e-10)


def test_the_gradient_of_the_attention_is_that_of_the_score():
    encoder = made()
    with no_grad():
        _, gradient = encoder.attention_gradient(WORDS, MASK, PATCHES)
    rng = np.random.default_rng(3)
    for b in range(2):
        direction, step = rng.standard_normal((2, 3, 5)), 1e-6
        ends = [by_loops(encoder, WORDS[b], MASK[b], PATCHES[b], s * step * direction)[1] for s in (1, -1)]
        assert (gradient[b] * direction).sum() == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-6)
    assert not gradient[0, :, 2].any()  # a word that is padding says nothing


def test_it_leaves_gradients_of_parameters_as_they_were():
    encoder = made()
    encoder(WORDS, MASK, PATCHES)[0].sum().backward()
    before = {name: p.grad.copy() for name, p in encoder.named_parameters().items()}
    encoder.attention_gradient(WORDS, MASK, PATCHES)
    for name, p in encoder.named_parameters().items():
        np.testing.assert_array_equal(p.grad, before[name])


def test_heads_divide_the_width():
    with pytest.raises(ValueError, match="CrossEncoder: heads: got 3, expected a divisor of width 8"):
        made(3)
