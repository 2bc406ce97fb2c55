"""Sample what you can't compress: one training of three parts, and what drawing does that a mean cannot."""

import numpy as np
import pytest

from mini_repr.data import load
from mini_repr.losses.reconstruction.flow_matching import flow_matching
from mini_repr.methods import Batch, build_method
from mini_repr.nn import patchify
from mini_repr.training import config

DATA = load("digits")
IMAGES = DATA.train.images[:6]
SMALL = {"name": "mlp", "width": 8, "hidden": 16, "depth": 1}


def swycc(**settings):
    method = {"name": "swycc", "views": "", "latents": 3, "hidden": 16}
    method |= {"decoder_width": 16, "decoder_depth": 1, "decoder_heads": 2, "decoder_patch": 4} | settings
    made = build_method(config.resolve({"method": method, "encoder": SMALL}), DATA, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    for parameter in made.parameters():
        parameter.data += 0.1 * rng.standard_normal(parameter.shape).astype(np.float32)
    return made


def test_a_step_is_both_errors_of_one_code():
    method = swycc(initial_weight=0.5)
    step = method.step(Batch((IMAGES,)), np.random.default_rng(3))
    images, noise, times = method.sample(IMAGES, np.random.default_rng(3))
    z, first = method.encoded(images)
    x, t = 2 * IMAGES - 1, times.astype(np.float32)[:, None, None, None]
    velocity = method._velocity((1 - t) * x + t * noise, times, z, first)
    refined = flow_matching(velocity, patchify(x, 4), patchify(noise, 4)).data
    off = ((first.data - x) ** 2).mean()
    np.testing.assert_allclose(step.total.data, refined + 0.5 * off, rtol=1e-5)
    np.testing.assert_allclose(step.total.terms["first image"], off, rtol=1e-5)
    assert step.embeddings.shape == (6, 3)


def test_the_refinement_alone_trains_the_encoder_and_the_first_image():
    method = swycc(initial_weight=0.0)
    method.step(Batch((IMAGES,)), np.random.default_rng(3)).total.backward()
    reached = {
        name.split(".")[0] for name, p in method.named_parameters().items() if p.grad is not None and p.grad.any()
    }
    assert {"encoder", "code", "decoder", "tell", "show", "denoiser"} <= reached


def test_apart_the_first_image_trains_what_comes_before_the_denoiser():
    apart, alone = swycc(joint=False), swycc(joint=False)
    apart.step(Batch((IMAGES,)), np.random.default_rng(3)).total.backward()
    _, first = alone.encoded(IMAGES)
    ((first - (2 * IMAGES - 1)) ** 2).mean().backward()
    trained = apart.named_parameters()
    for name, parameter in alone.named_parameters().items():
        if parameter.grad is not None:
            np.testing.assert_allclose(trained[name].grad, parameter.grad, rtol=1e-4, atol=1e-7)
    assert trained["denoiser.outputs.weight"].grad.any()


def test_one_noise_gives_one_image_and_another_noise_another():
    method = swycc()
    z, first = (x.data for x in method.encoded(IMAGES))
    noise, other = np.random.default_rng(0).standard_normal((2, *IMAGES.shape)).astype(np.float32)
    drawn = method.decode(z, first, noise, steps=3)
    np.testing.assert_array_equal(drawn, method.decode(z, first, noise, steps=3))
    assert np.abs(drawn - method.decode(z, first, other, steps=3)).max() > 0.01
    panels = method.rebuilt(IMAGES, np.random.default_rng(0))
    assert panels["first"].shape == panels["rebuilt"].shape == IMAGES.shape


def test_a_drawn_gaussian_has_the_spread_that_the_mean_has_lost():
    """x ~ N(0, S) of which z keeps the first two of four axes: a perfect decoder's samples have covariance S again.

    Given z the other two axes are normal, and the velocity of a normal variable is known: at t the noise and the value
    are both linear in x_t. The mean's covariance keeps the first two variances alone.
    """
    rng, variances, count, steps = np.random.default_rng(0), np.array([4.0, 2.0, 1.0, 0.25]), 20_000, 200
    x = rng.standard_normal((count, 4)) * np.sqrt(variances)
    mean = x * [1, 1, 0, 0]  # E[x | z]
    rest = np.array([0, 0, *variances[2:]])  # Var[x | z]

    def velocity(x_t, t):
        spread = (1 - t) ** 2 * rest + t**2
        off = x_t - (1 - t) * mean
        return t / spread * off - mean - (1 - t) * rest / spread * off  # E[n | x_t] - E[x | x_t]

    drawn = rng.standard_normal((count, 4))
    for k in range(steps):
        drawn = drawn - velocity(drawn, 1 - k / steps) / steps
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(x.T), atol=0.05 * variances.max())
    np.testing.assert_allclose(drawn.var(axis=0), variances, rtol=0.05)
    np.testing.assert_allclose(
        ((drawn - x) ** 2).sum(axis=1).mean(), 2 * ((mean - x) ** 2).sum(axis=1).mean(), rtol=0.05
    )


def test_goals_other_than_the_velocity_are_refused():
    with pytest.raises(ValueError, match=r"method swycc: .* expected --set loss\.predicts=velocity"):
        chosen = {"method": {"name": "swycc", "views": ""}, "encoder": SMALL, "loss": {"predicts": "noise"}}
        build_method(config.resolve(chosen), DATA, np.random.default_rng(0))
