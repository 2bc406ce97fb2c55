"""Masked mixer: a language model whose words mix by a learned triangular matrix in place of attention.

Definition. For the rows X (T, D) of a text's words, T up to ``max_tokens``, block by block, LN the layer norm:

    X <- X + tril(C) LN(X) + c,        X <- X + MLP(LN(X))

C (T, T) is a weight of the block, one for all D columns, c (T,) a number for each place: a convolution along the words
with as many channels as places. Its upper triangle never acts, so that no word sees a later one. There are no
positions (C knows them) and no norm at the end. A shorter text takes the leading part of C and c.

Gradient. dC = tril(sum over texts of G LN(X)ᵀ) for the gradient G of the mixed rows: 0 above the diagonal; LN(X)
receives tril(C)ᵀ G.

Source. Badger 2024, arXiv 2409.01482, section 2 (flat masked mixer). Its code (blbadger/maskedmixers) sets the upper
triangle of the stored weight to 0 before each pass, which computes the same. As there, word embeddings start with
variance 1 and C uniform in +-1/sqrt(T). Other there: GELU by its error function (here its tanh form), the start of the
MLP (here Glorot's) and of c (here 0). Its variants with heads, with two triangular maps and with wider kernels are not
built.
"""

import math

import numpy as np

from mini_repr.autograd import Tensor, matmul, mlp_branch
from mini_repr.backend import backend_of
from mini_repr.nn.encoded import Encoded
from mini_repr.nn.init import unit_normal
from mini_repr.nn.layers import Embedding, LayerNorm, Linear, at_least_one
from mini_repr.nn.mlp import normalised, tanh_gelu
from mini_repr.nn.module import Module
from mini_repr.nn.text import WordEncoder, check_words
from mini_repr.pages.arguments import Choice, Count, Positive
from mini_repr.pages.declare import part
from mini_repr.pages.page import definition


class MixerBlock(Module):
    """One block: tokens (B, T, D) to tokens, T up to ``places``; see the equations above.

    Args:
        mlp_ratio: hidden width of the MLP over D.
    """

    def __init__(self, places, width, mlp_ratio, rng, dtype=np.float32):
        hidden = at_least_one("mlp_ratio * width", int(width * mlp_ratio))
        self.norm1, self.norm2 = LayerNorm(width, dtype=dtype), LayerNorm(width, dtype=dtype)
        reach = 1 / math.sqrt(places)
        self.mix = Tensor(rng.uniform(-reach, reach, (places, places)).astype(dtype), True)
        self.place = Tensor(np.zeros((places, 1), dtype), True)
        self.expand = Linear(width, hidden, rng, dtype=dtype)
        self.contract = Linear(hidden, width, rng, dtype=dtype)

    def forward(self, x):
        length = x.shape[1]
        lower = backend_of(self.mix.data).xp.tri(length, dtype=self.mix.dtype)
        x = x + matmul(self.mix[:length, :length] * lower, self.norm1(x)) + self.place[:length]
        norm, expand, contract = self.norm2, self.expand, self.contract
        weights = (norm.gain, norm.bias, expand.weight, expand.bias, contract.weight, contract.bias)
        return mlp_branch(x, *weights, eps=norm.eps, residual=True)


@part("encoder", "masked_mixer", paper="050")
class MaskedMixer(WordEncoder):
    """Words through blocks that mix those before each word by a learned matrix.

    Words to ``Encoded``: pooled (B, width) and tokens (B, T, width). Padding comes after the words, which see nothing
    of it; where a text has no word, tokens hold numbers without meaning. A text without any word has the pooled row 0.

    Args:
        rng: host generator.
        buckets: hash values of words, rows of the embedding table. vocabulary: list of words that takes their place.
        max_tokens: words of a text that count, the size of C. width: D. depth: blocks. mlp_ratio: hidden width of a
            block's MLP over D.
        pooling: the row of the "last" word, which has seen all others, or of the "first", or the "mean".
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
        mlp_ratio: Positive = 4.0,
        pooling: Choice("mean", "first", "last") = "last",
    ):
        self.width, self.depth, self.max_tokens = width, depth, max_tokens
        self.vocabulary = None if vocabulary is None else tuple(vocabulary)
        count = buckets if vocabulary is None else len(self.vocabulary)
        self.words = Embedding(count, width, rng, init=unit_normal, dtype=dtype)
        self.blocks = [MixerBlock(max_tokens, width, mlp_ratio, rng, dtype) for _ in range(depth)]
        self._pooling = pooling

    def forward(self, ids, mask, layers=()):
        """Encode texts.

        Args:
            ids: (B, T) integers, T up to max_tokens. mask: (B, T) booleans, True at words.
            layers: numbers of blocks, from 1 to depth, whose output tokens to return.
        """
        check_words("MaskedMixer", ids, mask)
        if any(number not in range(1, self.depth + 1) for number in layers):
            raise ValueError(f"MaskedMixer: layers: got {tuple(layers)}, expected numbers from 1 to {self.depth}")
        after = self.states(self.words(ids))
        return Encoded(self.pool(after[-1], mask), after[-1], tuple(after[number - 1] for number in layers))

    def states(self, x):
        """Rows (B, T, D) of words to a list of those after each block.

        Raises:
            ValueError: T above max_tokens.
        """
        if x.shape[1] > self.max_tokens:
            raise ValueError(f"MaskedMixer: ids: got {x.shape[1]} tokens, expected at most {self.max_tokens}")
        after = []
        for block in self.blocks:
            x = block(x)
            after.append(x)
        return after

    def layer_tokens(self, ids, mask):
        """The words' rows after each block: a list of (B, T, D)."""
        return self.states(self.words(ids))


@definition(MaskedMixer)
def masked_mixer_definition(encoder, ids, mask):
    state, pooled = encoder.state_dict(), []
    for words, kept in zip(ids, mask, strict=True):
        x = state["words.weight"][words]
        for block in range(encoder.depth):
            own = {name.removeprefix(f"blocks.{block}."): array for name, array in state.items()}
            normal = normalised(x, own["norm1.gain"], own["norm1.bias"])
            x = np.stack(
                [
                    x[i] + sum(own["mix"][i, j] * normal[j] for j in range(i + 1)) + own["place"][i, 0]
                    for i in range(len(x))
                ]
            )
            hidden = normalised(x, own["norm2.gain"], own["norm2.bias"]) @ own["expand.weight"] + own["expand.bias"]
            x = x + tanh_gelu(hidden) @ own["contract.weight"] + own["contract.bias"]
        rows = x[kept]
        chosen = {"mean": rows, "first": rows[:1], "last": rows[-1:]}[encoder._pooling]
        pooled.append(sum(chosen, 0 * x[0]) / max(len(chosen), 1))
    return np.stack(pooled)
