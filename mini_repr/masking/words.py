"""Random words of texts to hide, for masked language models.

Source: Devlin et al. 2018, arXiv 1810.04805, section 3.1 (15 % of the words).
"""

import numpy as np


def masked_words(rng, mask, ratio):
    """Choose a share of the words of every text, at random.

    Args:
        mask: host booleans (B, T), True at words. ratio: between 0 and 1.
    Returns:
        Host booleans (B, T): round(ratio n) of a text's n words, at least one and not all; none of a single word.
    """
    counts = mask.sum(axis=1)
    order = np.where(mask, rng.random(mask.shape), 1).argsort(axis=1).argsort(axis=1)  # padding comes last
    return order < hidden_words(counts, ratio)[:, None]


def hidden_words(counts, ratio):
    """How many words ``masked_words`` chooses, of texts with ``counts`` words each."""
    return np.clip(np.round(ratio * counts), np.minimum(1, counts - 1), counts - 1).clip(0).astype(np.int64)


def chosen_places(chosen, slots):
    """(places (B, slots), filled (B, slots)): the numbers of the True ones of host booleans (B, T), in order.

    Of a row with fewer than ``slots`` the rest is place 0 and not filled.
    """
    filled = np.arange(slots) < chosen.sum(axis=1)[:, None]
    places = np.zeros(filled.shape, dtype=np.int64)
    places[filled] = np.nonzero(chosen)[1]
    return places, filled
