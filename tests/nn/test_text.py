import numpy as np
import pytest

from mini_repr.nn import TextEncoder, tokenise


def test_tokenise_hashes_words_the_same_way_for_ever():
    ids, mask = tokenise(["The cat, the CAT!", "", "a b c d"], buckets=1000, max_tokens=3)
    assert ids.dtype == np.int64 and mask.dtype == bool and ids.shape == mask.shape == (3, 3)
    assert ids[0, 0] == ids[0, 2]
    assert ids[0].tolist() == [78, 832, 78]  # CRC-32 of "the" and "cat" modulo 1000
    assert mask.sum(axis=1).tolist() == [3, 0, 3]
    assert not ids[1].any()


def test_padding_does_not_count_and_order_neither():
    encoder = TextEncoder(np.random.default_rng(0))
    together = encoder(*encoder.tokenise(["small dog", "dog small", "a much longer text than the others"])).pooled.data
    alone = encoder(*encoder.tokenise(["small dog"])).pooled.data
    np.testing.assert_allclose(together[0], together[1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(together[:1], alone, rtol=1e-5, atol=1e-6)
    assert together.shape == (3, encoder.width) and together.dtype == np.float32


def test_a_text_without_words_is_finite_and_gives_no_embedding_gradient():
    encoder = TextEncoder(np.random.default_rng(0), buckets=16)
    encoder(*encoder.tokenise(["?!", ""])).pooled.sum().backward()
    assert not encoder.words.weight.grad.any()


def test_dropout_makes_two_views_of_a_text():
    encoder = TextEncoder(np.random.default_rng(0), dropout=0.1)
    tokens = encoder.tokenise(["one two three"])
    assert (encoder(*tokens).pooled.data != encoder(*tokens).pooled.data).any()
    encoder.eval()
    np.testing.assert_array_equal(encoder(*tokens).pooled.data, encoder(*tokens).pooled.data)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda e: tokenise([], 8, 8), "tokenise: texts"),
        (lambda e: tokenise(["a"], 0, 8), "tokenise: buckets: got 0"),
        (lambda e: tokenise(["a"], 8, 0), "tokenise: max_tokens: got 0"),
        (lambda e: e(np.zeros((2, 3), int), np.ones((2, 4), bool)), "TextEncoder: mask: got shape"),
        (lambda e: e(np.zeros((2, 3), int), np.ones((2, 3))), "TextEncoder: mask: .*dtype float64"),
        (lambda e: TextEncoder(np.random.default_rng(0), depth=0), "^encoder text: depth: got 0"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make(TextEncoder(np.random.default_rng(0)))
