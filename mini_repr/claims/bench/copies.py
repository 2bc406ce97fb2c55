"""Copies of texts that lost some of their words: pairs whose task lies between chance and saturation."""

from mini_repr.data import Dataset, load
from mini_repr.data.dataset import PairSet


def copies(texts, count, rng, lost=0.3):
    """``count`` copies of every text, one after another, each without about a share ``lost`` of its words."""
    words = [text.split() for text in texts for _ in range(count)]
    return [" ".join(w for w in some if rng.random() > lost) or some[0] for some in words]


def pairs_of_copies(train, test, rng, lost):
    """Dataset of two copies of each of ``train`` training and ``test`` test definitions (WordNet), all different."""
    glosses, parts = load("glosses", kind="word-definition"), []
    for part, count in ((glosses.train, train), (glosses.test, test)):
        both = copies(rng.choice(sorted(set(part.b)), count, replace=False), 2, rng, lost)
        parts.append(PairSet("copies", both[::2], both[1::2]))
    return Dataset("copies of definitions", *parts)
