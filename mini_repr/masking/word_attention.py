"""Soft masks of an image's patches: where the evidence for one word of its caption lies.

Of a pair of image and caption, a multimodal encoder's attention A (heads, T, P) from the T words to the P patches and
G = d score / d A, the gradient of its score that the two belong together. The map of word w is

    m_w = relu( mean_h A_hwp G_hwp ),    divided by its largest value where that is above 0

and the patches are attenuated by it, v_p <- (1 - m_wp) v_p: what told most of the word is hidden most, so that what
else the caption says must be found elsewhere. The map is a constant: no gradient reaches it.

Source: Park, Han 2023, arXiv 2304.00719; the map is Grad-CAM (Selvaraju et al. 2016, arXiv 1610.02391) on attention, as
ALBEF shows it (Li et al. 2021, arXiv 2107.07651, section 6.4). No official code of the former was found.
"""

import numpy as np

from mini_repr.backend import backend_of
from mini_repr.pages.declare import procedure
from mini_repr.pages.page import definition


@procedure(paper="114")
def word_maps(attention, gradient):
    """How much evidence each patch holds for each word: (B, T, P), from 0 to 1.

    Args:
        attention: (B, heads, T, P), weights of patches for words. gradient: the same shape, of a score with respect to
            them.
    Returns:
        maps whose largest value is 1, or 0 everywhere where no patch speaks for the score.
    """
    xp = backend_of(attention).xp
    evidence = xp.maximum((attention * gradient).mean(axis=1), 0)
    largest = evidence.max(axis=-1, keepdims=True)
    return evidence / xp.where(largest > 0, largest, 1)


@definition(word_maps)
def word_maps_definition(attention, gradient):
    batch, heads, words, patches = attention.shape
    maps = np.zeros((batch, words, patches))
    for b in range(batch):
        for w in range(words):
            row = [
                max(0.0, sum(float(attention[b, h, w, p] * gradient[b, h, w, p]) for h in range(heads)) / heads)
                for p in range(patches)
            ]
            maps[b, w] = [x / max(row) if max(row) else 0.0 for x in row]
    return maps


def drawn_word(mask, draw):
    """(B,): of each text one of its words, by uniform numbers ``draw`` (B,) in [0, 1); never padding.

    Args:
        mask: (B, T) host booleans, True at words; 0 of a text without any.
    """
    counts = mask.sum(axis=1)
    nth = np.minimum((draw * counts).astype(np.int64), np.maximum(counts - 1, 0))
    return (mask.cumsum(axis=1) > nth[:, None]).argmax(axis=1)
