import numpy as np
import pytest

from mini_repr.metrics import topic_coherence, topic_diversity

# Words 0 and 1 stand together in half of the documents, 2 and 3 in the others; 4 stands everywhere, 5 nowhere.
COUNTS = np.array([[3, 1, 0, 0, 1, 0], [1, 1, 0, 0, 2, 0], [0, 0, 1, 1, 1, 0], [0, 0, 2, 5, 1, 0]])


def first(*words):
    """A topic whose first words are these."""
    row = np.zeros(6)
    row[list(words)] = np.arange(len(words), 0, -1)
    return row


@pytest.mark.parametrize(
    "words, expected",
    [((0, 1), 1.0), ((0, 2), -1.0), ((0, 4), 0.0), ((4, 4), 0.0), ((0, 5), -1.0), ((5, 4), -1.0)],
)
def test_words_that_stand_together_apart_and_independently(words, expected):
    topics = np.stack([first(*words)])
    if words == (4, 4):
        topics, counts = np.array([[2.0, 1.0]]), np.ones((3, 2))
        assert topic_coherence(topics, counts, top=2) == expected
    else:
        assert topic_coherence(topics, COUNTS, top=2) == pytest.approx(expected, abs=1e-12)


def test_coherence_is_the_mean_over_pairs_and_topics():
    both = topic_coherence(np.stack([first(0, 1), first(0, 2)]), COUNTS, top=2)
    assert both == pytest.approx(0.0, abs=1e-12)
    three = topic_coherence(np.stack([first(0, 1, 2)]), COUNTS, top=3)
    assert three == pytest.approx((1 - 1 - 1) / 3)


def test_diversity_counts_words_once():
    topics = np.stack([first(0, 1, 2), first(0, 1, 2)])
    assert topic_diversity(topics, top=3) == 0.5
    assert topic_diversity(np.stack([first(0, 1), first(2, 3)]), top=2) == 1.0


@pytest.mark.parametrize("metric", [topic_coherence, topic_diversity])
def test_more_words_than_there_are(metric):
    given = {"counts": COUNTS} if metric is topic_coherence else {}
    with pytest.raises(ValueError, match=f"{metric.name}: top: got 7, expected at most the 6 words of topics"):
        metric(topics=np.ones((2, 6)), top=7, **given)
