"""Noise that is moved by the scores of its attention maps, and held near the standard normal distribution."""

import numpy as np
import pytest
from device_double import DOUBLE

from mini_repr.methods.initial_noise import noise_scores, optimised_noise, standard_kl, unpruned
from mini_repr.standins import scenes_flow
from mini_repr.tokens.representatives import representatives

CAPTIONS = ["a three and a four", "a dark one left of a light nine"]
NOISE = np.random.default_rng(0).standard_normal((2, 1, 16, 16)).astype(np.float32)


@pytest.fixture(scope="module")
def denoiser():
    return made_denoiser()


def made_denoiser(patch=8):
    made = scenes_flow.make(0, patch=patch, width=16, depth=2, heads=2)
    rng = np.random.default_rng(1)
    for parameter in made.parameters():
        parameter.data += 0.1 * rng.standard_normal(parameter.shape).astype(np.float32)
        parameter.requires_grad = False
    return made.eval()


def test_the_scores_are_those_of_the_maps(denoiser):
    found = noise_scores(denoiser, NOISE, CAPTIONS)
    denoised = denoiser.denoise(NOISE, np.ones(2), text=denoiser.read(denoiser.ids(CAPTIONS)))
    cross = np.mean([m.data.mean(axis=1) for m in denoised.maps], axis=0, dtype=np.float64)
    own = np.mean([m.data.mean(axis=1) for m in denoised.own], axis=0, dtype=np.float64)
    for k, (nouns, words) in enumerate((((2, 5), 5), ((3, 8), 8))):
        shares = np.exp(100 * cross[k][:, 1 : words + 1])
        maps = (shares / shares.sum(axis=1, keepdims=True))[:, [place - 1 for place in nouns]]
        np.testing.assert_allclose(found.neglect[k], 1 - maps.max(axis=0).min(), rtol=1e-3)
        a, b = own[k][maps.argmax(axis=0)]
        np.testing.assert_allclose(found.conflict[k], np.minimum(a, b).sum() / (a + b).sum(), rtol=1e-4)


def test_both_scores_fall_and_the_noise_stays_such_as_is_drawn(denoiser):
    before = noise_scores(denoiser, NOISE, CAPTIONS)
    settings = {"steps": 15, "neglect": 0.0, "conflict": 0.0}
    kept = optimised_noise(denoiser, NOISE, CAPTIONS, **settings)
    free = optimised_noise(denoiser, NOISE, CAPTIONS, limit=None, **settings)
    after = noise_scores(denoiser, kept, CAPTIONS)
    assert kept.dtype == np.float32
    assert (np.add(*after) < np.add(*before)).all()
    far, near = (((z - NOISE) ** 2).mean(axis=(1, 2, 3)) for z in (free, kept))
    assert (near > 1e-5).all() and (near < 4 * 1e-3).all() and (far > 2 * near).all()


def test_one_image_does_not_see_the_other_and_steps_can_be_none(denoiser):
    settings = {"steps": 3, "neglect": 0.0}
    both = optimised_noise(denoiser, NOISE, CAPTIONS, **settings)
    alone = optimised_noise(denoiser, NOISE[1:], CAPTIONS[1:], **settings)
    np.testing.assert_allclose(alone, both[1:], atol=2e-3)
    np.testing.assert_array_equal(optimised_noise(denoiser, NOISE, CAPTIONS, steps=0), NOISE)


def test_an_image_whose_scores_are_good_enough_stays(denoiser):
    scores = noise_scores(denoiser, NOISE, CAPTIONS)
    good = int(scores.neglect.argmin())
    between = scores.neglect.mean()
    moved = optimised_noise(denoiser, NOISE, CAPTIONS, steps=1, neglect=between, conflict=1.0)
    np.testing.assert_array_equal(moved[good], NOISE[good])
    assert (moved[1 - good] != NOISE[1 - good]).any()


def test_on_a_device_the_noise_moves_as_on_the_host(denoiser):
    settings = {"steps": 2, "neglect": 0.0}
    moved = optimised_noise(made_denoiser().to(DOUBLE), DOUBLE.asarray(NOISE), CAPTIONS, **settings)
    here = optimised_noise(denoiser, NOISE, CAPTIONS, **settings)
    np.testing.assert_allclose(DOUBLE.to_numpy(moved), here, atol=1e-3)
    assert np.abs(here - NOISE).max() > 5e-3


def test_a_missing_caption_is_named(denoiser):
    with pytest.raises(ValueError, match="optimised_noise: captions: got 1 for 2 noises, expected one each"):
        optimised_noise(denoiser, NOISE, CAPTIONS[:1])


def test_the_divergence_and_its_gradients():
    rng = np.random.default_rng(2)
    mean, log_variance = rng.standard_normal((2, 3, 4))
    value, to_mean, to_log_variance = standard_kl(mean, log_variance)
    # Between one-dimensional normal distributions, by its integral over a fine grid.
    x = np.linspace(-30, 30, 200_001)
    deviation = np.exp(log_variance / 2)
    p = np.exp(-(((x - mean[..., None]) / deviation[..., None]) ** 2) / 2) / deviation[..., None] / np.sqrt(2 * np.pi)
    log_ratio = (x**2 - ((x - mean[..., None]) / deviation[..., None]) ** 2 - log_variance[..., None]) / 2
    np.testing.assert_allclose(value, (p * log_ratio).sum(axis=-1).mean() * (x[1] - x[0]), rtol=1e-6)
    for array, gradient in ((mean, to_mean), (log_variance, to_log_variance)):
        step = np.zeros_like(array)
        step[1, 2] = 1e-6
        pair = [(array + s, log_variance) if array is mean else (mean, array + s) for s in (step, -step)]
        slope = (standard_kl(*pair[0])[0] - standard_kl(*pair[1])[0]) / 2e-6
        np.testing.assert_allclose(gradient[1, 2], slope, rtol=1e-6)
    assert standard_kl(0 * mean, 0 * mean)[0] == 0


def test_a_token_that_is_left_out_looks_where_its_stand_in_does():
    weights = np.random.default_rng(0).dirichlet(np.ones(3), (2, 2, 3))
    keep = np.array([[0, 2, 4], [1, 2, 3]])
    source = np.array([[0, 0, 1, 2, 2], [0, 0, 1, 2, 2]])
    found = unpruned(weights, (keep, source))
    for k in range(2):
        for token in range(5):
            stand_in = weights[k, :, source[k, token]]
            expected = stand_in[:, [0, 0, 1, 2, 2]] / [2, 2, 1, 2, 2]
            np.testing.assert_allclose(found[k, :, token], expected)
    np.testing.assert_allclose(found.sum(axis=3), 1)


def test_leaving_nothing_out_changes_no_score_and_scores_fall_with_fewer(denoiser):
    def all_of(tokens):
        everyone = np.tile(np.arange(tokens.shape[1]), (len(tokens), 1))
        return everyone, everyone

    plain, same = (noise_scores(denoiser, NOISE, CAPTIONS, prune) for prune in (None, all_of))
    np.testing.assert_allclose(same, plain, rtol=1e-4)
    fine = made_denoiser(patch=4)
    prune = representatives(fine.grid, noise=0.0)
    before = noise_scores(fine, NOISE, CAPTIONS, prune)
    assert np.abs(np.subtract(before, noise_scores(fine, NOISE, CAPTIONS))).max() > 1e-4
    settings = {"steps": 15, "neglect": 0.0, "conflict": 0.0, "limit": None}
    moved = optimised_noise(fine, NOISE, CAPTIONS, prune=prune, **settings)
    after = noise_scores(fine, moved, CAPTIONS, prune)
    assert np.mean(np.add(*after)) < np.mean(np.add(*before)) - 0.01  # which tokens go may change on the way
    assert np.abs(moved - optimised_noise(fine, NOISE, CAPTIONS, **settings)).max() > 1e-4
    there = noise_scores(made_denoiser(patch=4).to(DOUBLE), DOUBLE.asarray(NOISE), CAPTIONS, prune)
    np.testing.assert_allclose(there, before, rtol=1e-3)
