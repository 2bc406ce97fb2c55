"""A decoder that puts hidden words back: from the encoded words that are seen to a row at every place."""

import numpy as np

from mini_repr.autograd import Tensor, broadcast_to
from mini_repr.backend import backend_of
from mini_repr.nn.gaps import interleaved
from mini_repr.nn.init import unit_normal
from mini_repr.nn.layers import LayerNorm
from mini_repr.nn.module import Module
from mini_repr.nn.text_transformer import line_positions
from mini_repr.nn.transformer import Block


class WordDecoder(Module):
    """The encoded words in their places, one learned ``[mask]`` row in the gaps, positions, blocks, a layer norm.

    The decoder of MAE-LM (Meng et al. 2023, arXiv 2302.02060, section 3). What joins the encoder's rows, which left a
    layer norm and have size 1, starts as large: sines for positions, half a standard normal for the ``[mask]`` row.

    Args:
        encoder: a ``TextTransformer``. depth: blocks, of the encoder's width. heads: divisor of it.
    """

    def __init__(self, encoder, depth, heads, rng, dtype=np.float32):
        self.mask_token = Tensor(unit_normal(rng, (encoder.width,), dtype) / 2, requires_grad=True)
        self.positions = Tensor(line_positions(encoder.max_tokens, encoder.width, dtype), requires_grad=True)
        self.blocks = [Block(encoder.width, heads, 4.0, rng, dtype=dtype) for _ in range(depth)]
        self.norm = LayerNorm(encoder.width, dtype=dtype)

    def forward(self, tokens, hidden, mask):
        """A row at every place.

        Args:
            tokens: (B, V, D), encoded, of the places that the host mask ``hidden`` (B, T) leaves, in order.
            mask: host booleans (B, T), True at words: nothing looks at the others.
        Returns:
            (B, T, D).
        """
        batch, length = hidden.shape
        gaps = broadcast_to(self.mask_token, (batch, length - tokens.shape[1], tokens.shape[2]))
        x = interleaved(tokens, gaps, hidden) + self.positions[:length]
        allowed = backend_of(tokens.data).asarray(mask)[:, None, None, :]
        for block in self.blocks:
            x, _ = block(x, allowed)
        return self.norm(x)
