"""Which tokens of an image a model that answers a question goes on with, block after block.

A hook of ``nn.VisionDecoder``: tokens stay in order and keep their positions; those that are dropped never come back.
"""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.backend import backend_of
from mini_repr.pages.declare import part


@part("procedure", "pyramid_keep", paper="116")
def pyramid_keep(decoder, counts, rng=None):
    """A hook that keeps, after some blocks, the image tokens at which the question's end would look most in the next.

    The score of a token is the next block's own attention, its norm, queries and keys applied to what is there now,
    softmax over all that the question's last word sees, mean over heads. Text is never dropped. No gradient passes the
    ranking; the tokens that stay pass theirs.

    Source: Xing et al. 2024, arXiv 2410.17247 (PyramidDrop); official code: Cooperx521/PyramidDrop,
    llava/model/modeling_llama_pdrop.py (pdrop_rank_drop, read). It numbers the positions of a shortened sequence anew.
    FastV, with one drop, ranks by the attention of the block before.

    Args:
        decoder: ``nn.VisionDecoder``. counts: {number of a block: how many image tokens go on after it}. rng: host
            generator of random scores in place of attention.
    Raises:
        ValueError: a count below 1, or one that grows.
    """
    falling = [counts[number] for number in sorted(counts)]
    if min(falling, default=1) < 1 or falling != sorted(falling, reverse=True):
        raise ValueError(f"pyramid_keep: counts: got {counts}, expected numbers from 1 that do not grow")

    def keep(number, tokens, weights, count, last):
        if counts.get(number, count) >= count:
            return None
        if rng is None:
            scores = next_attention(decoder.blocks[number], tokens, last)[:, :count]
        else:
            scores = backend_of(tokens.data).asarray(rng.random((len(tokens), count)))
        return best(scores, counts[number])

    return keep


def pyramid_counts(depth, tokens, *, stages=4, ratio=0.5):
    """{number of a block: tokens after it}: floor(n ratio^s) at the end of stage s of ``stages`` equal ones.

    Every ratio is of the tokens that there were at first, and is rounded down by itself, as in the official code.
    """
    return {round(depth * s / stages): max(1, int(tokens * ratio**s)) for s in range(1, stages)}


def next_attention(block, tokens, last):
    """(B, N) array: how much each token's place would be looked at from the place ``last`` (B,) in a block, over heads.

    What stands behind that place is not seen.
    """
    backend = backend_of(tokens.data)
    xp, (batch, count, width), heads = backend.xp, tokens.shape, block._heads
    with no_grad():
        query, key, _ = (rows.data.reshape(batch, count, heads, -1) for rows in block.project(tokens))
    at = backend.asarray(last)
    query = query[xp.arange(batch), at]
    logits = (query[:, None] * key).sum(axis=3) / np.sqrt(width / heads)  # (B, N, heads)
    logits = xp.where(xp.arange(count)[None, :, None] <= at[:, None, None], logits, -xp.inf)
    weights = xp.exp(logits - logits.max(axis=1, keepdims=True))
    return (weights / weights.sum(axis=1, keepdims=True)).mean(axis=2)


def best(scores, count):
    """(B, count) places of the largest scores (B, N), in order; ties go to the first."""
    xp = backend_of(scores).xp
    return xp.sort(xp.argsort(-scores, axis=1, kind="stable")[:, :count], axis=1)


def tokens_by_block(counts, depth, tokens):
    """[image tokens in block 1, 2, ...] of ``pyramid_keep``'s counts."""
    found = [tokens]
    for number in range(1, depth):
        found.append(min(counts.get(number, found[-1]), found[-1]))
    return found


def answering_cost(by_block, text, width, mlp_ratio=2.0):
    """Multiply-adds of all blocks for one question, from shapes: a block of n tokens has n D² (4 + 2 ratio) + 2 n² D.

    Args:
        by_block: image tokens in each block. text: tokens of the question.
    """
    return sum((n + text) * width**2 * (4 + 2 * mlp_ratio) + 2 * (n + text) ** 2 * width for n in by_block)
