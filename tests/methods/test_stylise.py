"""Stylising: what the terms do to a step, that an image does not see others, and what is refused."""

import numpy as np
import pytest
from awakened import awake

from mini_repr.methods.stylise import stylised
from mini_repr.standins import scenes_clip, scenes_flow

IMAGES = np.random.default_rng(0).random((2, 1, 16, 16), dtype=np.float32)
BEFORE, AFTER = ["a light two"] * 2, ["a dark two"] * 2


@pytest.fixture(scope="module")
def models():
    sizes = {"width": 16, "depth": 2, "heads": 2}
    return awake(scenes_flow.make(0, **sizes)), awake(scenes_clip.make(0, **sizes, dimensions=8))


def styled(models, images=IMAGES, **settings):
    return stylised(*models, images, BEFORE, AFTER, np.random.default_rng(3), **{"steps": 3, **settings})


def test_images_come_and_one_does_not_see_the_other(models):
    once = styled(models)
    assert once.shape == IMAGES.shape and once.min() >= 0 and once.max() <= 1
    np.testing.assert_array_equal(once, styled(models))
    other = styled(models, np.stack([IMAGES[0], 1 - IMAGES[1]]))
    np.testing.assert_allclose(other[0], once[0], rtol=1e-3, atol=1e-4)
    assert np.abs(other[1] - once[1]).max() > 0.01


def test_a_heavy_term_of_content_holds_pixels_where_they_were(models):
    def off(**settings):
        return float(np.abs(styled(models, **settings, size=3.0, start=0.3, steps=6) - IMAGES).mean())

    assert off(content="pixels", content_weight=100.0) < 0.8 * off(content="none")


def test_every_kind_of_content_is_another_image_and_without_weight_none_is(models):
    plain = styled(models, content="none")
    for content in ("patches", "pixels"):
        assert (styled(models, content=content) != plain).any()
        np.testing.assert_allclose(styled(models, content=content, content_weight=0.0), plain, atol=1e-5)


def test_steps_of_no_size_are_the_denoiser_s_own(models):
    np.testing.assert_array_equal(styled(models, size=0.0), styled(models, size=0.0, content="none"))


def test_another_content_is_refused(models):
    with pytest.raises(ValueError, match="stylised: content 'pixel'"):
        styled(models, content="pixel")
