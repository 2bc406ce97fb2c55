"""Adaptive-length tokenisation: every round's error counts, with its weight."""

import numpy as np
import pytest

from mini_repr.autograd import no_grad
from mini_repr.data import load
from mini_repr.methods import Batch, build_method
from mini_repr.methods.alit import ROUND_WEIGHTS
from mini_repr.nn import patchify
from mini_repr.training import config

DATA = load("digits")
IMAGES = DATA.train.images[:12]


def method_for(encoder=None, normalize=False, **own):
    encoder = encoder or {"name": "alit", "width": 16, "depth": 1, "rounds": 7}
    loss = {"name": "masked_regression", "norm": "l1", "normalize_target": normalize}
    chosen = {"loss": loss, "method": {"name": "alit", "views": "", **own}, "encoder": encoder}
    return build_method(config.resolve(chosen), DATA, np.random.default_rng(0))


def test_a_step_weighs_the_errors_of_all_rounds():
    method = method_for()
    step = method.step(Batch((IMAGES,), None, np.arange(12)), np.random.default_rng(0))
    with no_grad():
        errors = [np.abs(one.data - patchify(IMAGES, 2)).mean() for one in method.rollout(IMAGES)[1]]
    weights = [2.5, 2.0, 1.5, 1.25, 1.0, 1.0, 1.0]
    assert method.weights == tuple(weights) and tuple(weights[:5]) == ROUND_WEIGHTS
    np.testing.assert_allclose(step.total.data, np.dot(weights, errors), rtol=1e-5)
    assert list(step.total.terms) == ["masked_regression", *(f"round {k}" for k in range(1, 7))]
    for parameter in method.parameters():  # blocks start at 0: nothing of a code has come through them yet
        parameter.data = parameter.data + 0.05 * np.random.default_rng(0).standard_normal(parameter.shape, np.float32)
    method.step(Batch((IMAGES,), None, np.arange(12)), np.random.default_rng(0)).total.backward()
    assert method.encoder.round_embedding.grad[-1].any() and method.decoder.code_positions.grad.any()


def test_halting_leaves_out_what_is_rebuilt_well():
    never, some, always = (method_for(halting=halting) for halting in (0.0, 0.1, 1e9))
    assert never.mask_token is None and some.mask_token.requires_grad
    for parameter in some.parameters():
        parameter.data = parameter.data + 0.05 * np.random.default_rng(0).standard_normal(parameter.shape, np.float32)
    rebuilt = some.rollout(IMAGES)[1][0].data
    some.halting = float(np.median(((rebuilt - patchify(IMAGES, 2)) ** 2).mean(axis=-1)))
    for method in (never, always):
        method.load_state_dict({name: some.state_dict()[name] for name in method.state_dict()})
    found = [method.rollout(IMAGES)[0] for method in (never, some, always)]
    assert all(np.array_equal(one[0].data, found[0][0].data) for one in found)
    assert not any(np.array_equal(found[a][1].data, found[b][1].data) for a, b in ((0, 1), (0, 2), (1, 2)))


def test_pictures_of_every_length():
    panels = method_for().rebuilt(IMAGES, np.random.default_rng(0))
    assert list(panels)[:2] == ["1 token", "2 tokens"] and len(panels) == 7
    assert all(x.shape == IMAGES.shape and x.min() >= 0 and x.max() <= 1 for x in panels.values())


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="method alit: got encoder vit, expected --encoder alit"):
        method_for({"name": "vit"})
    with pytest.raises(ValueError, match=r"method alit: the loss normalises its target, .* --variant raw_pixels"):
        method_for(normalize=True)
