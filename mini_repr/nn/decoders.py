"""Decoders of masked images: from the encoded visible patches to what is predicted of the others."""

import math

import numpy as np

from mini_repr.autograd import Tensor, attention, attention_branch, broadcast_to, mlp_branch, softmax
from mini_repr.backend import backend_of
from mini_repr.nn.gaps import interleaved
from mini_repr.nn.init import truncated_normal
from mini_repr.nn.layers import LayerNorm, Linear, at_least_one
from mini_repr.nn.module import Module
from mini_repr.nn.transformer import Block, three_square
from mini_repr.nn.vit import sine_positions


class Decoder(Module):
    """MAE's light decoder: visible tokens, mask tokens in the gaps, fixed positions, a few blocks, pixels.

    He et al. 2021, arXiv 2111.06377, section 3 and appendix A.1.
    """

    def __init__(self, encoder, width, depth, heads, pixels, rng):
        super().__init__()
        self.embed = Linear(encoder.width, width, rng)
        self.mask_token = Tensor(truncated_normal(rng, (width,), np.float32), requires_grad=True)
        self.register_buffer("positions", sine_positions(encoder.grid, width))
        self.blocks = [Block(width, heads, 4.0, rng) for _ in range(depth)]
        self.norm = LayerNorm(width)
        self.pixels = Linear(width, pixels, rng)

    def forward(self, tokens, mask):
        """(B, V, D) tokens of the patches that the host mask (B, P) leaves, in order, to (B, P, pixels)."""
        batch, shown, _ = tokens.shape
        x = self.embed(tokens)
        gaps = broadcast_to(self.mask_token, (batch, mask.shape[1] - shown, x.shape[-1]))
        x = interleaved(x, gaps, mask) + self.positions
        for block in self.blocks:
            x, _ = block(x)
        return self.pixels(self.norm(x))


class CrossDecoder(Module):
    """Predict asked patches from visible ones: the asked are queries, the visible are keys and values.

    A query starts as the mask token plus its position. Wei et al. 2024, arXiv 2407.15837 (Latent MIM): the queries also
    see each other, and start with the mean of the visible patches, those near in position weighing most, sum_i
    softmax_i(e_j·e_i / √D) x_i. Darcet et al. 2025, arXiv 2502.08769 (CAPI): neither.

    Args:
        among_queries: whether each block lets the queries see each other before they look at the visible patches.
        near: whether the queries start with the weighted mean of the visible patches.
    """

    def __init__(self, encoder, width, depth, heads, outputs, rng, *, among_queries=True, near=True):
        super().__init__()
        self.embed = Linear(encoder.width, width, rng)
        self.mask_token = Tensor(truncated_normal(rng, (width,), np.float32), requires_grad=True)
        self.register_buffer("positions", sine_positions(encoder.grid, width))
        self.blocks = [CrossBlock(width, heads, 4.0, rng, among_queries=among_queries) for _ in range(depth)]
        self.norm = LayerNorm(width)
        self.outputs = Linear(width, outputs, rng)
        self._near = near

    def forward(self, tokens, visible, asked):
        """Predictions of the asked patches.

        Args:
            tokens: (B, V, encoder width), encoded. visible, asked: integers (B, V) and (B, M) on the host or the
                tokens' device, the numbers of these patches and of those to predict.
        Returns:
            (B, M, outputs).
        """
        memory = self.embed(tokens)
        asarray = backend_of(tokens.data).asarray
        seen, wanted = self.positions[asarray(visible)], self.positions[asarray(asked)]  # (B, V, D), (B, M, D)
        queries = self.mask_token + wanted
        if self._near:
            closeness = wanted @ seen.swapaxes(-1, -2) / math.sqrt(wanted.shape[-1])
            queries = queries + softmax.on_arrays(closeness)[0] @ memory
        memory = memory + seen
        for block in self.blocks:
            queries = block(queries, memory)
        return self.outputs(self.norm(queries))


class CrossBlock(Module):
    """Pre-norm block of queries x and a memory: attention among x (optional), from x to the memory, and an MLP.

    Vaswani et al. 2017, arXiv 1706.03762, section 3.1 (the decoder layer), each branch behind a norm as in ``Block``.
    """

    def __init__(self, width, heads, mlp_ratio, rng, *, among_queries=True, dtype=np.float32):
        hidden = at_least_one("mlp_ratio * width", int(width * mlp_ratio))
        if width % at_least_one("heads", heads):
            raise ValueError(f"CrossBlock: heads: got {heads}, expected a divisor of width {width}")
        self.heads = heads
        self.among = SelfAttention(width, heads, rng, dtype=dtype) if among_queries else None
        self.norm_query, self.norm_memory = LayerNorm(width, dtype=dtype), LayerNorm(width, dtype=dtype)
        self.query, self.key, self.value, self.out = (Linear(width, width, rng, dtype=dtype) for _ in range(4))
        self.norm = LayerNorm(width, dtype=dtype)
        self.expand, self.contract = Linear(width, hidden, rng, dtype=dtype), Linear(hidden, width, rng, dtype=dtype)

    def forward(self, x, memory):
        """Queries (B, M, D) after the block, with the memory (B, V, D)."""
        if self.among is not None:
            x = self.among(x)
        rows = self.norm_memory(memory)
        mixed, _ = attention(self.query(self.norm_query(x)), self.key(rows), self.value(rows), heads=self.heads)
        x = x + self.out(mixed)
        parts = (self.norm.gain, self.norm.bias, *_of(self.expand), *_of(self.contract))
        return mlp_branch(x, *parts, eps=self.norm.eps, residual=True)


class SelfAttention(Module):
    """x + attention(norm(x)): the first branch of a ``Block`` alone."""

    def __init__(self, width, heads, rng, *, dtype=np.float32):
        self.heads = heads
        self.norm = LayerNorm(width, dtype=dtype)
        self.qkv = Linear(width, 3 * width, rng, init=three_square, dtype=dtype)
        self.out = Linear(width, width, rng, dtype=dtype)

    def forward(self, x):
        parts = (self.norm.gain, self.norm.bias, *_of(self.qkv), *_of(self.out))
        return attention_branch(x, *parts, heads=self.heads, eps=self.norm.eps, residual=True)[0]


def _of(linear):
    return linear.weight, linear.bias
