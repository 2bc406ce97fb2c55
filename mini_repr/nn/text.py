"""A small text encoder: hashed words, the mean of their embeddings, an MLP.

Source: the mean of word embeddings through a deep network, Iyyer et al. 2015 (deep averaging network); hashing,
Weinberger et al. 2009, arXiv 0902.2206.
"""

import re
import zlib

import numpy as np

from mini_repr.autograd import matmul
from mini_repr.backend import backend_of
from mini_repr.nn.encoded import Encoded
from mini_repr.nn.init import unit_normal
from mini_repr.nn.layers import Embedding
from mini_repr.nn.mlp import MLP, mlp_definition
from mini_repr.nn.module import Module
from mini_repr.pages.arguments import Count, FractionBelowOne
from mini_repr.pages.declare import part
from mini_repr.pages.page import definition

_WORD = re.compile(r"\w+")


def words_of(text):
    """The words of a text in lower case: runs of letters, digits and underscores."""
    return _WORD.findall(text.lower())


def tokenise(texts, buckets, max_tokens):
    """Words in lower case, hashed: ``(ids (B, T) int64, mask (B, T) bool)`` on the host.

    A word's number is the CRC-32 of its UTF-8 bytes modulo ``buckets``: the same everywhere and at all times. Words
    beyond ``max_tokens`` are left out. T is the longest kept length (at least 1); places beyond a text are 0 and False.

    Raises:
        ValueError: no texts, or ``buckets`` or ``max_tokens`` below 1.
    """
    if buckets < 1:
        raise ValueError(f"tokenise: buckets: got {buckets}, expected 1 or more")
    return _padded("tokenise", texts, max_tokens, lambda word: zlib.crc32(word.encode()) % buckets)


def numbered(texts, vocabulary, max_tokens):
    """Words in lower case by their place in ``vocabulary``, a list of words: as ``tokenise``.

    Raises:
        ValueError: no texts, ``max_tokens`` below 1, or a word that the vocabulary does not have.
    """
    places = {word: place for place, word in enumerate(vocabulary)}

    def number(word):
        if word not in places:
            raise ValueError(f"numbered: texts: got {word!r}, expected words of the vocabulary of {len(places)}")
        return places[word]

    return _padded("numbered", texts, max_tokens, number)


def _padded(name, texts, max_tokens, number):
    if max_tokens < 1:
        raise ValueError(f"{name}: max_tokens: got {max_tokens}, expected 1 or more")
    if not len(texts):
        raise ValueError(f"{name}: texts: got none, expected one or more")
    rows = [[number(word) for word in words_of(text)[:max_tokens]] for text in texts]
    longest = max(1, *map(len, rows))
    ids, mask = np.zeros((len(rows), longest), np.int64), np.zeros((len(rows), longest), bool)
    for i, row in enumerate(rows):
        ids[i, : len(row)], mask[i, : len(row)] = row, True
    return ids, mask


def check_words(name, ids, mask):
    """Raise ValueError unless ids are (B, T) and the mask is booleans of their shape."""
    if ids.ndim != 2 or mask.shape != ids.shape or mask.dtype.kind != "b":
        raise ValueError(
            f"{name}: mask: got shape {mask.shape}, dtype {mask.dtype}, expected booleans of ids' shape {ids.shape}"
        )


def trimmed(ids, mask):
    """ids and mask (B, T) on the host without the places that no text of the batch reaches."""
    longest = max(1, mask.sum(axis=1).max())
    return ids[:, :longest], mask[:, :longest]


def even_shares(mask):
    """(B, T) of a mask (B, T): 1 over the number of the text's words at each of them, 0 elsewhere."""
    return mask / backend_of(mask).xp.maximum(mask.sum(axis=1, keepdims=True), 1)


def pooling_shares(pooling, mask):
    """(B, T): the share of each word's row in a pooled row, the "mean" of all, or the "first" or "last" word's row."""
    if pooling == "mean":
        return even_shares(mask)
    before = backend_of(mask).xp.cumsum(mask, axis=1)  # words up to here: 1 at the first, all of them at the last
    return mask & (before == (1 if pooling == "first" else mask.sum(axis=1, keepdims=True)))


def weighted_words(shares, tokens):
    """One row per text, (B, D): the sum of its tokens (B, T, D) by their shares (B, T)."""
    return matmul(shares.astype(tokens.dtype)[:, None, :], tokens).reshape(len(tokens), -1)


def word_counts(texts, buckets=1024):
    """Texts as rows (N, buckets) float32: counts of hashed words. A text without words counts one, the empty word."""
    ids, mask = tokenise(texts, buckets, max_tokens=256)
    counts = np.zeros((len(texts), buckets), dtype=np.float32)
    np.add.at(counts, (np.repeat(np.arange(len(texts)), mask.sum(axis=1)), ids[mask]), 1)
    counts[~mask.any(axis=1), 0] = 1
    return counts


class WordEncoder(Module):
    """Base of encoders that keep a row for each word.

    They have ``words`` (the embedding table), ``vocabulary`` (None for hashed words), ``max_tokens`` and ``_pooling``,
    and ``layer_tokens(ids, mask)``.
    """

    takes = "texts"

    def tokenise(self, texts):
        """``(ids (B, T), mask (B, T))`` on the host: hashed words, or their numbers in the vocabulary.

        Raises:
            ValueError: no texts, or a word that the vocabulary does not have.
        """
        if self.vocabulary is None:
            return tokenise(texts, len(self.words.weight), self.max_tokens)
        return numbered(texts, self.vocabulary, self.max_tokens)

    def layer_rows(self, ids, mask):
        """One row per text after each block, pooled as the output is: a list of (B, D)."""
        return [self.pool(tokens, mask) for tokens in self.layer_tokens(ids, mask)]

    def pool(self, tokens, mask):
        """One row per text, (B, D), of tokens (B, T, D), as ``pooling`` says."""
        return weighted_words(pooling_shares(self._pooling, backend_of(tokens.data).asarray(mask)), tokens)


@part("encoder", "text")
class TextEncoder(Module):
    """Mean of hashed word embeddings, then an MLP.

    Hashed words to ``Encoded``: pooled (B, width), no tokens. The order of words does not count.

    Args:
        rng: host generator.
        buckets: hash values, rows of the embedding table. max_tokens: words of a text that count.
        embedding: width of a word. width: of the output. hidden, depth, dropout: of the MLP, ``depth`` linear layers.
    """

    takes = "texts"

    def __init__(
        self,
        rng,
        dtype=np.float32,
        *,
        buckets: Count() = 4096,
        max_tokens: Count() = 64,
        embedding: Count() = 128,
        width: Count() = 128,
        hidden: Count() = 256,
        depth: Count() = 2,
        dropout: FractionBelowOne = 0.0,
    ):
        self.width, self.buckets, self.max_tokens = width, buckets, max_tokens
        self.words = Embedding(buckets, embedding, rng, init=unit_normal, dtype=dtype)
        self.mlp = MLP(
            (embedding, *[hidden] * (depth - 1), width), rng, activation="gelu", dropout=dropout, dtype=dtype
        )

    def tokenise(self, texts):
        """``tokenise`` with this encoder's buckets and length."""
        return tokenise(texts, self.buckets, self.max_tokens)

    def forward(self, ids, mask):
        """ids (B, T) integers, mask (B, T) booleans, True at words, on the host or the weights' device.

        A text without words has the mean 0.
        """
        return Encoded(self.mlp(self._mean(ids, mask)))

    def layer_rows(self, ids, mask):
        """One row per text after each layer of the MLP: a list of (B, width of the layer)."""
        return list(self.mlp.layers(self._mean(ids, mask)))

    def _mean(self, ids, mask):
        """(B, embedding): the mean of the words' embeddings."""
        check_words("TextEncoder", ids, mask)
        mask = backend_of(self.words.weight.data).asarray(mask)
        return weighted_words(even_shares(mask), self.words(ids))


@definition(TextEncoder)
def text_encoder_definition(encoder, ids, mask):
    table = encoder.state_dict()["words.weight"]
    means = [
        table[words[kept]].mean(axis=0) if kept.any() else 0 * table[0] for words, kept in zip(ids, mask, strict=True)
    ]
    return mlp_definition(encoder.mlp, np.stack(means))
