"""A transformer over words: an encoder of texts, or with ``causal`` a language model's body; and the head for words.

Source: Vaswani et al. 2017, arXiv 1706.03762, in the pre-norm form of Xiong et al. 2020, arXiv 2002.04745.
"""

import numpy as np

from mini_repr.autograd import Tensor, broadcast_to, concatenate, gelu, linear, where
from mini_repr.backend import backend_of
from mini_repr.nn.encoded import Encoded
from mini_repr.nn.gaps import with_rows_at
from mini_repr.nn.init import truncated_normal
from mini_repr.nn.layers import Embedding, LayerNorm, Linear
from mini_repr.nn.lost import linear_of_rank
from mini_repr.nn.mlp import normalised
from mini_repr.nn.module import Module
from mini_repr.nn.rotary import Angles, rotary_angles
from mini_repr.nn.text import WordEncoder, check_words
from mini_repr.nn.transformer import Block, block_definition, branch_scale
from mini_repr.pages.arguments import Choice, Count, Flag, Fraction, FractionBelowOne, Positive
from mini_repr.pages.declare import part
from mini_repr.pages.page import definition


@part("encoder", "text_transformer", paper="012")
class TextTransformer(WordEncoder):
    """Words and positions through pre-norm blocks.

    Words to ``Encoded``: pooled (B, width) and tokens (B, T, width), after the last layer norm. Nothing looks at
    padding. Where a text has no word, tokens hold numbers without meaning. A text without any word has the pooled row
    0.

    Args:
        rng: host generator.
        buckets: hash values of words, rows of the embedding table. vocabulary: list of words that takes their place.
        max_tokens: words of a text that count. width: D. depth: blocks. heads: divisor of width. mlp_ratio: hidden
            width of a block's MLP over D.
        positions: "learned"; "sine": a fixed table (Vaswani et al. 2017, arXiv 1706.03762, section 3.5); "rotary":
            nothing is added to words, queries and keys are turned (Su et al. 2021, arXiv 2104.09864); "rotary_2d": half
            of a head's columns by the place, half by a second coordinate (ExLM: Zheng et al. 2025, arXiv 2501.13397).
        pooling: "mean" of the words' rows, or the row of the "first" or the "last" word.
        causal: whether a word sees only itself and the words before it.
        attention: "softmax", or "sparsemax": most weights exactly 0 (Martins, Astudillo 2016, arXiv 1602.02068).
        dropout: rate on the branches of every block.
        prompt: learned rows without a position in front of every text, which take no part in pooling and in tokens.
        start: "xavier"; "scaled": the last weight of each branch times 1 / sqrt(2 depth), as in GPT-2; "zero": it is 0.
        rank: of the weights of all blocks, products of two factors (``LostLinear``, Li et al. 2025, arXiv 2508.02668).
        channels: whole input channels that such a weight has beside its product. low_rank_share: γ, of the product.
    """

    def __init__(
        self,
        rng,
        dtype=np.float32,
        *,
        buckets: Count() = 4096,
        vocabulary=None,
        max_tokens: Count() = 32,
        width: Count() = 64,
        depth: Count() = 2,
        heads: Count() = 4,
        mlp_ratio: Positive = 2.0,
        positions: Choice("learned", "sine", "rotary", "rotary_2d") = "learned",
        pooling: Choice("mean", "first", "last") = "mean",
        causal: Flag = False,
        attention: Choice("softmax", "sparsemax") = "softmax",
        dropout: FractionBelowOne = 0.0,
        prompt: Count(least=0) = 0,
        start: Choice("xavier", "scaled", "zero") = "xavier",
        rank: Count(choose="full rank") = None,
        channels: Count(least=0) = 0,
        low_rank_share: Fraction = 0.5,
    ):
        if channels and rank is None:
            raise ValueError("TextTransformer: channels: got some without a rank, expected encoder.rank beside them")
        if start == "zero" and rank is not None:
            raise ValueError(
                "TextTransformer: start: got zero with a rank, expected xavier or scaled: factors of 0 stay 0"
            )
        self.width, self.depth, self.max_tokens = width, depth, max_tokens
        self.vocabulary = None if vocabulary is None else tuple(vocabulary)
        self.words = Embedding(buckets if vocabulary is None else len(self.vocabulary), width, rng, dtype=dtype)
        self.positions, self.coordinates = None, {"rotary": 1, "rotary_2d": 2}.get(positions, 0)
        self._head_size = width // heads
        if self.coordinates and self._head_size % (2 * self.coordinates):
            raise ValueError(
                f"TextTransformer: positions: got {positions} with {self._head_size} columns a head, expected a "
                f"multiple of {2 * self.coordinates}"
            )
        if self.coordinates and prompt:
            raise ValueError(f"TextTransformer: prompt: got one with {positions}, expected 0: it stands nowhere")
        if positions == "learned":
            self.positions = Tensor(truncated_normal(rng, (max_tokens, width), dtype), True)
        elif positions == "sine":
            self.register_buffer("positions", line_positions(max_tokens, width, dtype))
        self.blocks = [
            Block(
                width,
                heads,
                mlp_ratio,
                rng,
                dropout=dropout,
                attention=attention,
                branch_scale=branch_scale(start, depth),
                make_linear=linear_of_rank(rank, channels, low_rank_share),
                dtype=dtype,
            )
            for _ in range(depth)
        ]
        self.norm = LayerNorm(width, dtype=dtype)
        self._pooling, self._causal = pooling, causal
        if prompt and causal:
            raise ValueError("TextTransformer: prompt: got one with causal, expected 0: nothing stands before a text")
        self.prompt = Tensor(truncated_normal(rng, (prompt, width), dtype), True) if prompt else None

    def forward(
        self,
        ids,
        mask,
        layers=(),
        attention=False,
        replace=None,
        mask_token=None,
        places=None,
        prompted=True,
        copies=None,
    ):
        """Encode texts.

        Args:
            ids: (B, T) integers, T up to max_tokens unless ``places`` come. mask: (B, T) booleans, True at words. Both
                on the host or on the weights' device; on the host they are checked without waiting for a GPU.
            layers: numbers of blocks, from 1 to depth, whose output tokens (before the last norm) to return.
            attention: whether to return every block's attention weights.
            replace: booleans (B, T), True where ``mask_token`` (D,) or (B, T, D), a tensor of the caller's, takes the
                place of the word's row, before the position is added.
            places: integers (B, T) on the host, the places in their text of words that are not all of it or stand
                there several times; None counts from 0.
            prompted: whether the prompt stands in front, where there is one.
            copies: integers (B, T) on the host, the second coordinate of "rotary_2d"; None is 0.
        Raises:
            ValueError: an argument of a wrong shape or out of range.
        """
        self._check(ids, mask, layers, replace, mask_token, places)
        backend, length = backend_of(self.words.weight.data), ids.shape[1]
        mask = backend.asarray(mask)
        allowed = mask[:, None, None, :]
        if self._causal:
            allowed = allowed & backend.xp.tri(length, dtype=bool)
        x = self.placed_words(ids, replace, mask_token, places)
        angles = self._angles(ids, places, copies)
        front = len(self.prompt) if prompted and self.prompt is not None else 0
        if front:
            x = concatenate(broadcast_to(self.prompt, (len(ids), *self.prompt.shape)), x, axis=1)
            shown = backend.xp.ones((len(ids), 1, 1, front), dtype=bool)
            allowed = backend.xp.concatenate([shown, allowed], axis=3)
        kept, weights_of = {}, []
        for number, block in enumerate(self.blocks, 1):
            x, weights = block(x, allowed, angles=angles)
            kept[number] = x[:, front:] if front else x
            if attention:
                weights_of.append(weights)
        tokens = self.norm(x[:, front:] if front else x)
        return Encoded(self.pool(tokens, mask), tokens, tuple(kept[number] for number in layers), tuple(weights_of))

    def forward_dropping(self, ids, mask, kept, replace=None, mask_token=None):
        """Encode texts while the middle of the stack computes some of their words only: token dropping.

        Hou et al. 2022, arXiv 2203.13240, section 3.1. Of L blocks number L/2 computes the rows of the words that are
        kept, which look at all; the next ones up to L - 1 see the kept words alone; before the last block the others
        come back with the rows that they had before block L/2.

        Args:
            kept: integers (B, K) on the weights' device, places of the words to keep. Else as ``forward``.
        Returns:
            ``Encoded``: pooled and tokens (B, T, width).
        Raises:
            ValueError: an argument of a wrong shape, a depth of 1, a causal encoder, or one with a prompt.
        """
        self._check(ids, mask, (), replace, mask_token, None)
        if self.depth < 2 or self._causal or self.prompt is not None or self.coordinates:
            came = f"depth {self.depth}{', causal' * self._causal}{', a prompt' * (self.prompt is not None)}"
            came += ", rotary positions" * bool(self.coordinates)
            raise ValueError(
                f"TextTransformer: kept: got {came}, expected two blocks or more, not causal, no prompt, not rotary"
            )
        backend, half = backend_of(self.words.weight.data), self.depth // 2
        mask = backend.asarray(mask)
        allowed = mask[:, None, None, :]
        x = self.placed_words(ids, replace, mask_token)
        for block in self.blocks[: half - 1]:
            x, _ = block(x, allowed)
        rows, _ = self.blocks[half - 1](x, allowed, kept)
        among = backend.xp.take_along_axis(mask, kept, axis=1)[:, None, None, :]
        for block in self.blocks[half:-1]:
            rows, _ = block(rows, among)
        x, _ = self.blocks[-1](with_rows_at(x, rows, kept), allowed)
        tokens = self.norm(x)
        return Encoded(self.pool(tokens, mask), tokens)

    def placed_words(self, ids, replace=None, mask_token=None, places=None):
        """What enters the first block, (B, T, D): the words' rows, some replaced, plus positions unless rotary."""
        backend = backend_of(self.words.weight.data)
        x = self.words(ids)
        if replace is not None:
            x = where(backend.asarray(replace)[:, :, None], mask_token, x)
        if self.coordinates:
            return x
        if places is None:
            return x + self.positions[: ids.shape[1]]
        return x + self.positions[backend.asarray(places).reshape(-1)].reshape(*x.shape)

    def _angles(self, ids, places, copies):
        """``Angles`` of the words on the weights' device; None where positions are rows that are added."""
        if not self.coordinates:
            return None
        places = np.broadcast_to(np.arange(ids.shape[1]), ids.shape) if places is None else places
        second = np.zeros_like(places) if copies is None else copies
        weight = self.words.weight.data
        angles = rotary_angles((places, second)[: self.coordinates], self._head_size, weight.dtype)
        return Angles(*map(backend_of(weight).asarray, angles))

    def _check(self, ids, mask, layers, replace, mask_token, places):
        check_words("TextTransformer", ids, mask)
        if places is None and ids.shape[1] > self.max_tokens:
            raise ValueError(f"TextTransformer: ids: got {ids.shape[1]} tokens, expected at most {self.max_tokens}")
        if any(number not in range(1, self.depth + 1) for number in layers):
            raise ValueError(f"TextTransformer: layers: got {tuple(layers)}, expected numbers from 1 to {self.depth}")
        if (replace is None) != (mask_token is None):
            raise ValueError("TextTransformer: mask_token: expected together with replace, or neither")
        if replace is not None and (replace.dtype.kind != "b" or replace.shape != ids.shape):
            raise ValueError(
                f"TextTransformer: replace: got shape {replace.shape}, dtype {replace.dtype}, "
                f"expected booleans of ids' shape {ids.shape}"
            )
        if places is None:
            return
        if places.dtype.kind not in "iu" or places.shape != ids.shape:
            raise ValueError(
                f"TextTransformer: places: got shape {places.shape}, dtype {places.dtype}, "
                f"expected integers of ids' shape {ids.shape}"
            )
        if places.size and not (places.min() >= 0 and places.max() < self.max_tokens):
            came = f"{places.min()} to {places.max()}"
            raise ValueError(f"TextTransformer: places: got {came}, expected 0 to {self.max_tokens - 1}")

    def layer_tokens(self, ids, mask):
        """The words' rows after each block: a list of (B, T, D)."""
        return list(self(ids, mask, layers=tuple(range(1, self.depth + 1))).layers)


@definition(TextTransformer)
def text_transformer_definition(encoder, ids, mask):
    state, pooled = encoder.state_dict(), []
    for words, kept in zip(ids, mask, strict=True):
        x, angles = state["words.weight"][words], None
        if "positions" in state:
            x = x + state["positions"][: len(words)]
        else:
            angles = _angles_definition(len(words), encoder._head_size, encoder.coordinates)
        front = len(state.get("prompt", ()))
        x = np.concatenate([state["prompt"], x]) if front else x
        kept, text = np.concatenate([np.ones(front, bool), kept]), kept
        sees = np.array([[kept[j] and (j <= i or not encoder._causal) for j in range(len(x))] for i in range(len(x))])
        for block in encoder.blocks:
            x = block_definition(block, x, sees, angles)
        rows = normalised(x[front:], state["norm.gain"], state["norm.bias"])[text]
        chosen = {"mean": rows, "first": rows[:1], "last": rows[-1:]}[encoder._pooling]
        pooled.append(sum(chosen, 0 * x[0]) / max(len(chosen), 1))
    return np.stack(pooled)


def _angles_definition(length, size, coordinates):
    """(length, C, n/2): the angles of each place, by one coordinate or by two, of which the second is 0."""
    block = size // coordinates
    angles = np.zeros((length, coordinates, block // 2))
    for place in range(length):
        for k in range(block // 2):
            angles[place, 0, k] = place / 10000 ** (2 * k / block)
    return angles


class LanguageHead(Module):
    """Tokens (..., D) to scores over the words (..., V).

    ``tied``: by the word embeddings themselves (Press, Wolf 2016, arXiv 1608.05859), otherwise by a table of its own.
    ``inputs``: width of the tokens where, as in BERT, linear, GELU and layer norm lead from them to the words' width.
    ``rank``: the head is a product (D, rank) (rank, V), of tables of its own (Godey et al. 2024, arXiv 2404.07647).

    Args:
        words: the ``Embedding`` (V, D) of the encoder.
    """

    def __init__(self, words, rng, *, tied=True, inputs=None, rank=None, dtype=np.float32):
        count, width = words.weight.shape
        own = (count, width if rank is None else rank)
        self.weight = words.weight if tied and rank is None else Tensor(truncated_normal(rng, own, dtype), True)
        self.bias = Tensor(np.zeros(count, dtype), True)
        self.narrow = None if rank is None else Linear(width, rank, rng, bias=False, dtype=dtype)
        self.linear = None if inputs is None else Linear(inputs, width, rng, dtype=dtype)
        self.norm = None if inputs is None else LayerNorm(width, dtype=dtype)

    def forward(self, tokens):
        if self.linear is not None:
            tokens = self.norm(gelu(self.linear(tokens)))
        if self.narrow is not None:
            tokens = self.narrow(tokens)
        return linear(tokens, self.weight.T, self.bias)


def line_positions(count, width, dtype=np.float32):
    """(count, width): sines, then cosines, of the place times 10000^(-2k/width), k = 0 .. width/2 - 1."""
    if width % 2:
        raise ValueError(f"line_positions: width: got {width}, expected a multiple of 2")
    angles = np.arange(count)[:, None] * 10000.0 ** (-np.arange(width // 2) / (width / 2))
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(dtype)
