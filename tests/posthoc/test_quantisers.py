"""Grids: the quantiser and its gradients, what a layer chooses, soft and hard rounding, what leaves all as it was."""

import numpy as np
import pytest

from mini_repr.autograd import Tensor, no_grad
from mini_repr.nn import Block, LayerNorm, Linear, ViT
from mini_repr.posthoc.quantisers import (
    WHOLE,
    QuantisedBlock,
    QuantisedLinear,
    QuantisedViT,
    Uniform,
    calibrated,
    candidates,
    fitted,
    nearest,
    product,
    rewritten,
)

RNG = np.random.default_rng(0)


def vit(pooling="cls"):
    encoder = ViT((1, 8, 8), np.random.default_rng(0), patch=4, width=8, depth=2, heads=2, pooling=pooling)
    rng = np.random.default_rng(1)
    for p in encoder.parameters():
        p.data += (0.2 * rng.standard_normal(p.shape)).astype(np.float32)
    return encoder.eval(), Linear(8, 5, rng)


def test_numbers_go_to_the_nearest_of_the_grid():
    grid = Uniform(2, dtype=np.float64)
    grid.set(0.5, 1.0)  # -0.5, 0, 0.5, 1
    found = grid(Tensor(np.array([-3.0, -0.3, -0.2, 0.3, 0.6, 5.0]))).data
    np.testing.assert_array_equal(found, [-0.5, -0.5, 0, 0.5, 0.5, 1])
    np.testing.assert_array_equal(grid(Tensor(found)).data, found)
    x = Tensor(RNG.normal(size=3))
    assert Uniform(WHOLE)(x) is x


def test_gradients_take_rounding_for_the_identity():
    grid, x = Uniform(2, dtype=np.float64), Tensor(np.array([-3.0, -0.3, 0.6, 5.0]), True)
    grid.set(0.5, 1.0)
    grid(x).sum().backward()
    np.testing.assert_array_equal(x.grad, [0, 1, 1, 0])
    inside = sum(np.rint(v / 0.5) - v / 0.5 for v in (-0.3, 0.6))
    assert grid.scale.grad[0] == pytest.approx(inside - 1 + 2)  # limits: -z, and 2^b - 1 - z


def test_in_training_half_of_the_numbers_are_left_whole():
    grid, x = Uniform(3, dtype=np.float64), RNG.normal(size=4000)
    grid.set(0.4, 3.0)
    whole = grid(Tensor(x)).data
    grid.rng = np.random.default_rng(0)
    mixed = grid(Tensor(x)).data
    assert ((mixed == x) | (mixed == whole)).all() and abs((mixed == x).mean() - 0.5) < 0.03


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_no_candidate_fits_a_column_better(bits):
    columns = RNG.normal(size=(50, 3)) * [1, 10, 0.1] + [0, 5, 0]
    scale, zero = nearest(columns, bits)
    scales, zeros = candidates(columns, bits)
    assert len(scales) == len(zeros) == 128 and zeros.min() == 0 and zeros.max() == 2**bits - 1
    error = ((fitted(columns, scale, zero, 2**bits - 1) - columns) ** 2).mean(axis=0)
    for s, z in zip(scales, zeros, strict=True):
        assert (error <= ((fitted(columns, s, z, 2**bits - 1) - columns) ** 2).mean(axis=0) + 1e-12).all()


def test_a_layer_is_chosen_by_what_it_puts_out():
    layer = Linear(6, 4, np.random.default_rng(2), dtype=np.float64)
    layer.bias.data += 1
    x = np.random.default_rng(3).normal(size=(30, 6)) + 0.5
    made = QuantisedLinear(layer, 3, 3)
    np.testing.assert_allclose(calibrated(made, x), layer(Tensor(x)).data)
    error = ((made(Tensor(x)).data - layer(Tensor(x)).data) ** 2).mean()
    scales, zeros = candidates(x.reshape(-1, 1), 3)
    for s, z in zip(scales, zeros, strict=True):
        made.inputs.set(s, z)
        assert error <= ((made(Tensor(x)).data - layer(Tensor(x)).data) ** 2).mean() + 1e-12


def test_soft_weights_start_as_the_weights_inside_the_grid_and_hard_ones_are_whole():
    layer = Linear(6, 3, np.random.default_rng(2), dtype=np.float64)
    made = QuantisedLinear(layer, 4, WHOLE)
    made.set(*nearest(layer.weight.data, 4))
    rounded = made.weight.data.copy()
    np.testing.assert_allclose(rounded, fitted(layer.weight.data, made.scale, made.zero, 15))
    made.soften()
    whole = layer.weight.data / made.scale + made.zero
    inside = (whole > 0) & (whole < 15)
    np.testing.assert_allclose(made.weight.data[inside], layer.weight.data[inside], atol=1e-12)
    made.alpha.data[0], made.alpha.data[1] = 5.0, -5.0
    made.harden()
    floor = np.floor(layer.weight.data / made.scale) + made.zero
    np.testing.assert_array_equal(made.codes[0], np.clip(floor[0] + 1, 0, 15))
    np.testing.assert_array_equal(made.codes[1], np.clip(floor[1], 0, 15))
    assert made.alpha is None and not made.soft


def test_rewriting_leaves_what_comes_out_and_makes_columns_alike():
    norm, layer = LayerNorm(5, dtype=np.float64), Linear(5, 4, np.random.default_rng(4), dtype=np.float64)
    norm.gain.data[...], norm.bias.data[...] = [0.1, 1, 10, 3, 0.5], [0, 5, -3, 0, 1]
    x = np.random.default_rng(5).normal(size=(40, 5))
    before = layer(norm(Tensor(x))).data
    spread = norm(Tensor(x)).data.std(axis=0)
    made = QuantisedLinear(layer, 3, 3)
    rows = rewritten(norm, made, x)
    np.testing.assert_allclose(rows, norm(Tensor(x)).data, atol=1e-12)
    np.testing.assert_allclose(rows @ made.raw + made.bias.data, before, atol=1e-10)
    assert rows.std(axis=0).max() / rows.std(axis=0).min() < 0.1 * spread.max() / spread.min()


def test_heads_have_grids_of_their_own():
    a = np.random.default_rng(6).normal(size=(8, 2, 5, 3)) * np.array([1, 20]).reshape(1, 2, 1, 1)
    b = np.random.default_rng(7).normal(size=(8, 2, 3, 5))
    first, second = (Uniform(4, (1, 2, 1, 1), np.float64) for _ in range(2))
    product(first, second, a, b)
    assert first.scale.data[0, 1] > 5 * first.scale.data[0, 0]
    error = ((first(Tensor(a)).data @ second(Tensor(b)).data - a @ b) ** 2).mean(axis=(0, 2, 3))
    assert (error < 0.1 * ((a @ b) ** 2).mean(axis=(0, 2, 3))).all()


def test_a_block_and_a_network_in_full_precision_are_what_they_were():
    block, x = Block(8, 2, 2.0, np.random.default_rng(8)), RNG.normal(size=(6, 5, 8)).astype(np.float32)
    with no_grad():
        before = block(Tensor(x))[0].data
        after = QuantisedBlock(block, 3, 3).calibrate(x)  # and the block's norms are rewritten
        np.testing.assert_allclose(after, before, atol=1e-5)
        np.testing.assert_allclose(QuantisedBlock(block, 8, WHOLE).calibrate(x), before, atol=1e-5)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_eight_bits_say_what_the_network_says(pooling):
    encoder, head = vit(pooling)
    images = RNG.random((40, 1, 8, 8)).astype(np.float32)
    with no_grad():
        whole = head(encoder(images).pooled).data
        made = QuantisedViT(encoder, head, 8, 8)
        made.calibrate(images)
        errors = [np.abs(made(images).data - whole).max()]
        rough = QuantisedViT(*vit(pooling), 3, 3)
        rough.calibrate(images)
        errors.append(np.abs(rough(images).data - whole).max())
    assert errors[0] < 0.1 * np.abs(whole).max() and errors[0] < 0.2 * errors[1]
