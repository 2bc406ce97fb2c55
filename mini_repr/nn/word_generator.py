"""A small masked language model that shares the tables of a larger encoder: ELECTRA's generator."""

import numpy as np

from mini_repr.autograd import Tensor
from mini_repr.backend import backend_of
from mini_repr.nn.gaps import at_places
from mini_repr.nn.init import truncated_normal
from mini_repr.nn.layers import LayerNorm, Linear
from mini_repr.nn.module import Module
from mini_repr.nn.text_transformer import LanguageHead
from mini_repr.nn.transformer import Block


class WordGenerator(Module):
    """Scores over all words for hidden ones, by blocks of a smaller width on the encoder's words and positions.

    Clark et al. 2020, arXiv 2003.10555, section 3.2: a linear layer leads from the shared tables to the generator's
    width, a head back to them.

    Args:
        encoder: a ``TextTransformer``, whose tables are shared. width: of the blocks. heads: divisor of it.
    """

    def __init__(self, encoder, width, heads, rng, dtype=np.float32):
        if encoder.positions is None:
            raise ValueError(
                "WordGenerator: encoder: got one with rotary positions, expected a table of positions to share: "
                "encoder.positions=learned or sine"
            )
        self.encoder = encoder
        self.mask_token = Tensor(truncated_normal(rng, (encoder.width,), dtype), requires_grad=True)
        self.narrow = Linear(encoder.width, width, rng, dtype=dtype)
        self.blocks = [Block(width, heads, 2.0, rng, dtype=dtype) for _ in range(encoder.depth)]
        self.norm = LayerNorm(width, dtype=dtype)
        self.head = LanguageHead(encoder.words, rng, inputs=width, dtype=dtype)

    def forward(self, ids, mask, hidden, places):
        """Scores (B, M, V) of the words at ``places`` (B, M) of texts (B, T), whose ``hidden`` words it cannot see."""
        x = self.narrow(self.encoder.placed_words(ids, hidden, self.mask_token))
        allowed = backend_of(x.data).asarray(mask)[:, None, None, :]
        for block in self.blocks:
            x, _ = block(x, allowed)
        return self.head(at_places(self.norm(x), places))
