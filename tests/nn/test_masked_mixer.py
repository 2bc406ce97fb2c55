"""Masked mixers: what a word sees, and what C is."""

import numpy as np
import pytest

from mini_repr.autograd import gradcheck
from mini_repr.nn import MaskedMixer
from mini_repr.nn.mlp import normalised
from mini_repr.optim import AdamW

TEXTS = ["one two three four", "five six", "seven eight nine ten eleven"]


def encoder_of(seed=0, **settings):
    own = {"width": 8, "depth": 2, "max_tokens": 6, "buckets": 50, **settings}
    return MaskedMixer(np.random.default_rng(seed), np.float64, **own)


def rows_of(encoder, seed=1, length=6):
    return np.random.default_rng(seed).standard_normal((2, length, encoder.width))


def test_a_word_sees_all_before_it_and_none_after_it():
    encoder = encoder_of()
    x = rows_of(encoder)
    for changed in range(6):
        moved = x.copy()
        moved[:, changed] *= -1
        before, after = (encoder.states(rows)[-1].data for rows in (x, moved))
        np.testing.assert_array_equal(after[:, :changed], before[:, :changed])
        assert (np.abs(after - before)[:, changed:].max(axis=2) > 1e-6).all()


def test_nothing_of_padding_reaches_the_words():
    encoder = encoder_of()
    ids, mask = encoder.tokenise(TEXTS)
    alone, alone_mask = encoder.tokenise(TEXTS[1:2])
    np.testing.assert_allclose(encoder(ids, mask).pooled.data[1], encoder(alone, alone_mask).pooled.data[0], rtol=1e-12)
    np.testing.assert_array_equal(encoder(ids, mask).tokens.data[1, 1], encoder(ids, mask).pooled.data[1])


def test_without_a_matrix_words_do_not_meet():
    encoder = encoder_of()
    for block in encoder.blocks:
        block.mix.data[...] = 0
    x = rows_of(encoder)
    order = [3, 1, 5, 0, 2, 4]
    np.testing.assert_allclose(encoder.states(x[:, order])[-1].data, encoder.states(x)[-1].data[:, order], rtol=1e-12)


def test_gradient_of_the_matrix_is_the_lower_part_of_the_sum_of_outer_products():
    block = encoder_of().blocks[0]
    for parameter in (block.contract.weight, block.contract.bias):
        parameter.data[...] = 0  # no MLP: the gradient of what was mixed is that of the output
    x, g = rows_of(encoder_of()), rows_of(encoder_of(), seed=2)
    block(x).backward(g)
    normal = normalised(x, block.norm1.gain.data, block.norm1.bias.data)
    np.testing.assert_allclose(block.mix.grad, np.tril(np.einsum("bid,bjd->ij", g, normal)), atol=1e-12)
    assert not np.triu(block.mix.grad, 1).any()
    np.testing.assert_allclose(block.place.grad[:, 0], g.sum(axis=(0, 2)), atol=1e-12)


def test_gradients_equal_differences():
    encoder, weights = encoder_of(depth=1, max_tokens=4), np.random.default_rng(3).standard_normal((2, 3, 8))
    x, block = rows_of(encoder, length=3), encoder.blocks[0]
    (block(x) * weights).sum().backward()
    names = ["mix", "place", "norm1.gain", "expand.weight"]
    tensors = [block.named_parameters()[name] for name in names]
    start = [t.data for t in tensors]

    def value(*arrays):
        for tensor, array in zip(tensors, arrays, strict=True):
            tensor.data = array
        return (block(x).data * weights).sum()

    gradcheck(value, start, [t.grad for t in tensors], np.random.default_rng(4))


def test_the_upper_triangle_is_never_moved_and_never_read():
    encoder = encoder_of()
    ids, mask = encoder.tokenise(TEXTS)
    start = [block.mix.data.copy() for block in encoder.blocks]
    optimizer = AdamW(encoder.named_parameters(), 0.01, weight_decay=0.0)
    for _ in range(3):
        optimizer.zero_grad()
        (encoder(ids, mask).pooled * encoder(ids, mask).pooled).sum().backward()
        optimizer.step()
    for block, before in zip(encoder.blocks, start, strict=True):
        np.testing.assert_array_equal(np.triu(block.mix.data, 1), np.triu(before, 1))
        # Places beyond the longest text, of five words, have no gradient either.
        assert np.abs(np.tril(block.mix.data - before)[:5, :5]).max() > 1e-3 and (block.mix.data == before)[5].all()
    before = encoder(ids, mask).tokens.data
    for block in encoder.blocks:
        block.mix.data[np.triu_indices(6, 1)] = 100.0
    np.testing.assert_array_equal(encoder(ids, mask).tokens.data, before)


def test_a_shorter_text_takes_the_leading_part_and_a_longer_one_is_refused():
    encoder = encoder_of()
    x = rows_of(encoder)
    np.testing.assert_allclose(encoder.states(x[:, :4])[-1].data, encoder.states(x)[-1].data[:, :4], rtol=1e-12)
    with pytest.raises(ValueError, match="MaskedMixer: ids: got 7 tokens, expected at most 6"):
        encoder.states(rows_of(encoder, length=7))
    with pytest.raises(ValueError, match=r"MaskedMixer: layers: got \(3,\), expected numbers from 1 to 2"):
        encoder(*encoder.tokenise(TEXTS), layers=(3,))


def test_layers_are_the_states_after_each_block():
    encoder = encoder_of(pooling="mean")
    ids, mask = encoder.tokenise(TEXTS)
    encoded, tokens, rows = (
        encoder(ids, mask, layers=(1, 2)),
        encoder.layer_tokens(ids, mask),
        encoder.layer_rows(ids, mask),
    )
    for number in range(2):
        np.testing.assert_array_equal(encoded.layers[number].data, tokens[number].data)
    np.testing.assert_array_equal(rows[-1].data, encoded.pooled.data)
