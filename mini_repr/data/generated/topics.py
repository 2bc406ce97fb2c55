"""A generated language of topics: sentences whose words tell what they are about, and in what order."""

import itertools
from functools import cache
from typing import NamedTuple

import numpy as np

from mini_repr.data.dataset import Dataset, PairSet, TextSet

FAMILIES, TOPICS_EACH = 5, 4
FUNCTION_WORDS, OWN_WORDS, FAMILY_WORDS, NOISE_WORDS = 20, 14, 24, 60
TOPICS = FAMILIES * TOPICS_EACH
# The shares of a sentence's places: function words, words of the topic, of its family, of none.
SHARES = (0.35, 0.20, 0.25, 0.20)
FOLLOWS = 0.75
LANGUAGE_SEED = 2024
KINDS = ("halves", "sentences", "graded")


class Sentences(NamedTuple):
    """ids (N, T) int64 words, 0 never among them; topics (N,) int64, of which four in a row are a family."""

    ids: np.ndarray
    topics: np.ndarray


@cache
def vocabulary():
    """The 481 words as text: mask, function words f0 ..., own words t0_0 ..., family words c0_0 ..., noise n0 ..."""
    own = [f"t{topic}_{k}" for topic in range(TOPICS) for k in range(OWN_WORDS)]
    shared = [f"c{family}_{k}" for family in range(FAMILIES) for k in range(FAMILY_WORDS)]
    function, noise = ([f"{kind}{k}" for k in range(n)] for kind, n in (("f", FUNCTION_WORDS), ("n", NOISE_WORDS)))
    return ("[mask]", *function, *own, *shared, *noise)


def content_words(topic):
    """The ids (38,) of the words of a topic: its own 14, then the 24 of its family."""
    own = 1 + FUNCTION_WORDS + topic * OWN_WORDS + np.arange(OWN_WORDS)
    first = 1 + FUNCTION_WORDS + TOPICS * OWN_WORDS
    return np.concatenate([own, first + topic // TOPICS_EACH * FAMILY_WORDS + np.arange(FAMILY_WORDS)])


@cache
def successors(topic):
    """{id: id}: the word that mostly follows a content word in this topic, one cycle through all of them."""
    order = np.random.default_rng([LANGUAGE_SEED, topic]).permutation(content_words(topic))
    return dict(zip(order.tolist(), np.roll(order, -1).tolist(), strict=True))


def topic_sentences(count, rng, length=16, chained=False):
    """Sentences of 481 words over 20 topics in 5 families.

    Each place holds a function word (a Zipf law) with probability 0.35, a word of the topic 0.20, of its family 0.25,
    of none 0.20. A stand-in for a corpus: a small transformer learns it in seconds, and two sentences are alike in
    degrees (``similarity``). Source: own. For the language rows 015, 043, 068, 083, 088, 094, 108, 115.

    Args:
        count, length: sentences, and words in each.
        chained: a content word follows the last one of its sentence by the topic's ``successors`` with probability
            0.75, so that order matters.
    """
    topics = rng.integers(TOPICS, size=count)
    zipf = 1 / np.arange(1, FUNCTION_WORDS + 1)
    kinds = rng.choice(4, size=(count, length), p=SHARES)
    own = rng.integers(OWN_WORDS, size=(count, length))
    family = OWN_WORDS + rng.integers(FAMILY_WORDS, size=(count, length))
    content = np.stack([content_words(topic) for topic in range(TOPICS)])[
        topics[:, None], np.where(kinds == 1, own, family)
    ]
    noise = len(vocabulary()) - NOISE_WORDS + rng.integers(NOISE_WORDS, size=(count, length))
    function = 1 + rng.choice(FUNCTION_WORDS, size=(count, length), p=zipf / zipf.sum())
    is_content = (kinds == 1) | (kinds == 2)
    if chained:
        _chain(content, is_content, rng.random((count, length)) < FOLLOWS, topics)
    return Sentences(np.where(is_content, content, np.where(kinds == 0, function, noise)), topics)


def _chain(content, is_content, follows, topics):
    """Replace content words by the successors of those before them, in place."""
    for words, places, moves, topic in zip(content, is_content, follows, topics.tolist(), strict=True):
        after, places = successors(topic), np.flatnonzero(places)
        for before, here in itertools.pairwise(places):
            if moves[here]:
                words[here] = after[int(words[before])]


def similarity(first, second):
    """How alike sentences of these topics are: 2 of one topic, 1 of one family, else 0."""
    same_family = first // TOPICS_EACH == second // TOPICS_EACH
    return (first == second).astype(np.int64) + same_family


def graded_pairs(topics, count, rng):
    """``count`` pairs of distinct sentences, a third of each similarity: (i, j, similarity), each (count,).

    Raises:
        ValueError: sentences among which a similarity does not occur.
    """
    grades = np.arange(count) % 3
    first, second = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    for grade in range(min(3, count)):
        i, j = np.nonzero(np.triu(similarity(topics[:, None], topics) == grade, k=1))
        if not len(i):
            raise ValueError(f"graded_pairs: no two of {len(topics)} sentences have similarity {grade}")
        chosen = rng.integers(len(i), size=np.count_nonzero(grades == grade))
        first[grades == grade], second[grades == grade] = i[chosen], j[chosen]
    return first, second, grades


def topic_texts(kind="halves", count=4000, seed=0, length=16, chained=False):
    """Texts of the language of topics.

    Args:
        kind: ``"halves"``, pairs of the first and the second half of a sentence, labelled by their topic;
            ``"sentences"``, whole sentences with these labels; ``"graded"``, pairs of sentences with their
            ``similarity``, a third each of one topic, of one family, and of two families.
        count: training texts or pairs; a quarter as many to test, of other sentences.
        seed, length, chained: as in ``topic_sentences``. ``mini-repr train --data topics --set data.chained=true``
    Raises:
        ValueError: another kind, or too few words or sentences for it.
    """
    if kind not in KINDS:
        raise ValueError(f"topics: kind {kind!r}, expected {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    names, parts = tuple(str(topic) for topic in range(TOPICS)), []
    for stream, number in enumerate((count, max(10, count // 4))):
        rng = np.random.default_rng([seed, stream])
        drawn = topic_sentences(number, rng, length, chained)
        if kind == "halves":
            halves = [texts_of(drawn.ids[:, side]) for side in _halves(length)]
            parts.append(PairSet("topics", *halves, drawn.topics, names))
        elif kind == "sentences":
            parts.append(TextSet("topics", texts_of(drawn.ids), drawn.topics, names))
        else:
            texts = texts_of(drawn.ids)
            first, second, grades = graded_pairs(drawn.topics, number, rng)
            sides = ([texts[i] for i in side] for side in (first, second))
            parts.append(PairSet("topics", *sides, similarity=grades.astype(np.float32)))
    return Dataset("topics", *parts)


def texts_of(ids):
    """Sentences (N, T) of word numbers as a list of texts."""
    words = np.array(vocabulary())
    return [" ".join(words[row]) for row in ids]


def _halves(length):
    if length < 2:
        raise ValueError(f"topics: length is {length}, expected at least 2 words")
    return slice(0, length // 2), slice(length // 2, length)
