"""Super-resolution against a model of opinions: what enters which term, what is learned, and made opinions."""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.data import digits
from mini_repr.data.generated.opinions import rated
from mini_repr.losses.scores.opinion_emd import opinion_emd
from mini_repr.methods.super_resolution import enlarged, expected_opinion, fitted_opinions, fitted_upscaler, shrunk
from mini_repr.nn import MLP

IMAGES = digits().train.images[:200]


def error(net):
    with no_grad():
        made = enlarged(net, shrunk(IMAGES)).data
    return float(((made - IMAGES.reshape(len(IMAGES), -1)) ** 2).mean())


def test_small_images_are_means_of_blocks_and_nearest_neighbours_keep_them():
    small = shrunk(IMAGES)
    assert small.shape == (200, 1, 2, 2)
    np.testing.assert_allclose(small[3, 0, 1, 0], IMAGES[3, 0, 4:, :4].mean(), rtol=1e-5)
    large = small.repeat(4, axis=2).repeat(4, axis=3)
    np.testing.assert_allclose(shrunk(large), small, rtol=1e-6)


def test_training_beats_nearest_neighbours_and_without_weight_the_models_say_nothing():
    nearest = shrunk(IMAGES).repeat(4, axis=2).repeat(4, axis=3)
    plain = fitted_upscaler(IMAGES, np.random.default_rng(0), steps=60)
    assert error(plain) < 0.8 * float(((nearest - IMAGES) ** 2).mean())
    model = MLP((64, 10), np.random.default_rng(1))
    for parameter in model.parameters():
        parameter.requires_grad = False
    for settings in ({"opinions": model, "opinion_weight": 0.0}, {"features": model, "feature_weight": 0.0}):
        same = fitted_upscaler(IMAGES, np.random.default_rng(0), steps=60, **settings)
        np.testing.assert_array_equal(same.linears[0].weight.data, plain.linears[0].weight.data)


def test_what_is_followed_is_raised():
    model = MLP((64, 10), np.random.default_rng(1))
    for parameter in model.parameters():
        parameter.requires_grad = False

    def opinion(weight):
        net = fitted_upscaler(IMAGES, np.random.default_rng(0), steps=80, opinions=model, opinion_weight=weight)
        with no_grad():
            return expected_opinion(model, enlarged(net, shrunk(IMAGES)).data)

    assert opinion(1.0) > opinion(0.0) + 0.1


def test_opinions_are_learned_and_better_images_are_rated_better():
    rng = np.random.default_rng(0)
    blended = np.full_like(IMAGES, IMAGES.mean())
    model = fitted_opinions(IMAGES, blended, rng, steps=150)
    seen, said = rated(IMAGES, np.random.default_rng(5), blended)
    fresh = MLP((64, 256, 128, 10), np.random.default_rng(0), activation="gelu")
    assert (
        opinion_emd(model(seen.reshape(200, -1)), said).data
        < 0.6 * opinion_emd(fresh(seen.reshape(200, -1)), said).data
    )
    noisy = np.clip(IMAGES + 0.5 * rng.standard_normal(IMAGES.shape), 0, 1).astype(np.float32)
    clean_rated, noisy_rated = (expected_opinion(model, x.reshape(200, -1)) for x in (IMAGES, noisy))
    assert clean_rated > noisy_rated + 1


def test_made_opinions_fall_with_what_is_lost():
    rng = np.random.default_rng(0)
    images = np.repeat(IMAGES, 10, axis=0)
    spoilt, histograms = rated(images, rng, np.zeros_like(images))
    np.testing.assert_allclose(histograms.sum(axis=1), 1, rtol=1e-5)
    assert spoilt.min() >= 0 and spoilt.max() <= 1 and spoilt.dtype == np.float32
    lost = ((spoilt - images) ** 2).mean(axis=(1, 2, 3))
    mean = histograms @ np.arange(1, 11)
    assert np.corrcoef(lost, mean)[0, 1] < -0.5 and 1 <= mean.min() < 2.5 and 8.5 < mean.max() <= 10
