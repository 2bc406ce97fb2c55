"""Latent MIM and CAPI: what each part sees, what is trained by which loss, and what is refused."""

import numpy as np
import pytest

from mini_repr.autograd import no_grad
from mini_repr.data import load
from mini_repr.masking import hidden_patches
from mini_repr.methods import Batch, build_method
from mini_repr.nn import patchify
from mini_repr.training import config

DATA = load("digits")
IMAGES = DATA.train.images[:12]
SMALL = {"encoder": {"name": "vit", "width": 16, "depth": 1, "heads": 2}}


def method_for(name, loss, **own):
    own = {"decoder_width": 16, "decoder_heads": 2, **own}
    chosen = {"loss": {"name": loss}, "method": {"name": name, "views": "", **own}, **SMALL}
    return build_method(config.resolve(chosen), DATA, np.random.default_rng(0))


def gradients(method):
    step = method.step(Batch((IMAGES,), None, np.arange(12)), np.random.default_rng(0))
    step.total.backward()
    return step, {n: p.grad for n, p in method.named_parameters().items() if p.requires_grad}


def without(images, mask):
    """The images with other pixels in the patches of a mask."""
    patches = patchify(images, 2)
    patches[mask] = 0.5
    return patches.reshape(12, 4, 4, 2, 2).transpose(0, 1, 3, 2, 4).reshape(images.shape)


@pytest.mark.parametrize("loss", ["patch_discrimination", "masked_regression"])
def test_latents_are_of_hidden_patches_and_predictions_of_visible_ones(loss):
    method = method_for("latent_mim", loss)
    images, mask = method.sample(IMAGES, np.random.default_rng(1))
    with no_grad():
        prediction, pooled = method.embed(images, mask)
        (latents,) = method.targets(images, mask)
        hidden, visible = without(images, mask), without(images, ~mask)
        np.testing.assert_allclose(method.embed(hidden, mask)[0].data, prediction.data, atol=1e-6)
        np.testing.assert_allclose(method.targets(visible, mask)[0], latents, atol=1e-6)
        assert np.abs(method.targets(hidden, mask)[0] - latents).max() > 1e-3
    assert prediction.shape == latents.shape == (12, 12, 16) and pooled.shape == (12, 16)
    _, found = gradients(method)
    assert set(found) & {"encoder.embed.weight", "decoder.mask_token"} and found["encoder.embed.weight"].any()
    assert not any(p.requires_grad for p in method.teacher_encoder.parameters())


def test_the_target_follows_what_it_is_said_to():
    for target in ("average", "current", "joint"):
        method = method_for("latent_mim", "patch_discrimination", target=target)
        (images, mask), weight = method.sample(IMAGES, np.random.default_rng(2)), method.encoder.embed.weight
        before = method.embed(images, mask)[2].data if target == "joint" else method.targets(images, mask)[0]
        weight.data = weight.data + 0.1
        after = method.embed(images, mask)[2].data if target == "joint" else method.targets(images, mask)[0]
        assert np.array_equal(before, after) is (target == "average")
    method = method_for("latent_mim", "patch_discrimination", momentum=0.5)
    name = "embed.weight"
    before = method.teacher_encoder.named_parameters()[name].data.copy()
    method.encoder.named_parameters()[name].data += 1
    method.after_step(0, 10)
    np.testing.assert_allclose(method.teacher_encoder.named_parameters()[name].data, before + 0.5, atol=1e-6)


def test_joint_has_a_gradient_through_its_target():
    stopped, joint = (
        gradients(method_for("latent_mim", "patch_discrimination", target=t)) for t in ("current", "joint")
    )
    assert stopped[0].total.data == pytest.approx(float(joint[0].total.data), rel=1e-6)
    assert np.abs(stopped[1]["encoder.embed.weight"] - joint[1]["encoder.embed.weight"]).max() > 1e-5
    with pytest.raises(ValueError, match="target=joint: masked_regression has no gradient of its target"):
        method_for("latent_mim", "masked_regression", target="joint")


def test_queries_see_each_other_only_where_asked():
    for among in (True, False):
        method = method_for("latent_mim", "patch_discrimination", among_queries=among)
        images, mask = method.sample(IMAGES, np.random.default_rng(3))
        tokens = method.encoder(images).tokens
        visible, hidden = (np.sort(x, axis=1) for x in (hidden_patches(~mask), hidden_patches(mask)))
        shown = tokens[np.arange(12)[:, None], visible]
        whole, part = method.decoder(shown, visible, hidden).data, method.decoder(shown, visible, hidden[:, :3]).data
        assert np.allclose(whole[:, :3], part, atol=1e-5) is not among


def test_each_loss_of_capi_trains_its_own_part():
    method = method_for("capi", "cluster_prediction", clusters=8)
    step, found = gradients(method)
    assert set(step.total.terms) == {"cluster_prediction", "clustering"}
    assert step.total.data == pytest.approx(sum(step.total.terms.values()), rel=1e-6)
    images, mask = method.sample(IMAGES, np.random.default_rng(0))
    prediction, logits, _ = method.embed(images, mask)
    clustered = method_for("capi", "cluster_prediction", clusters=8)
    _, logits, _ = clustered.embed(images, mask)
    logits.sum().backward()
    reached = {n for n, p in clustered.named_parameters().items() if p.grad is not None and p.grad.any()}
    assert reached == {"clustering.weight", "clustering.bias"}
    assert prediction.shape == logits.shape == (12, 16, 8)
    assert not prediction.data[~mask].any() and prediction.data[mask].any()
    assert found["clustering.weight"].any() and found["directions"].any() and found["lengths"].any()


def test_what_they_cannot_train_is_refused():
    for name, loss in (
        ("capi", "masked_regression"),
        ("latent_mim", "ms_ssim"),
        ("autoencoder", "patch_discrimination"),
    ):
        with pytest.raises(ValueError, match=f"method {name}: cannot train {loss}"):
            config.resolve({"loss": {"name": loss}, "method": {"name": name}})
    with pytest.raises(ValueError, match="needs patches to hide"):
        chosen = {"loss": {"name": "cluster_prediction"}, "encoder": {"name": "mlp"}, "method": {"views": ""}}
        build_method(config.resolve(chosen), DATA, np.random.default_rng(0))
