"""CRATE: what its layers do to tokens, and how many weights they need."""

import numpy as np
import pytest

from mini_repr.autograd import Tensor, attention, gradcheck
from mini_repr.data import load
from mini_repr.methods import build_method
from mini_repr.metrics import coding_rate
from mini_repr.nn import Block, Crate, patchify
from mini_repr.nn.crate import CrateBlock, InverseCrateBlock, ista_step
from mini_repr.nn.mlp import normalised
from mini_repr.training import config

SHAPE = (1, 8, 8)


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_ista_step_by_hand_and_its_gradient():
    y, d = drawn(2, 5, 4), drawn(4, 4, seed=1)
    expected = np.maximum(y + 0.3 * (y - y @ d.T) @ d - 0.3 * 0.2, 0)
    output, backward = ista_step.on_arrays(y, d, step=0.3, threshold=0.2)
    np.testing.assert_allclose(output, expected)
    weights = drawn(2, 5, 4, seed=2)

    def weighted(y, d):
        return (weights * ista_step.on_arrays(y, d, step=0.3, threshold=0.2)[0]).sum()

    gradcheck(weighted, [y, d], backward(weights), np.random.default_rng(3))


def test_ista_step_is_a_descent_of_its_objective():
    """|y - D z|²/2 + λ|z|_1 over z >= 0 is lower after the step, for a step below 1 / |D'D|."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        y, d = np.abs(rng.standard_normal(6)), rng.standard_normal((6, 6))
        step = 0.9 / np.linalg.norm(d.T @ d, 2)
        z = ista_step.on_arrays(y[None], d, step=step, threshold=0.2)[0][0]

        def cost(z, y=y, d=d):
            return ((y - d @ z) ** 2).sum() / 2 + 0.2 * np.abs(z).sum()

        assert (z >= 0).all() and cost(z) < cost(y)


def test_ista_step_of_known_dictionaries():
    y = drawn(7, 4)
    np.testing.assert_allclose(ista_step.on_arrays(y, np.eye(4), step=0.1, threshold=0.5)[0], np.maximum(y - 0.05, 0))
    rotation = np.linalg.qr(drawn(4, 4, seed=2))[0]
    turned = np.maximum(y + 0.1 * (y @ rotation - y), 0)
    np.testing.assert_allclose(ista_step.on_arrays(y, rotation, step=0.1, threshold=0.0)[0], turned)
    assert not ista_step.on_arrays(y, rotation, step=0.1, threshold=1e3)[0].any()


def test_attention_in_subspaces_lowers_the_coding_rate_and_its_opposite_raises_it():
    """With one orthonormal U, tied: Z + κ M(Z) is a step down, Z - κ M(Z) a step up."""
    rng = np.random.default_rng(0)
    u = np.linalg.qr(rng.standard_normal((16, 16)))[0]
    z = rng.standard_normal((20, 17, 16))
    v = z @ u
    moved = attention.on_arrays(v, v, v, heads=4)[0][0] @ u.T
    rates = [coding_rate((z + sign * 0.3 * moved) @ u, heads=4) for sign in (-1, 0, 1)]
    assert rates[0] > rates[1] > rates[2]


def test_a_layer_is_a_quarter_of_a_transformer_s():
    rng = np.random.default_rng(0)
    ours, theirs = CrateBlock(64, 4, rng), Block(64, 4, 4.0, rng)
    weights = [sum(p.data.size for p in block.named_parameters().values()) for block in (ours, theirs)]
    assert weights[0] / weights[1] == pytest.approx(0.25, abs=0.01)


def test_tokens_that_move_move_the_output_with_them():
    block, x = CrateBlock(8, 2, np.random.default_rng(0), dtype=np.float64), drawn(2, 5, 8)
    order = [3, 1, 4, 0, 2]
    np.testing.assert_allclose(block(x[:, order])[0].data, block(x)[0].data[:, order])
    assert (block(x)[0].data >= 0).all()
    with pytest.raises(ValueError, match="heads: got 3"):
        CrateBlock(8, 3, np.random.default_rng(0))


def test_hides_patches_as_the_other_transformer_does():
    encoder = Crate(SHAPE, np.random.default_rng(0), width=16, depth=2)
    images = np.random.default_rng(1).random((3, *SHAPE)).astype(np.float32)
    visible = np.tile([0, 5, 9], (3, 1))
    shown = encoder(images, visible=visible).tokens
    images[:, :, 6:, 6:] = 0.5  # patch 15, which is hidden
    np.testing.assert_array_equal(encoder(images, visible=visible).tokens.data, shown.data)
    assert shown.shape == (3, 3, 16)


def test_the_decoder_undoes_the_compression_to_second_order():
    """With orthonormal U and W = kappa U, Y - kappa M(Y) gives Z back but for O(kappa²)."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((1, 9, 16))
    u = np.linalg.qr(rng.standard_normal((16, 16)))[0]

    def mixed(x):
        v = x @ u
        return attention.on_arrays(v, v, v, heads=4)[0][0] @ u.T

    errors = [np.abs(y - k * mixed(y) - z).max() / k**2 for k in (1e-1, 1e-2, 1e-3) for y in [z + k * mixed(z)]]
    assert max(errors) < 1.2 * min(errors) and 0.1 < min(errors) < 10


def test_a_layer_of_the_decoder_is_its_formula_and_as_large_as_one_of_the_encoder():
    block = InverseCrateBlock(16, 4, np.random.default_rng(1), dtype=np.float64)
    x = np.random.default_rng(2).standard_normal((2, 5, 16))
    state = block.state_dict()
    for image, found in zip(x, block(Tensor(x)).data, strict=True):
        z = normalised(image, state["norm1.gain"], state["norm1.bias"]) @ state["dictionary.weight"]
        v = normalised(z, state["norm2.gain"], state["norm2.bias"]) @ state["subspaces.weight"]
        rows = np.zeros_like(z)
        for start in range(0, 16, 4):
            own = v[:, start : start + 4]
            weights = np.exp(own @ own.T / 2)
            rows[:, start : start + 4] = weights @ own / weights.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(found, z - rows @ state["out.weight"] - state["out.bias"], atol=1e-12)
    assert block.parameter_count() == CrateBlock(16, 4, np.random.default_rng(0)).parameter_count()


def test_it_rebuilds_hidden_patches_and_wants_a_crate():
    data = load("digits")
    for pooling in ("cls", "mean"):
        encoder = {"name": "crate", "width": 16, "depth": 1, "heads": 2, "pooling": pooling}
        chosen = {"loss": {"name": "masked_regression"}, "method": {"style": "crate", "views": ""}, "encoder": encoder}
        method = build_method(config.resolve(chosen), data, np.random.default_rng(0))
        images, mask = method.sample(data.train.images[:6], np.random.default_rng(0))
        prediction, _ = method.embed(images, mask)
        patches = patchify(images, 2).copy()
        patches[mask] = 0.5
        other = patches.reshape(6, 4, 4, 2, 2).transpose(0, 1, 3, 2, 4).reshape(images.shape)
        np.testing.assert_allclose(method.embed(other, mask)[0].data, prediction.data, atol=1e-6)
    with pytest.raises(ValueError, match="style=crate: got encoder vit, expected --encoder crate"):
        build_method(config.resolve({**chosen, "encoder": {"name": "vit"}}), data, np.random.default_rng(0))
