"""Rows that a method gives a frozen transformer to read: in place of words, or between its tokens."""

from mini_repr.autograd import broadcast_to, concatenate, where
from mini_repr.backend import backend_of


def with_slots(rows, ids, words, slots):
    """The rows (B, T, D) of the words ``ids`` (B, T), on the host, those of some words replaced.

    Args:
        words: the vocabulary's words, in order. slots: {word: row (D,), or (B, 1, D) for one a text; tensor or array},
            or None. Gradients reach them.
    """
    for word, row in (slots or {}).items():
        there = ids == words.index(word)
        rows = where(backend_of(rows.data).asarray(there[:, :, None]), row, rows)
    return rows


def through_blocks(blocks, x, prompts=None, *, fresh=1.0, causal=False):
    """Tokens (B, N, D) through transformer blocks, with the rows of a prompt behind the first token.

    At the first block that has a prompt its rows are inserted, so that the tokens become (B, N + n, D). At each later
    one they take the place of what the block before made of the last ones, or a share of it: fresh * rows +
    (1 - fresh) * what stands there.

    Args:
        prompts: {number of a block, from 1: rows (n, D)}, of one n, or None. causal: whether a token sees only itself
            and those before it.
    """
    count = 0
    for number, block in enumerate(blocks, 1):
        if prompts and number in prompts:
            rows, batch = prompts[number], len(x)
            new = broadcast_to(rows, (batch, *rows.shape))
            if count and fresh < 1.0:
                new = new * fresh + x[:, 1 : 1 + count] * (1.0 - fresh)
            x = concatenate(x[:, :1], new, x[:, 1 + count :], axis=1)
            count = len(rows)
        mask = backend_of(x.data).xp.tri(x.shape[1], dtype=bool) if causal else None
        x, _ = block(x, mask)
    return x
