"""Guidance by attention maps: what captions ask, which way a step goes, and what is left alone."""

import numpy as np
import pytest

from mini_repr.autograd import Tensor
from mini_repr.losses.maps.entity_missing import entity_missing
from mini_repr.losses.maps.map_overlap import map_overlap
from mini_repr.losses.maps.spatial_relation import spatial_relation
from mini_repr.methods.map_guidance import Layout, guided_by_maps, refined_noise
from mini_repr.standins import scenes_flow

RELATION, LIST = "a dark seven left of a light two", "a one and a nine"
X = np.random.default_rng(0).standard_normal((2, 1, 16, 16)).astype(np.float32)


@pytest.fixture(scope="module")
def denoiser():
    made = scenes_flow.make(0, width=16, depth=2, heads=2)
    rng = np.random.default_rng(1)
    for parameter in made.parameters():
        parameter.data += 0.3 * rng.standard_normal(parameter.shape).astype(np.float32)
        parameter.requires_grad = False
    return made.eval()


def maps(seed=0):
    found = np.random.default_rng(seed).random((2, 3, 2, 4, 17)) + 0.1  # blocks, images, heads, patches, words
    return [Tensor(m) for m in found]


def test_the_losses_are_those_of_what_the_captions_say():
    blocks = [Tensor(m.data[:2]) for m in maps()]
    mean = np.mean([m.data.mean(axis=1) for m in blocks], axis=0)  # (2, 4, 17)

    def word(image, place):
        return mean[image, :, place].reshape(1, 2, 2)

    total = float(Layout([RELATION, LIST]).loss(blocks, (2, 2)).data)
    dark, seven, light, two = 2, 3, 7, 8
    one, nine = 2, 5
    expected = spatial_relation(word(0, seven), word(0, two)).data
    expected = expected + map_overlap(word(1, one), word(1, nine)).data
    for attribute, noun in ((dark, seven), (light, two)):
        expected = expected + map_overlap(word(0, attribute), word(0, noun), goal="together").data
    for image, (first, second) in enumerate(((seven, two), (one, nine))):
        expected = expected + entity_missing(np.stack([word(image, first), word(image, second)], axis=1)).data
    np.testing.assert_allclose(total, expected, rtol=1e-10)


def test_a_step_lowers_the_loss_and_one_image_does_not_see_the_other(denoiser):
    captions = [RELATION, "a three above a four"]
    layout, text = Layout(captions), denoiser.read(denoiser.ids(captions))

    def loss(x):
        return float(layout.loss(denoiser.denoise(x, np.full(2, 0.8), text=text).maps, denoiser.grid).data)

    g = layout.gradient(denoiser, X, 0.8, text)
    np.testing.assert_allclose(np.sqrt((g * g).sum(axis=(1, 2, 3))), 1, rtol=1e-4)
    assert loss(X - 0.05 * g) < loss(X)
    other = np.stack([X[0], 2 * X[1]])
    np.testing.assert_allclose(layout.gradient(denoiser, other, 0.8, text)[0], g[0], rtol=1e-3, atol=1e-5)


def test_only_early_steps_are_guided_and_noise_is_refined_by_the_same_losses(denoiser):
    captions = ["a three above a four"] * 2
    hook = guided_by_maps(denoiser, captions, size=0.5)
    np.testing.assert_array_equal(hook(3, 0.5, X), X)
    moved = hook(0, 0.9, X)
    np.testing.assert_allclose(np.sqrt(((moved - X) ** 2).sum(axis=(1, 2, 3))), 0.5, rtol=1e-4)
    refined = refined_noise(denoiser, X, captions, steps=1, size=0.5)
    np.testing.assert_allclose(refined, guided_by_maps(denoiser, captions, size=0.5)(0, 1.0, X), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(refined_noise(denoiser, X, captions, steps=0), X)


def test_one_thing_without_an_attribute_asks_for_nothing(denoiser):
    np.testing.assert_array_equal(guided_by_maps(denoiser, ["a three"] * 2)(0, 1.0, X), X)
    assert (guided_by_maps(denoiser, ["a dark three"] * 2)(0, 1.0, X) != X).any()


def test_captions_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="captions name 1 and 2 things, expected as many in each"):
        Layout(["a three", LIST])
