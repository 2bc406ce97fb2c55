import numpy as np
import pytest
from device_double import DOUBLE
from directional import check_parameter_gradients

from mini_repr.autograd import Tensor
from mini_repr.nn import LanguageHead, TextTransformer
from mini_repr.nn.text import numbered
from mini_repr.nn.text_transformer import line_positions

TEXTS = ["small dog", "a much longer text than the others", "one"]


def small(dtype=np.float64, **settings):
    settings = {"buckets": 32, "max_tokens": 9, "width": 8, "depth": 2, "heads": 2, **settings}
    return TextTransformer(np.random.default_rng(0), dtype, **settings)


def distinct(encoder):
    """Embeddings of full size, so that words are not lost beside rounding."""
    encoder.words.weight.data = np.random.default_rng(1).standard_normal(encoder.words.weight.shape)
    return encoder


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("pooling", ["mean", "first", "last"])
@pytest.mark.parametrize("positions", ["learned", "sine"])
def test_padding_changes_nothing(causal, pooling, positions):
    encoder = distinct(small(causal=causal, pooling=pooling, positions=positions))
    ids, mask = encoder.tokenise(TEXTS)
    together = encoder(ids, mask)
    other = encoder(np.where(mask, ids, 17), mask)
    np.testing.assert_allclose(other.pooled.data, together.pooled.data, atol=1e-14)
    np.testing.assert_allclose(other.tokens.data[mask], together.tokens.data[mask], atol=1e-14)
    for i, text in enumerate(TEXTS):
        alone = encoder(*encoder.tokenise([text]))
        np.testing.assert_allclose(alone.pooled.data[0], together.pooled.data[i], atol=1e-13)
    assert together.pooled.shape == (3, 8) and together.tokens.shape == (3, 7, 8)


def test_sparse_attention_looks_at_words_alone():
    ids, mask = np.array([[1, 2, 3, 4, 5]]), np.array([[True, True, True, False, False]])
    weights = distinct(small(attention="sparsemax"))(ids, mask, attention=True).attention[0]
    assert not weights[..., 3:].any() and (weights[..., :3] == 0).any()
    np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-6)


def test_causal_words_do_not_see_the_future():
    words = np.array([[1, 2, 3, 4, 5]])
    mask = np.ones((1, 5), bool)
    changed = words.copy()
    changed[0, 3] = 9
    for causal in (True, False):
        encoder = distinct(small(causal=causal))
        before, after = (encoder(ids, mask).tokens.data[0] for ids in (words, changed))
        moved = np.abs(before - after).max(axis=1) > 1e-9
        assert moved.tolist() == ([False] * 3 + [True] * 2 if causal else [True] * 5)
        attention = encoder(words, mask, attention=True).attention
        assert len(attention) == 2 and attention[0].shape == (1, 2, 5, 5)
        assert (np.triu(attention[0][0, 0], 1).any()) != causal
    gradient = Tensor(encoder.words.weight.data, requires_grad=True)
    encoder = distinct(small(causal=True, pooling="first"))
    encoder.words.weight = gradient
    encoder(words, mask).pooled.sum().backward()
    assert not gradient.grad[2:6].any()


def test_pooling_takes_the_rows_it_says():
    encoder = distinct(small())
    ids, mask = encoder.tokenise(TEXTS)
    tokens = encoder(ids, mask).tokens.data
    for pooling, expected in (
        ("mean", [tokens[0, :2].mean(axis=0), tokens[1, :7].mean(axis=0), tokens[2, 0]]),
        ("first", tokens[:, 0]),
        ("last", [tokens[0, 1], tokens[1, 6], tokens[2, 0]]),
    ):
        np.testing.assert_allclose(distinct(small(pooling=pooling))(ids, mask).pooled.data, expected, atol=1e-14)


@pytest.mark.parametrize("pooling", ["mean", "first", "last"])
@pytest.mark.parametrize("causal", [False, True])
def test_a_text_without_words_is_finite_and_pools_to_0(pooling, causal):
    encoder = small(pooling=pooling, causal=causal)
    encoded = encoder(*encoder.tokenise(["?!", "some words"]))
    encoded.pooled.sum().backward()
    assert not encoded.pooled.data[0].any() and encoded.pooled.data[1].any()
    assert all(np.isfinite(p.grad).all() for p in encoder.parameters())


def test_order_counts():
    encoder = distinct(small())
    first, second = encoder(*encoder.tokenise(["small dog", "dog small"])).pooled.data
    assert np.abs(first - second).max() > 1e-3


@pytest.mark.parametrize("settings", [{}, {"causal": True, "pooling": "last"}, {"positions": "sine"}])
def test_gradients_of_masked_attention(settings):
    encoder = small(**settings)
    ids, mask = encoder.tokenise(TEXTS)
    weights = np.random.default_rng(2).standard_normal((3, 8))
    check_parameter_gradients(encoder, lambda: (encoder(ids, mask).pooled * weights).sum(), np.random.default_rng(3))


def test_layers_and_learning_to_be_an_encoder_of_the_registry():
    encoder = small(np.float32)
    encoded = encoder(*encoder.tokenise(TEXTS), layers=(2, 1))
    assert len(encoded.layers) == 2 and encoded.layers[0].shape == (3, 7, 8)
    np.testing.assert_allclose(encoder.norm(encoded.layers[0]).data, encoded.tokens.data)
    assert encoded.pooled.dtype == np.float32 and encoder.width == 8


def test_a_fixed_vocabulary_takes_the_place_of_hashing():
    encoder = small(vocabulary=["a", "small", "dog"])
    ids, mask = encoder.tokenise(["Small dog!", "a"])
    assert ids.tolist() == [[1, 2], [0, 0]] and mask.tolist() == [[True, True], [True, False]]
    assert encoder.words.weight.shape == (3, 8)
    with pytest.raises(ValueError, match="numbered: texts: got 'cat', expected words of the vocabulary of 3"):
        encoder.tokenise(["a cat"])
    with pytest.raises(ValueError, match="numbered: max_tokens: got 0"):
        numbered(["a"], ["a"], 0)


def test_a_word_that_stands_twice_at_its_place_is_looked_at_twice():
    encoder = TextTransformer(np.random.default_rng(0), dtype=np.float64, buckets=9, width=8, depth=1, max_tokens=3)
    places = np.array([[0, 1, 1, 2, 2]])
    ids, mask = np.array([[4, 5, 5, 6, 6]]), np.ones((1, 5), dtype=bool)
    tokens = encoder(ids, mask, places=places).tokens.data[0]
    np.testing.assert_allclose(tokens[[1, 3]], tokens[[2, 4]], atol=1e-14)
    once = encoder(ids[:, [0, 1, 3]], mask[:, :3]).tokens.data[0]
    assert np.abs(tokens[[0, 1, 3]] - once).max() > 1e-6
    with pytest.raises(ValueError, match="ids: got 5 tokens, expected at most 3"):
        encoder(ids, mask)


@pytest.mark.parametrize("tied", [True, False])
def test_language_head_gives_scores_over_words(tied):
    encoder = small(causal=True)
    head = LanguageHead(encoder.words, np.random.default_rng(1), tied=tied, dtype=np.float64)
    head.parts = [encoder]  # one module that holds both
    ids, mask = encoder.tokenise(TEXTS)
    scores = head(encoder(ids, mask).tokens)
    assert scores.shape == (3, 7, 32)
    if tied:
        np.testing.assert_allclose(scores.data, encoder(ids, mask).tokens.data @ encoder.words.weight.data.T)
    assert ("parts.0.words.weight" in head.named_parameters()) != tied  # a shared table is listed once
    weights = np.random.default_rng(4).standard_normal(scores.shape) * mask[..., None]
    check_parameter_gradients(
        head, lambda: (head(encoder(ids, mask).tokens) * weights).sum(), np.random.default_rng(5), tolerance=1e-5
    )


def test_line_positions():
    table = line_positions(5, 4, np.float64)
    np.testing.assert_allclose(table[0], [0, 0, 1, 1])
    np.testing.assert_allclose(table[3], [np.sin(3), np.sin(0.03), np.cos(3), np.cos(0.03)])


def test_runs_on_the_device():
    encoder = small(causal=True)
    ids, mask = encoder.tokenise(TEXTS)
    here = encoder(ids, mask).pooled.data
    encoder.to(DOUBLE)
    there = encoder(DOUBLE.asarray(ids), DOUBLE.asarray(mask)).pooled
    np.testing.assert_allclose(there.data.get(), here, rtol=1e-12)
    there.sum().backward()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: small(positions="none"), "^encoder text_transformer: positions: got 'none'"),
        (lambda: small(pooling="max"), "^encoder text_transformer: pooling: got 'max'"),
        (lambda: small(width=7, heads=1, positions="sine"), "line_positions: width: got 7"),
        (lambda: small(heads=3), "Block: heads: got 3"),
        (lambda: small(max_tokens=0), "^encoder text_transformer: max_tokens: got 0"),
        (lambda: small()(np.zeros((2, 3), int), np.ones((2, 4), bool)), "TextTransformer: mask: got shape"),
        (lambda: small()(np.zeros((2, 3), int), np.ones((2, 3))), "TextTransformer: mask: .*dtype float64"),
        (lambda: small()(np.zeros((1, 10), int), np.ones((1, 10), bool)), "ids: got 10 tokens, expected at most 9"),
        (lambda: small()(np.zeros((1, 2), int), np.ones((1, 2), bool), layers=(3,)), "layers: got .3,."),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_head_of_low_rank_is_a_product():
    encoder = small()
    head = LanguageHead(encoder.words, np.random.default_rng(1), rank=3, dtype=np.float64)
    scores = head(np.random.default_rng(2).standard_normal((20, 8))).data
    assert scores.shape == (20, 32) and np.linalg.matrix_rank(scores - head.bias.data) == 3
    assert encoder.words.weight not in head.parameters()


def test_a_head_of_other_inputs_is_tied_behind_a_layer_norm():
    encoder = distinct(small())
    head = LanguageHead(encoder.words, np.random.default_rng(1), inputs=5, dtype=np.float64)
    tokens = np.random.default_rng(2).standard_normal((6, 5))
    rows = head.norm(_gelu(tokens @ head.linear.weight.data + head.linear.bias.data)).data
    np.testing.assert_allclose(head(tokens).data, rows @ encoder.words.weight.data.T, atol=1e-12)
    assert any(p is encoder.words.weight for p in head.parameters())


def _gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
