"""A multimodal encoder: the words of a caption look at the patches of an image.

Source: Li et al. 2021, arXiv 2107.07651 (ALBEF), section 3.1: the later layers of its text encoder, each with cross
attention to the image. Here the words come from a text encoder that has done with attention among themselves.
"""

import math

import numpy as np

from mini_repr.autograd import Tensor, enable_grad, gelu, softmax
from mini_repr.backend import backend_of
from mini_repr.nn.layers import LayerNorm, Linear
from mini_repr.nn.module import Module
from mini_repr.nn.text import even_shares, weighted_words


class CrossEncoder(Module):
    """Words (B, T, D) that look at patches (B, P, D), to a score per pair for whether they belong together.

    A pre-norm block, x + attention(norm(x), norm(patches)), then x + mlp(norm(x)), and a linear map of the mean over a
    text's words to two scores, "apart" and "together".

    Args:
        width: D. heads: divisor of width. rng: host generator.
    """

    def __init__(self, width, heads, rng, dtype=np.float32):
        if width % heads:
            raise ValueError(f"CrossEncoder: heads: got {heads}, expected a divisor of width {width}")
        self._heads = heads
        self.norm_words, self.norm_patches, self.norm, self.last = (LayerNorm(width, dtype=dtype) for _ in range(4))
        self.query, self.key, self.value, self.out = (Linear(width, width, rng, dtype=dtype) for _ in range(4))
        self.expand, self.contract = (
            Linear(width, 2 * width, rng, dtype=dtype),
            Linear(2 * width, width, rng, dtype=dtype),
        )
        self.score = Linear(width, 2, rng, dtype=dtype)

    def forward(self, words, mask, patches, shift=0.0):
        """``(scores (B, 2), attention (B, heads, T, P))``, both tensors.

        Args:
            mask: (B, T) booleans, True at words; the others do not count. shift: added to the attention weights, a
                tensor of zeros whose gradient is that of the weights.
        """
        rows, context = self.norm_words(words), self.norm_patches(patches)
        q, k, v = (
            self._by_head(map_(x)) for map_, x in ((self.query, rows), (self.key, context), (self.value, context))
        )
        attention = softmax(q @ k.transpose(0, 1, 3, 2) / math.sqrt(q.shape[-1])) + shift
        x = words + self.out((attention @ v).transpose(0, 2, 1, 3).reshape(words.shape))
        x = self.last(x + self.contract(gelu(self.expand(self.norm(x)))))
        return self.score(weighted_words(even_shares(backend_of(x.data).asarray(mask)), x)), attention

    def attention_gradient(self, words, mask, patches):
        """The attention and the gradient of the score "together" with respect to it, arrays (B, heads, T, P).

        No gradient is left in the parameters, nor in words and patches, arrays.
        """
        backend = backend_of(words)
        shape = (len(words), self._heads, words.shape[1], patches.shape[1])
        shift = Tensor(backend.xp.zeros(shape, dtype=words.dtype), requires_grad=True)
        before = [(parameter, parameter.grad) for parameter in self.parameters()]
        self.zero_grad()
        with enable_grad():
            scores, attention = self(Tensor(words), mask, Tensor(patches), shift)
            scores[:, 1].sum().backward()
        for parameter, gradient in before:
            parameter.grad = gradient
        return attention.data, shift.grad

    def _by_head(self, x):
        """(B, heads, N, D / heads) of rows (B, N, D)."""
        batch, count, width = x.shape
        return x.reshape(batch, count, self._heads, width // self._heads).transpose(0, 2, 1, 3)
