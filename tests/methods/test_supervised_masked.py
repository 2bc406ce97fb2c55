"""Supervised masked image modelling: what its two losses share, and what they leave alone."""

import numpy as np
import pytest

from mini_repr.autograd import no_grad
from mini_repr.backend import CPU
from mini_repr.data import load
from mini_repr.methods import Batch, build_method
from mini_repr.nn import patchify
from mini_repr.tokens import nearest_code, patch_codebook
from mini_repr.training import config

DATA = load("digits")
IMAGES, LABELS = DATA.train.images[:12], DATA.train.labels[:12]
SMALL = {"encoder": {"name": "vit", "width": 16, "depth": 1, "heads": 2}}


def method_for(name="supervised_masked", **own):
    own = {"codes": 8, "decoder_width": 16, "decoder_heads": 2, **own} if name == "supervised_masked" else own
    chosen = {"loss": {"name": "cross_entropy"}, "method": {"name": name, "views": "", **own}, **SMALL}
    return build_method(config.resolve(chosen), DATA, np.random.default_rng(0))


def gradients(method, seed=0):
    step = method.step(Batch((IMAGES,), LABELS, np.arange(12)), np.random.default_rng(seed))
    step.total.backward()
    return step, {n: p.grad for n, p in method.named_parameters().items()}


def test_without_weight_it_is_the_classifier():
    step, found = gradients(method_for(weight=0.0))
    classified, expected = gradients(method_for("classifier"))
    assert step.total.data == classified.total.data
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
    assert all(g is None or not g.any() for name, g in found.items() if name.startswith("decoder"))


@pytest.mark.parametrize("predict", ["codes", "pixels"])
def test_both_losses_reach_the_encoder(predict):
    step, found = gradients(method_for(predict=predict))
    assert set(step.total.terms) == {"cross_entropy", "hidden patches"}
    assert step.total.data == pytest.approx(sum(step.total.terms.values()), rel=1e-6)
    alone = gradients(method_for(predict=predict, weight=0.0))[1]
    name = "encoder.embed.weight"
    assert np.abs(found[name] - alone[name]).max() > 1e-4 and found["decoder.pixels.weight"].any()


def test_classes_do_not_depend_on_the_mask_nor_what_is_filled_in_on_hidden_pixels():
    method = method_for()
    (_, mask), (_, other) = (method.sample(IMAGES, np.random.default_rng(seed)) for seed in (0, 1))
    assert (mask != other).any() and (mask.sum(axis=1) == round(0.6 * 16)).all()
    patches = patchify(IMAGES, 2)
    patches[mask] = 0.5
    hidden = patches.reshape(12, 4, 4, 2, 2).transpose(0, 1, 3, 2, 4).reshape(IMAGES.shape)
    with no_grad():
        scores, filled, _ = method.embed(IMAGES, mask)
        np.testing.assert_allclose(method.embed(IMAGES, other)[0].data, scores.data, atol=1e-6)
        np.testing.assert_allclose(method.embed(hidden, mask)[1].data, filled.data, atol=1e-6)


def test_a_code_is_the_nearest_centre():
    codebook = patch_codebook(DATA.train.images, 2, 16, np.random.default_rng(0))
    patches = patchify(IMAGES, 2)
    distances = ((patches[:, :, None] - codebook) ** 2).sum(axis=-1)
    np.testing.assert_array_equal(nearest_code(patches, codebook), distances.argmin(axis=-1))
    again = patch_codebook(DATA.train.images, 2, 16, np.random.default_rng(0))
    np.testing.assert_array_equal(codebook, again)
    error = distances.min(axis=-1).mean()
    assert error < 0.5 * ((patches - DATA.train.images.mean()) ** 2).sum(axis=-1).mean()
    with pytest.raises(ValueError, match="codes: got 8, expected at most the 1 distinct"):
        patch_codebook(np.zeros((3, 1, 8, 8), np.float32), 2, 8, np.random.default_rng(0))


def test_it_learns_and_refuses_what_it_cannot_train():
    method = method_for()
    assert method.load(DATA.train, CPU)[0].shape == DATA.train.images.shape
    with pytest.raises(ValueError, match="needs patches to hide"):
        chosen = {"loss": {"name": "cross_entropy"}, "method": {"name": "supervised_masked", "views": ""}}
        build_method(config.resolve(chosen | {"encoder": {"name": "mlp"}}), DATA, np.random.default_rng(0))
    with pytest.raises(ValueError, match="cannot train infonce"):
        config.resolve({"loss": {"name": "infonce"}, "method": {"name": "supervised_masked"}})
