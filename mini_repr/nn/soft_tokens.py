"""Learned rows beside a caption's in what the first blocks of a frozen denoiser read.

Source: Lee, Cha, Kim, Ye 2025, arXiv 2503.08250 (SoftREPA). Compared with the official code, softrepa/SoftREPA,
transformer.py (read): four rows in each of the first five of SD3's blocks, and for each hundredth of the time a row
that is added to all of a block's.
"""

import numpy as np

from mini_repr.autograd import Tensor, broadcast_to, concatenate
from mini_repr.backend import backend_of
from mini_repr.nn.layers import Embedding
from mini_repr.nn.module import Module


class SoftTokens(Module):
    """Rows (blocks, tokens, width) that stand in front of a caption's, other ones in each of the first blocks.

    Each of ``buckets`` equal spans of the time adds a row of its own to all of a block's. What a block makes of them
    goes nowhere: each reads its own.

    Args:
        denoiser: ``CaptionDenoiser``. rng: host generator.
    """

    def __init__(self, denoiser, rng, *, tokens=2, blocks=2, buckets=10):
        if tokens < 1 or buckets < 1 or not 1 <= blocks <= denoiser.depth:
            raise ValueError(
                f"SoftTokens: got {tokens} tokens, {blocks} blocks, {buckets} buckets, expected 1 or more of each, at "
                f"most {denoiser.depth} blocks"
            )
        width, dtype = denoiser.width, denoiser.words.weight.dtype
        self.depth, self.buckets = denoiser.depth, buckets
        self.rows = [
            Tensor((0.02 * rng.standard_normal((tokens, width))).astype(dtype), requires_grad=True)
            for _ in range(blocks)
        ]
        self.spans = [Embedding(buckets, width, rng, init=small, dtype=dtype) for _ in range(blocks)]

    def beside(self, text, times):
        """What each block reads, as ``denoise(text=...)`` takes it.

        Args:
            text: (rows (B, T, D), mask (B, T)) that ``CaptionDenoiser.read`` gives. times: (B,) host numbers in [0, 1].
        """
        told, mask = text
        xp, batch = backend_of(mask).xp, len(mask)
        span = np.minimum((np.asarray(times) * self.buckets).astype(np.int64), self.buckets - 1)
        found = []
        for rows, spans in zip(self.rows, self.spans, strict=True):
            soft = broadcast_to(rows, (batch, *rows.shape)) + spans(span).reshape(batch, 1, -1)
            seen = xp.concatenate([xp.ones((batch, len(rows)), dtype=bool), mask], axis=1)
            found.append((concatenate(soft, told, axis=1), seen))
        return found + [text] * (self.depth - len(found))


def small(rng, shape, dtype=np.float32):
    """An ``init``: normal with deviation 0.02."""
    return (0.02 * rng.standard_normal(shape)).astype(dtype)
