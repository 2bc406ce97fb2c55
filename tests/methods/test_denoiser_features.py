"""Features of a denoiser: what noise does to them, and that no image sees another."""

import numpy as np
import pytest

from mini_repr.data import load
from mini_repr.methods.denoiser_features import denoiser_features
from mini_repr.metrics import linear_probe
from mini_repr.nn import Denoiser

IMAGES = load("digits").train.images[:9]


@pytest.fixture(scope="module")
def denoiser():
    made = Denoiser((1, 8, 8), np.random.default_rng(0), width=16, depth=3, heads=2, patch=4)
    rng = np.random.default_rng(1)
    for parameter in made.parameters():
        parameter.data += 0.2 * rng.standard_normal(parameter.shape).astype(np.float32)
    return made


def test_without_noise_they_are_the_encoders_rows_at_its_time(denoiser):
    rows = denoiser_features(denoiser, IMAGES, denoiser.feature_layer, denoiser.feature_time, noise="none")
    np.testing.assert_allclose(rows, denoiser(IMAGES).pooled.data, rtol=1e-5, atol=1e-6)
    exact = denoiser_features(denoiser, IMAGES, 2, 0.0), denoiser_features(denoiser, IMAGES, 2, 0.0, noise="none")
    np.testing.assert_array_equal(*exact)


def test_at_time_1_nothing_of_the_image_is_left(denoiser):
    other = np.random.default_rng(0).random(IMAGES.shape).astype(np.float32)
    np.testing.assert_array_equal(
        denoiser_features(denoiser, IMAGES, 3, 1.0), denoiser_features(denoiser, other, 3, 1.0)
    )
    labels = np.arange(9) % 3
    rows = denoiser_features(denoiser, np.repeat(IMAGES, 20, axis=0), 3, 1.0)
    accuracy = linear_probe(rows[::2], np.repeat(labels, 20)[::2], rows[1::2], np.repeat(labels, 20)[1::2])
    assert abs(accuracy - 1 / 3) < 3 * (2 / 9 / 90) ** 0.5


def test_a_row_depends_on_no_other_and_an_average_of_one_is_a_sample(denoiser):
    rows = denoiser_features(denoiser, IMAGES, 2, 0.4)
    np.testing.assert_allclose(denoiser_features(denoiser, IMAGES[:5], 2, 0.4), rows[:5], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(denoiser_features(denoiser, IMAGES, 2, 0.4, batch=4), rows, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(denoiser_features(denoiser, IMAGES, 2, 0.4, noise="average"), rows)
    assert (denoiser_features(denoiser, IMAGES, 2, 0.4, seed=1) != rows).any()
    many = [denoiser_features(denoiser, IMAGES, 2, 0.4, noise="average", draws=d) for d in (1, 2)]
    assert (many[0] != many[1]).any()


def test_looking_inside_leaves_what_it_says(denoiser):
    x, times = 2 * IMAGES - 1, np.full(9, 0.3)
    plain, looked = denoiser.denoise(x, times), denoiser.denoise(x, times, layers=(1, 2, 3))
    np.testing.assert_array_equal(plain.patches.data, looked.patches.data)
    assert len(looked.layers) == 3 and looked.layers[0].shape == (9, 4, 16)


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"layer": 4}, "layers: got .4,., expected numbers from 1 to 3"),
        ({"time": 1.5}, "got time 1.5"),
        ({"noise": "average", "draws": 0}, "0 draws"),
        ({"noise": "samples"}, "denoiser_features: noise 'samples'.*did you mean 'sample'"),
    ],
)
def test_wrong_arguments_are_named(denoiser, settings, words):
    with pytest.raises(ValueError, match=words):
        denoiser_features(denoiser, IMAGES, **{"layer": 1, "time": 0.1, **settings})
