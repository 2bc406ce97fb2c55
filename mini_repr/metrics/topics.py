"""What the topics of a topic model are worth: do their words occur together, and do topics differ?"""

import math
from itertools import combinations

from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Amounts, Count, Rows
from mini_repr.pages.declare import metric
from mini_repr.pages.page import definition


@metric(paper="045", sizes={"V": 30})
def topic_coherence(topics: Rows("K V"), counts: Amounts("N V"), top: Count(least=2) = 10):
    """How often the first words of a topic occur in the same documents: their mean NPMI.

    For two words of which a share p_i and p_j of the documents hold one, and p_ij both,

        NPMI_ij = log(p_ij / (p_i p_j)) / -log p_ij

    averaged over all pairs of a topic's ``top`` words, and over topics. 1 where words occur only together, 0 where
    independently (also where all documents hold both), -1 where never together.

    Source: Bouma 2009 (NPMI); Lau, Newman, Baldwin 2014 (as a measure of topics). Shares of whole documents; toolkits
    often count windows of words instead, which gives other numbers.

    Args:
        topics: (K, V) how much each word belongs to each topic; ties go to the word of the smaller number.
        counts: (N, V) of the words in documents, such as those of the test part.
        top: words of a topic, at most V.
    """
    xp = backend_of(topics).xp
    words = _top_words("topic_coherence", topics, top)
    held = (counts > 0).astype(topics.dtype)
    together = xp.stack([held[:, chosen].T @ held[:, chosen] for chosen in words]) / len(held)  # (K, top, top)
    alone = xp.diagonal(together, axis1=1, axis2=2)
    rare, always = together == 0, together == 1
    p = xp.where(rare | always, 0.5, together)
    npmi = xp.log(p / xp.where(rare | always, 1, alone[:, :, None] * alone[:, None, :])) / -xp.log(p)
    npmi = xp.where(rare, -1, xp.where(always, 0, npmi))
    first, second = xp.triu_indices(top, 1)
    return float(npmi[:, first, second].mean())


@definition(topic_coherence)
def topic_coherence_definition(topics, counts, top):
    held, values = (counts > 0).tolist(), []
    for row in topics.tolist():
        for i, j in combinations(sorted(range(len(row)), key=lambda v, row=row: -row[v])[:top], 2):
            p_i, p_j, both = (
                sum(map(test, held)) / len(held)
                for test in (lambda d, i=i: d[i], lambda d, j=j: d[j], lambda d, i=i, j=j: d[i] and d[j])
            )
            values.append(-1 if both == 0 else 0 if both == 1 else math.log(both / (p_i * p_j)) / -math.log(both))
    return sum(values) / len(values)


@metric(paper="045", sizes={"V": 30})
def topic_diversity(topics: Rows("K V"), top: Count() = 25):
    """Share of different words among the first words of all topics.

    1 where no word comes twice, 1/K where all topics have the same.

    Source: Dieng, Ruiz, Blei 2020, arXiv 1907.04907 (the first 25 words).

    Args:
        topics, top: as in ``topic_coherence``.
    """
    words = _top_words("topic_diversity", topics, top)
    return len(backend_of(topics).xp.unique(words)) / words.size


@definition(topic_diversity)
def topic_diversity_definition(topics, top):
    rows = topics.tolist()
    chosen = [sorted(range(len(row)), key=lambda v, row=row: -row[v])[:top] for row in rows]
    return len({word for row in chosen for word in row}) / (len(rows) * top)


def _top_words(name, topics, top):
    """(K, top): the numbers of the words that belong most to each topic."""
    if top > topics.shape[1]:
        raise ValueError(f"{name}: top: got {top}, expected at most the {topics.shape[1]} words of topics")
    return (-topics).argsort(axis=1, kind="stable")[:, :top]
