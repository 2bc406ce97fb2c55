from collections import Counter

import numpy as np
import pytest

from mini_repr.data import digits
from mini_repr.data.generated.scenes import parse, scene
from mini_repr.data.noisy_captions import exchange_captions


def captions(count=400, seed=0):
    rng = np.random.default_rng(seed)
    return [scene(rng, digits().train).caption for _ in range(count)]


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.5, 1.0])
def test_a_share_says_something_else_and_the_rest_stays(noise):
    true = captions()
    given, wrong = exchange_captions(true, noise, np.random.default_rng(1))
    assert wrong.sum() == round(400 * noise)
    assert [one != other for one, other in zip(given, true, strict=True)] == list(wrong)
    assert Counter(given) == Counter(true)


def test_the_same_seed_exchanges_the_same():
    true = captions()
    (first, wrong), (again, same) = (exchange_captions(true, 0.4, np.random.default_rng(5)) for _ in range(2))
    assert first == again and list(wrong) == list(same)
    assert first != exchange_captions(true, 0.4, np.random.default_rng(6))[0]


def test_every_image_and_every_other_caption_has_its_turn():
    """Over many draws: the share of an image's draws that are wrong, and of the wrong ones each other text's share."""
    draws, true = 3000, ["a one", "a two", "a three", "a four", "a five", "a six"]
    wrongs, received = np.zeros(6), Counter()
    for seed in range(draws):
        given, wrong = exchange_captions(true, 0.5, np.random.default_rng(seed))
        wrongs += wrong
        received.update([given[0]] if wrong[0] else [])
    assert np.abs(wrongs / draws - 0.5).max() < 4 * np.sqrt(0.25 / draws)
    total, expected = received.total(), 1 / 5
    assert set(received) == set(true[1:])
    for count in received.values():
        assert abs(count / total - expected) < 4 * np.sqrt(expected * (1 - expected) / total)


def test_wrong_captions_of_scenes_are_no_nearer_than_others():
    """Digits that a wrong caption shares with its image are as many as two captions at random share."""
    true = captions(1500)
    given, wrong = exchange_captions(true, 1.0, np.random.default_rng(2))
    named = [{noun.word for noun in parse(text).nouns} for text in true]
    shared = [len(own & {noun.word for noun in parse(text).nouns}) for own, text in zip(named, given, strict=True)]
    order = np.random.default_rng(3).permutation(1500)
    at_random = [len(named[i] & named[j]) for i, j in enumerate(order) if true[i] != true[j]]
    error = np.sqrt(np.var(shared) / len(shared) + np.var(at_random) / len(at_random))
    assert wrong.all() and abs(np.mean(shared) - np.mean(at_random)) < 4 * error


def test_wrong_use_is_named():
    with pytest.raises(ValueError, match=r"noise: got 1.5, expected a share"):
        exchange_captions(["a one"], 1.5, np.random.default_rng(0))
    with pytest.raises(ValueError, match="3 of the 4 to exchange are equal, expected at most half"):
        exchange_captions(["a one"] * 3 + ["a two"], 1.0, np.random.default_rng(0))
