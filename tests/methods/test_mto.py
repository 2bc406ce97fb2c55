"""Masked token optimisation: SimMIM without its parts, and each part by loops."""

import numpy as np
import pytest

from mini_repr.autograd import Tensor, no_grad
from mini_repr.data import load
from mini_repr.masking import visible_patches
from mini_repr.methods import Batch, build_method
from mini_repr.methods.mto import constraints, singularity
from mini_repr.training import config

DATA = load("digits")
IMAGES = DATA.train.images[:6]


def method_for(name="mto", encoder=None, **own):
    encoder = {"name": "vit", "width": 16, "depth": 2, "heads": 2, **(encoder or {})}
    chosen = {"loss": {"name": "masked_regression"}, "method": {"name": name, "views": "", **own}, "encoder": encoder}
    return build_method(config.resolve(chosen), DATA, np.random.default_rng(0))


def step_of(method):
    return method.step(Batch((IMAGES,), None, np.arange(6)), np.random.default_rng(1))


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_without_its_parts_it_is_simmim(pooling):
    plain = method_for("masked", {"pooling": pooling}, style="simmim", ratio=0.6)
    method = method_for(encoder={"pooling": pooling}, first=1.0, weight=0.0)
    method.load_state_dict(plain.state_dict())
    totals = [step_of(one).total for one in (plain, method)]
    for total in totals:
        total.backward()
    np.testing.assert_allclose(totals[0].data, totals[1].data, rtol=1e-5)
    for name, parameter in plain.trained_parameters().items():
        np.testing.assert_allclose(
            method.named_parameters()[name].grad, parameter.grad, rtol=2e-3, atol=2e-6, err_msg=name
        )


def test_with_a_share_near_zero_visible_patches_never_see_hidden_ones():
    method = method_for(first=1e-30)
    method.shares = np.full(2, 1e-30)
    images, mask = method.sample(IMAGES, np.random.default_rng(1))
    bias = [np.log(1e-30).astype(np.float32) * method.from_hidden(mask)] * 2
    visible = visible_patches(mask)
    with no_grad():
        seen = method.encoder(images, replace=mask, mask_token=method.mask_token, bias=bias)
        alone = method.encoder(images, visible=visible)
    np.testing.assert_allclose(
        np.take_along_axis(seen.tokens.data, visible[:, :, None], axis=1), alone.tokens.data, atol=1e-5
    )
    np.testing.assert_allclose(seen.pooled.data, alone.pooled.data, atol=1e-5)


def test_recalibrated_weights_are_multiplied_and_sum_to_one():
    method = method_for(first=0.25)
    images, mask = method.sample(IMAGES, np.random.default_rng(1))
    drawn = method.from_hidden(mask)
    arguments = {"replace": mask, "mask_token": method.mask_token, "attention": True}
    with no_grad():
        plain = method.encoder(images, bias=[0 * drawn] * 2, **arguments).attention[0].data
        less = method.encoder(images, bias=[np.float32(np.log(0.25)) * drawn, 0 * drawn], **arguments).attention[0].data
        fused = method.encoder(images, **arguments).attention[0]
    np.testing.assert_allclose(plain, fused, rtol=1e-4, atol=1e-6)
    expected = plain * np.where(drawn > 0, 0.25, 1)
    np.testing.assert_allclose(less, expected / expected.sum(axis=-1, keepdims=True), rtol=1e-4)
    np.testing.assert_allclose(less.sum(axis=-1), 1, rtol=1e-5)
    assert drawn.shape == (6, 1, 17, 17) and drawn[0, 0, 0, 1:].tolist() == mask[0].tolist()


def test_constraints_are_those_of_the_page():
    rng = np.random.default_rng(0)
    layers = [rng.dirichlet(np.ones(5), size=(2, 5)) for _ in range(3)]
    hidden = np.array([[True, False, True, False, False], [False, False, True, True, False]])
    drawn = (~hidden[:, :, None] & hidden[:, None, :]).astype(float)
    attention, entropy = constraints([Tensor(a) for a in layers], drawn)
    for b in range(2):
        taken, spread = [], []
        for number, a in enumerate(layers):
            for i in np.flatnonzero(~hidden[b]):
                row = a[b, i][hidden[b]]
                taken.append((1 - number / 3) * row.sum())
                share = row / row.sum()
                spread.append(-(share * np.log(share)).sum())
        assert attention.data[b] == pytest.approx(np.mean(taken)) and entropy.data[b] == pytest.approx(np.mean(spread))
        assert 0 <= entropy.data[b] <= np.log(2)
    token, patches = rng.standard_normal(4), rng.standard_normal((2, 5, 4))
    found = singularity(Tensor(token), Tensor(patches), hidden)
    for b in range(2):
        cosines = patches[b] @ token / np.linalg.norm(patches[b], axis=1) / np.linalg.norm(token)
        assert found.data[b] == pytest.approx((np.maximum(cosines, 0) ** 2)[~hidden[b]].mean())


def test_a_step_adds_the_constraints_and_trains_the_token():
    method = method_for(weight=0.5)
    step = step_of(method)
    terms = step.total.terms
    expected = terms["masked_regression"] + 0.5 * (terms["attention"] + terms["entropy"] + terms["singularity"])
    np.testing.assert_allclose(step.total.data, expected, rtol=1e-5)
    step.total.backward()
    assert method.mask_token.grad.any() and method.encoder.blocks[0].qkv.weight.grad.any()


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="method mto: got encoder crate, expected --encoder vit"):
        chosen = {"loss": {"name": "masked_regression"}, "method": {"name": "mto", "views": ""}}
        build_method(config.resolve({**chosen, "encoder": {"name": "crate"}}), DATA, np.random.default_rng(0))
    with pytest.raises(ValueError, match="first: got 0"):
        method_for(first=0.0)
