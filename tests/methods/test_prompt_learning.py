"""Prompts before a class's name: their words, what is fitted, what stays, and what is refused."""

import numpy as np
import pytest

from mini_repr.data.generated.scenes import CAPTIONS
from mini_repr.losses.towers.prompt_distribution import prompt_distribution
from mini_repr.methods.prompt_learning import classified, learned_prompts, prompted_classes
from mini_repr.standins import scenes_clip

NAMES, RNG = ("two", "seven", "nine"), np.random.default_rng(0)
IMAGES, LABELS = RNG.random((6, 1, 16, 16), dtype=np.float32), np.array([0, 1, 2, 0, 1, 2])


@pytest.fixture(scope="module")
def towers():
    made = scenes_clip.make(0, width=16, depth=2, heads=2, dimensions=8)
    for parameter in made.parameters():
        parameter.requires_grad = False
    return made.eval()


def test_prompts_of_known_words_are_those_captions(towers):
    row = {word: towers.words.weight.data[CAPTIONS.words.index(word)] for word in ("a", "dark", "light")}
    prompts = np.stack([[row["a"], row["dark"]], [row["a"], row["light"]]])
    found = prompted_classes(towers, prompts, NAMES).data
    captions = [f"a {shade} {name}" for name in NAMES for shade in ("dark", "light")]
    expected = towers.texts(towers.ids(captions)).data.reshape(3, 2, -1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_fitting_lowers_its_loss_and_moves_nothing_else(towers):
    before = {name: array.copy() for name, array in towers.state_dict().items()}
    settings = {"prompts": 3, "length": 2, "batch": 6}

    def loss(steps):
        prompts = learned_prompts(towers, IMAGES, LABELS, NAMES, np.random.default_rng(1), steps=steps, **settings)
        assert prompts.shape == (3, 2, 16) and prompts.dtype == np.float32
        text = prompted_classes(towers, prompts, NAMES).data
        return float(prompt_distribution(towers.images(IMAGES).data, text, LABELS, scale=towers.scale).data)

    assert loss(60) < 0.7 * loss(0)
    for name, array in towers.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_one_seed_gives_one_set_of_prompts_and_an_arm_another(towers):
    def learned(**settings):
        rng = np.random.default_rng(2)
        return learned_prompts(towers, IMAGES, LABELS, NAMES, rng, prompts=2, length=2, steps=3, **settings)

    once = learned()
    np.testing.assert_array_equal(once, learned())
    assert (once != learned(bound=False)).any() and (once != learned(diversity=0.0)).any()


def test_the_class_is_that_of_the_nearest_mean(towers):
    prompts = np.random.default_rng(3).standard_normal((2, 1, 16)).astype(np.float32)
    text = prompted_classes(towers, prompts, NAMES).data
    mean = (text / np.linalg.norm(text, axis=2, keepdims=True)).mean(axis=1)
    expected = [int(np.argmax([row @ m for m in mean])) for row in towers.images(IMAGES).data]
    assert classified(towers, IMAGES, prompts, NAMES).tolist() == expected


@pytest.mark.parametrize("settings", [{"length": 9}, {"length": 0}, {"prompts": 0}])
def test_a_length_without_words_is_refused(towers, settings):
    with pytest.raises(ValueError, match=r"learned_prompts: got .* expected 1 or more of 1 to 8 words"):
        learned_prompts(towers, IMAGES, LABELS, NAMES, RNG, **settings)
