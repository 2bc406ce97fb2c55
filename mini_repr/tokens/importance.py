"""Which words of a text a language model may skip: those that it predicts well wherever it sees them.

Source: Hou et al. 2022, arXiv 2203.13240 (token dropping), section 3.2. Compared with tensorflow/models,
official/projects/token_dropping/encoder.py and masked_lm.py (read): the same start, blocks and order; of a word that is
hidden several times in a batch one loss counts there, undefined which, here their mean.
"""

from mini_repr.backend import backend_of

START = 10.0  # the importance of a word that was never predicted


def moved_importance(importance, words, losses, beta):
    """Importance (V,) of all words after a step: beta I + (1 - beta) loss for each word that was predicted, new array.

    Args:
        importance: (V,). words: (M,) integers on its device, those that were predicted. losses: (M,), the loss of each;
            of a word that comes several times the mean counts.
        beta: from 0 to 1 (official code: 0.995).
    """
    backend = backend_of(importance)
    counts, sums = backend.xp.zeros_like(importance), backend.xp.zeros_like(importance)
    backend.scatter_add(counts, words, backend.xp.ones_like(losses))
    backend.scatter_add(sums, words, losses)
    mean = sums / backend.xp.maximum(counts, 1)
    return backend.xp.where(counts > 0, beta * importance + (1 - beta) * mean, importance)


def kept_places(importance, ids, mask, hidden, count):
    """Places (B, count) of the words to keep, in order: first the hidden ones, then the most important, last padding.

    Ties are broken by place. All arrays on one device: importance (V,), ids (B, T), mask and hidden (B, T) booleans.
    """
    xp = backend_of(importance).xp
    value = xp.where(mask, importance[ids], -xp.inf)
    value = xp.where(hidden, xp.inf, value)
    return xp.sort(xp.argsort(-value, axis=1, kind="stable")[:, :count], axis=1)
