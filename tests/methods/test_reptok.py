"""The token as a latent: what moves, where it starts, what the cosine holds, and the generator of latents."""

import numpy as np
import pytest

from mini_repr.data import digits
from mini_repr.methods.reptok import RepTok, fitted_reptok, latent_flow
from mini_repr.nn import ViT

IMAGES = digits().train.images[:40]
DENOISER = {"patch": 4, "width": 24, "depth": 1, "heads": 2}


@pytest.fixture(scope="module")
def encoder():
    return ViT((1, 8, 8), np.random.default_rng(0), patch=4, width=16, depth=2, heads=2).eval()


def fitted(encoder, tuned="token", steps=5, **settings):
    rng = np.random.default_rng(1)
    model = RepTok(encoder, rng, tuned=tuned, **DENOISER)
    return fitted_reptok(model, IMAGES, rng, steps=steps, batch=8, **settings)


def moved(model, encoder):
    before, after = encoder.state_dict(), model.encoder.state_dict()
    return {name for name in before if (before[name] != after[name]).any()}


def test_only_the_class_token_moves_or_all_or_nothing(encoder):
    assert moved(fitted(encoder), encoder) == {"class_token"}
    assert moved(fitted(encoder, "nothing"), encoder) == set()
    assert len(moved(fitted(encoder, "all"), encoder)) > 10
    model = RepTok(encoder, np.random.default_rng(0), **DENOISER)
    assert model.encoder.parameter_count() == 16 and model.before.parameter_count() == 0


def test_at_first_the_token_is_the_row_itself(encoder):
    model = RepTok(encoder, np.random.default_rng(0), **DENOISER)
    z = model.encoder(IMAGES[:3]).pooled.data
    front = model.front(z).data
    assert front.shape == (3, 1, 24)
    np.testing.assert_array_equal(front[:, 0, :16], z)
    assert not front[:, 0, 16:].any()


def test_what_is_told_changes_the_image_that_is_drawn(encoder):
    model = fitted(encoder, steps=30)
    z, noise = model.encoder(IMAGES[:4]).pooled.data, np.random.default_rng(2).standard_normal((4, 1, 8, 8))
    one, again = (model.rebuilt(z, noise.astype(np.float32), steps=4) for _ in range(2))
    np.testing.assert_array_equal(one, again)
    other = model.rebuilt(np.concatenate([z[:3], -z[3:]]), noise.astype(np.float32), steps=4)
    changed = np.abs(one - other).max(axis=(1, 2, 3))
    assert one.shape == (4, 1, 8, 8) and changed[3] > 1e-4 and changed[:3].max() < 1e-5


def test_the_cosine_holds_the_row_where_it_was(encoder):
    def away(weight):
        model = fitted(encoder, steps=40, lr=3e-2, cosine_weight=weight)
        z, target = (m(IMAGES).pooled.data for m in (model.encoder, model.before))
        return 1 - float(((z * target).sum(1) / np.linalg.norm(z, axis=1) / np.linalg.norm(target, axis=1)).mean())

    assert away(100.0) < 0.5 * away(0.0)


def test_drawn_latents_have_the_mean_and_size_of_those_that_were_shown():
    shown = 3 * np.random.default_rng(0).standard_normal((400, 2)).astype(np.float32) + np.array([5, 0], np.float32)
    draw = latent_flow(shown, np.random.default_rng(1), steps=300, lr=3e-3, hidden=64)
    found = draw(np.random.default_rng(2).standard_normal((500, 2)).astype(np.float32))
    np.testing.assert_allclose(found.mean(axis=0), shown.mean(axis=0), atol=0.8)
    np.testing.assert_allclose(found.std(axis=0), shown.std(axis=0), rtol=0.35)


@pytest.mark.parametrize(
    "settings, says",
    [
        ({"tuned": "some"}, "tuned='some', a ViT, expected token, all, nothing"),
        ({"width": 8}, "got 8, expected at lea"),
    ],
)
def test_what_cannot_be_is_refused(encoder, settings, says):
    with pytest.raises(ValueError, match=says):
        RepTok(encoder, np.random.default_rng(0), **{**DENOISER, **settings})


def test_an_encoder_without_a_class_token_is_refused():
    mean = ViT((1, 8, 8), np.random.default_rng(0), patch=4, width=16, depth=1, heads=2, pooling="mean")
    with pytest.raises(ValueError, match="and a ViT with a class token"):
        RepTok(mean, np.random.default_rng(0), **DENOISER)
