"""Masked contrast: two views, two ratios, what each loss reaches, and the methods that it holds as special cases."""

import numpy as np
import pytest

from mini_repr.data import load
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.losses.reconstruction.masked_regression import masked_regression
from mini_repr.methods import Batch, build_method
from mini_repr.training import config

DATA = load("digits")
IMAGES = DATA.train.images[:12]
VIT = {"name": "vit", "width": 16, "depth": 1, "heads": 2}
QUEUE = {"name": "infonce", "negatives": "queue", "symmetric": False}


def method_for(loss=QUEUE, encoder=VIT, **own):
    own = {"views": "shift=1,rotate=10", "decoder_width": 16, "decoder_heads": 2, "queue_size": 32, **own}
    chosen = {"loss": loss, "method": {"name": "masked_contrast", **own}, "encoder": encoder}
    return build_method(config.resolve(chosen), DATA, np.random.default_rng(0))


def stepped(method, seed=0):
    step = method.step(Batch((IMAGES,), None, np.arange(12)), np.random.default_rng(seed))
    step.total.backward()
    return step, {n: p.grad for n, p in method.named_parameters().items() if p.requires_grad and p.grad is not None}


def test_the_total_is_the_contrast_and_half_of_each_error():
    step, found = stepped(method_for(weight=3.0))
    terms = step.total.terms
    pixels = terms["pixels, strong"] + terms["pixels, weak"]
    assert step.total.data == pytest.approx(float(terms["infonce"] + 1.5 * pixels), rel=1e-5)
    assert found["decoder.pixels.weight"].any() and any(g.any() for n, g in found.items() if "projector" in n)
    _, alone = stepped(method_for(weight=0.0))
    assert not alone["decoder.pixels.weight"].any() and alone["encoder.embed.weight"].any()


def test_gradients_of_its_losses_add_up():
    method = method_for(loss={"name": "infonce", "negatives": "views"}, keys="same")
    inputs = method.sample(IMAGES, np.random.default_rng(0))
    expected = {}
    for part in range(3):
        for parameter in method.parameters():
            parameter.grad = None
        za, zb, *rebuilt = method.embed(*inputs)
        pixels, mask = method.targets(*inputs)[:2], method.targets(*inputs)[2:]
        if part == 0:
            infonce(za, zb, **method.objective.settings).backward()
        else:
            k = part - 1
            (0.5 * masked_regression(rebuilt[k], pixels[k], mask[k], norm="l1", normalize_target=False)).backward()
        for name, parameter in method.named_parameters().items():
            if parameter.grad is not None:
                expected[name] = expected.get(name, 0) + parameter.grad
    for parameter in method.parameters():
        parameter.grad = None
    _, found = stepped(method)
    for name, gradient in found.items():
        np.testing.assert_allclose(gradient, expected[name], atol=2e-5, err_msg=name)


def test_views_and_ratios_are_unequal():
    method = method_for()
    strong, weak, strong_mask, weak_mask = method.sample(IMAGES, np.random.default_rng(3))
    assert (strong_mask.sum(axis=1) == 12).all() and (weak_mask.sum(axis=1) == 8).all()
    assert np.array_equal(weak, IMAGES) and not np.array_equal(strong, IMAGES)
    assert not np.array_equal(method_for(weak_views="same").sample(IMAGES, np.random.default_rng(3))[1], IMAGES)


def test_keys_follow_slowly_and_take_no_gradient():
    method = method_for(momentum=0.5)
    _, found = stepped(method)
    assert not any(name.startswith("teacher") for name in found)
    name = "embed.weight"
    before = method.teacher_encoder.named_parameters()[name].data.copy()
    method.encoder.named_parameters()[name].data += 1
    method.after_step(0, 10)
    np.testing.assert_allclose(method.teacher_encoder.named_parameters()[name].data, before + 0.5, atol=1e-6)
    same = method_for(loss={"name": "infonce"}, keys="same")
    assert same.teacher_encoder is None
    (own, gradients), (stopped, others) = stepped(same), stepped(method_for(loss={"name": "infonce"}))
    assert own.total.data == pytest.approx(float(stopped.total.data)), "the keys start as the encoder's own"
    assert np.abs(gradients["encoder.embed.weight"] - others["encoder.embed.weight"]).max() > 1e-4


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="needs patches to hide"):
        method_for(encoder={"name": "mlp"})
    with pytest.raises(ValueError, match="random_mask: ratio"):
        method_for(weak_ratio=1.0)
    with pytest.raises(ValueError, match="method masked_contrast: cannot train supcon"):
        config.resolve({"loss": {"name": "supcon"}, "method": {"name": "masked_contrast"}})
