"""Implanting one object: what moves and what stays, where the terms act, and the weights of a prototype."""

import numpy as np
import pytest
from awakened import awake

from mini_repr.data import digits
from mini_repr.data.generated.scenes import CAPTIONS, scene
from mini_repr.methods.implanting import implanted, prototype_weights
from mini_repr.standins import scenes_clip, scenes_flow

ONE = scene(np.random.default_rng(3), digits().test, "one")
IMAGE, MASK, START = ONE.image[None], ONE.masks[0], np.full(16, 0.1, np.float32)
WORDS = ["seven", "two", "nine"]


@pytest.fixture(scope="module")
def denoiser():
    return awake(scenes_flow.make(0, width=16, depth=2, heads=2))


@pytest.fixture(scope="module")
def towers():
    return awake(scenes_clip.make(0, width=16, depth=2, heads=2, dimensions=8))


def tuned(denoiser, steps=3, **settings):
    rng = np.random.default_rng(0)
    return implanted(denoiser, IMAGE, MASK, START, "seven", rng, steps=steps, rank=2, batch=4, **settings)


def said(model, caption, slots=None):
    x = np.random.default_rng(5).standard_normal((1, 1, 16, 16)).astype(np.float32)
    return scenes_flow.velocity(model, x, 0.5, model.read(model.ids([caption]), slots)).data


def test_before_a_step_the_copy_says_what_the_denoiser_says_and_the_denoiser_stays(denoiser):
    before = {name: array.copy() for name, array in denoiser.state_dict().items()}
    copy, slots = tuned(denoiser, steps=0)
    np.testing.assert_array_equal(slots["s1"], START)
    np.testing.assert_array_equal(said(copy, "a seven"), said(denoiser, "a seven"))
    copy, slots = tuned(denoiser)
    assert (slots["s1"] != START).any() and (said(copy, "a seven") != said(denoiser, "a seven")).any()
    for name, array in denoiser.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    others = {n: a for n, a in copy.state_dict().items() if ".residual." not in n}
    for name, array in others.items():
        np.testing.assert_array_equal(array, before[name.replace(".layer.", ".")])


def test_the_class_term_holds_what_the_class_s_word_does(denoiser):
    def moved(class_weight):
        copy, _ = tuned(denoiser, steps=40, lr=2e-2, class_weight=class_weight)
        return float(np.abs(said(copy, "a seven") - said(denoiser, "a seven")).mean())

    assert moved(50.0) < 0.5 * moved(0.0)


def test_a_mask_of_everything_weighs_the_picture_twice(denoiser):
    whole = {"class_weight": 0.0, "steps": 1}

    def row(mask, object_weight):
        rng = np.random.default_rng(0)
        settings = {"rank": 2, "batch": 4, "object_weight": object_weight, **whole}
        return implanted(denoiser, IMAGE, mask, START, "seven", rng, **settings)[1]["s1"]

    everything = np.ones_like(MASK)
    np.testing.assert_allclose(row(everything, 1.0), row(everything, 0.0), rtol=1e-4)  # Adam's first step has no scale
    assert not np.allclose(row(MASK, 100.0), row(MASK, 0.0), rtol=1e-3, atol=1e-6)


def test_a_prototype_of_the_class_alone_is_its_word(towers):
    weights = prototype_weights(towers, IMAGE, MASK, "seven", WORDS, among="class", steps=5)
    np.testing.assert_allclose(weights, [1, 0, 0], atol=1e-3)


def test_a_prototype_is_nearer_to_what_it_should_mean(towers):
    def distance(weights):
        row = weights @ towers.words.weight.data[[CAPTIONS.words.index(w) for w in WORDS]]
        text = towers.texts(towers.ids(["a s1"]), {"s1": row}).data[0]
        known = [*towers.images(np.stack([IMAGE, IMAGE * MASK])).data, towers.texts(towers.ids(["a seven"])).data[0]]
        goal = sum(k / np.linalg.norm(k) for k in known)
        return 1 - text @ goal / np.linalg.norm(text) / np.linalg.norm(goal)

    start, found = (prototype_weights(towers, IMAGE, MASK, "seven", WORDS, steps=steps) for steps in (0, 100))
    assert start.tolist() == [1, 0, 0] and distance(found) < distance(start) - 0.01


def test_an_empty_mask_or_other_words_are_refused(towers):
    with pytest.raises(ValueError, match="prototype_weights: got an empty mask, expected some pixel"):
        prototype_weights(towers, IMAGE, np.zeros_like(MASK), "seven", WORDS)
    with pytest.raises(ValueError, match="got words from 'seven', expected some pixel, and words from 'two'"):
        prototype_weights(towers, IMAGE, MASK, "two", WORDS)
