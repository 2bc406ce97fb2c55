"""The language of topics: shares of words, order where it is chained, degrees of likeness."""

from itertools import pairwise

import numpy as np
import pytest

from mini_repr.data import TextSet, load
from mini_repr.data.generated.topics import (
    FOLLOWS,
    FUNCTION_WORDS,
    NOISE_WORDS,
    OWN_WORDS,
    SHARES,
    TOPICS,
    content_words,
    graded_pairs,
    similarity,
    successors,
    topic_sentences,
    vocabulary,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_words_are_481_and_each_topic_has_its_own():
    assert len(vocabulary()) == len(set(vocabulary())) == 481
    for topic in range(TOPICS):
        words = [vocabulary()[i] for i in content_words(topic)]
        assert all(word.startswith(f"t{topic}_") for word in words[:OWN_WORDS])
        assert all(word.startswith(f"c{topic // 4}_") for word in words[OWN_WORDS:]) and len(words) == 38


@pytest.mark.parametrize("chained", [False, True])
def test_shares_of_words(chained):
    drawn = topic_sentences(4000, rng(), chained=chained)
    assert drawn.ids.shape == (4000, 16) and drawn.ids.min() >= 1 and drawn.ids.max() <= 480
    content = (drawn.ids[:, :, None] == np.stack([content_words(t) for t in range(TOPICS)])[drawn.topics][:, None]).any(
        2
    )
    function, noise = drawn.ids <= FUNCTION_WORDS, drawn.ids > 480 - NOISE_WORDS
    for kind, share in ((function, SHARES[0]), (content, SHARES[1] + SHARES[2]), (noise, SHARES[3])):
        assert abs(kind.mean() - share) < 4 * np.sqrt(share * (1 - share) / drawn.ids.size)
    assert np.all(function.astype(int) + content + noise == 1), "no word of another topic"
    counts = np.bincount(drawn.ids[function], minlength=FUNCTION_WORDS + 1)[1:]
    assert counts[0] / counts[9] == pytest.approx(10, rel=0.15), "Zipf"
    assert np.bincount(drawn.topics, minlength=TOPICS).min() > 140


def test_chained_words_follow_their_topic():
    for chained, expected in ((False, 1 / 38), (True, FOLLOWS + (1 - FOLLOWS) / 38)):
        drawn, followed = topic_sentences(2000, rng(), chained=chained), []
        for row, topic in zip(drawn.ids, drawn.topics.tolist(), strict=True):
            words = [int(word) for word in row if int(word) in successors(topic)]
            followed += [after == successors(topic)[before] for before, after in pairwise(words)]
        assert abs(np.mean(followed) - expected) < 0.02
    assert successors(3) != successors(2) and sorted(successors(3)) == sorted(successors(3).values())


def test_likeness_has_three_degrees():
    topics = np.arange(TOPICS)
    grades = similarity(topics[:, None], topics)
    assert np.array_equal(np.bincount(grades.ravel()), [320, 60, 20])
    drawn = topic_sentences(300, rng())
    i, j, grade = graded_pairs(drawn.topics, 600, rng(1))
    assert np.array_equal(np.bincount(grade), [200, 200, 200]) and np.all(i != j)
    assert np.array_equal(similarity(drawn.topics[i], drawn.topics[j]), grade)
    with pytest.raises(ValueError, match="no two of 3 sentences have similarity 1"):
        graded_pairs(np.array([0, 0, 8]), 6, rng())


def test_as_pairs_of_texts():
    data = load("topics", count=200, length=10, chained=True)
    assert len(data.train) == 200 and len(data.test) == 50 and data.train.label_names[19] == "19"
    assert all(len(text.split()) == 5 for text in (*data.train.a, *data.test.b))
    assert set(" ".join(data.train.a).split()) <= set(vocabulary())
    with pytest.raises(ValueError, match="length is 1"):
        load("topics", length=1)
    with pytest.raises(ValueError, match="topics: kind 'x', expected halves, sentences or graded"):
        load("topics", kind="x")


def test_as_sentences_and_as_graded_pairs():
    data = load("topics", kind="sentences", count=200, length=10)
    assert isinstance(data.train, TextSet) and len(data.train) == 200 and len(data.test) == 50
    number = {word: k for k, word in enumerate(vocabulary())}
    own = [set(content_words(topic).tolist()) for topic in range(TOPICS)]
    ids = [[number[word] for word in text.split()] for text in data.train.texts]
    assert {len(row) for row in ids} == {10}
    likeliest = [max(range(TOPICS), key=lambda topic, row=row: sum(word in own[topic] for word in row)) for row in ids]
    assert np.mean(likeliest == data.train.labels) > 0.8
    graded = load("topics", kind="graded", count=300)
    assert graded.train.labels is None and graded.train.similarity.dtype == np.float32
    assert np.bincount(graded.train.similarity.astype(int)).tolist() == [100, 100, 100]
