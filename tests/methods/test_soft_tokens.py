"""Fitting soft tokens: errors are those of each pair, the contrast falls, and the denoiser stays."""

import numpy as np
import pytest

from mini_repr.data import digits
from mini_repr.data.generated.scenes import scene
from mini_repr.losses.towers.error_contrast import error_contrast
from mini_repr.methods.flow import middling_times
from mini_repr.methods.soft_tokens import denoising_errors, fitted_soft_tokens, retrieved
from mini_repr.nn import unpatchify
from mini_repr.nn.soft_tokens import SoftTokens
from mini_repr.standins import scenes_flow

SCENES = [scene(np.random.default_rng(k), digits().test, "relation") for k in range(4)]
IMAGES, CAPTIONS = np.stack([one.image for one in SCENES])[:, None], [one.caption for one in SCENES]
TIMES, NOISE = np.array([0.2, 0.4, 0.6, 0.8]), np.random.default_rng(5).standard_normal((4, 1, 16, 16)).astype("f4")


@pytest.fixture(scope="module")
def denoiser():
    made = scenes_flow.make(0, width=16, depth=2, heads=2)
    rng = np.random.default_rng(1)
    for parameter in made.parameters():
        parameter.data += 0.3 * rng.standard_normal(parameter.shape).astype(np.float32)
        parameter.requires_grad = False
    return made.eval()


def test_an_error_is_that_of_one_image_under_one_caption(denoiser):
    errors = denoising_errors(denoiser, IMAGES, CAPTIONS[:3], TIMES, NOISE).data
    assert errors.shape == (4, 3)
    for i, j in ((0, 0), (2, 1), (3, 2)):
        t, x = TIMES[i], 2 * IMAGES[i : i + 1] - 1
        noised = ((1 - t) * x + t * NOISE[i : i + 1]).astype(np.float32)
        text = denoiser.read(denoiser.ids([CAPTIONS[j]]))
        said = unpatchify(denoiser.denoise(noised, TIMES[i : i + 1], text=text).patches.data, 8, (1, 16, 16))
        np.testing.assert_allclose(errors[i, j], ((said - (NOISE[i] - x)) ** 2).mean(), rtol=1e-4)


class Same:
    """Draws that are the same in every step, so that what a step gains is not lost in the noise of the next."""

    def standard_normal(self, shape, dtype=np.float64):
        return np.random.default_rng(3).standard_normal(shape, dtype=dtype)


@pytest.mark.parametrize("settings", [{"form": "negative", "temperature": 0.05}, {"temperature": 1.0}])
def test_the_contrast_of_a_batch_falls_and_nothing_else_moves(denoiser, settings):
    before = {name: array.copy() for name, array in denoiser.state_dict().items()}

    def contrast(steps):
        soft = SoftTokens(denoiser, np.random.default_rng(0), blocks=2)
        fitted_soft_tokens(soft, denoiser, lambda _: (IMAGES, CAPTIONS), Same(), steps=steps, lr=1e-2, **settings)
        times = np.full(4, middling_times(Same(), 1)[0])
        noise = np.broadcast_to(Same().standard_normal(IMAGES.shape[1:], np.float32), IMAGES.shape)
        errors = denoising_errors(denoiser, IMAGES, CAPTIONS, times, noise, soft)
        return float(error_contrast(errors, **settings).data)

    assert contrast(60) < contrast(0)
    for name, array in denoiser.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_without_contrast_only_own_errors_count(denoiser, monkeypatch):
    asked = []
    monkeypatch.setattr("mini_repr.methods.soft_tokens.error_contrast", lambda *a, **s: asked.append(1))
    soft = SoftTokens(denoiser, np.random.default_rng(0))
    start = soft.rows[0].data.copy()
    pairs = lambda rng: (IMAGES, CAPTIONS)  # noqa: E731
    fitted_soft_tokens(soft, denoiser, pairs, np.random.default_rng(1), steps=2, contrast=False)
    assert not asked and (soft.rows[0].data != start).any()


def test_the_caption_with_the_least_error_is_retrieved(denoiser, monkeypatch):
    errors = [np.array([[1.0, 2.0], [3.0, 1.0]]), np.array([[5.0, 1.0], [0.0, 1.0]])]

    class Errors:
        def __init__(self, data):
            self.data = data

    found = iter(map(Errors, errors))
    monkeypatch.setattr("mini_repr.methods.soft_tokens.denoising_errors", lambda *a: next(found))
    assert retrieved(denoiser, IMAGES[:2], CAPTIONS[:2], np.random.default_rng(0), draws=2).tolist() == [1, 1]
