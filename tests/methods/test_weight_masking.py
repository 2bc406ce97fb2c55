"""Masks over fixed weights: what is used, what moves, what one bit a weight restores."""

import copy

import numpy as np
import pytest

from mini_repr.autograd import Tensor
from mini_repr.data import load
from mini_repr.methods import Batch, build_method
from mini_repr.nn import Linear, WeightMasks
from mini_repr.nn.weight_masks import thresholded
from mini_repr.optim import AdamW
from mini_repr.training import config

DATA = load("digits")
INDEX = np.arange(40)
ENCODER = {"name": "mlp", "width": 16, "hidden": 24, "depth": 2, "norm": None}


def method_for(loss="cross_entropy", encoder=ENCODER, **own):
    chosen = {
        "loss": {"name": loss},
        "encoder": encoder,
        "method": {"name": "weight_masking", "views": "none", **own},
    }
    return build_method(config.resolve(chosen), DATA, np.random.default_rng(0))


def steps(method, count):
    method.train()
    optimizer = AdamW(method.trained_parameters(), 3e-3, weight_decay=0.0)
    batch = Batch((DATA.train.images[INDEX],), DATA.train.labels[INDEX], INDEX)
    losses = []
    for step in range(count):
        optimizer.zero_grad()
        total = method.step(batch, np.random.default_rng(0)).total
        total.backward()
        optimizer.step()
        method.after_step(step + 1, count)
        losses.append(float(total.data))
    return losses


def test_scores_get_the_weights_gradient_times_the_weight():
    rng = np.random.default_rng(0)
    weight, x = rng.standard_normal((5, 3)), rng.standard_normal((7, 5))
    scores, pull = Tensor(rng.uniform(0, 0.02, (5, 3)), requires_grad=True), rng.standard_normal((7, 3))
    ((Tensor(x) @ thresholded(scores, weight=weight, threshold=0.01)) * pull).sum().backward()
    mask = scores.data > 0.01
    plain = Tensor(weight * mask, requires_grad=True)
    ((Tensor(x) @ plain) * pull).sum().backward()
    assert 0 < mask.mean() < 1
    np.testing.assert_allclose(scores.grad, plain.grad * weight, rtol=1e-13)


@pytest.mark.parametrize("start", ["uniform", "magnitude"])
def test_a_share_of_the_weights_starts_masked(start):
    layer = Linear(20, 30, np.random.default_rng(0))
    before = layer.weight.data.copy()
    WeightMasks([layer], np.random.default_rng(1), zeros=0.3, start=start)
    gone = (layer.weight.data == 0) & (before != 0)
    assert gone.sum() == 180
    if start == "magnitude":
        assert np.abs(before[gone]).max() <= np.abs(before[~gone]).min()
    kept = Linear(20, 30, np.random.default_rng(0))
    WeightMasks([kept], np.random.default_rng(1), zeros=0.0, start=start)
    np.testing.assert_array_equal(kept.weight.data, before)  # all scores above the threshold: bit for bit


@pytest.mark.parametrize("encoder", [ENCODER, {"name": "vit", "width": 8, "depth": 1, "heads": 2, "patch": 4}])
def test_masks_move_and_nothing_else(encoder):
    method = method_for(encoder=encoder)
    fixed = {n: a.copy() for n, a in method.state_dict().items() if "scores" not in n and not _is_masked(method, n)}
    assert any(name.endswith(".weight") for name in fixed)
    losses = steps(method, 30)
    assert losses[-1] < 0.8 * losses[0]
    for name, before in fixed.items():
        np.testing.assert_array_equal(method.state_dict()[name], before, err_msg=name)
    assert set(method.trained_parameters()) == {f"masks.masked.{k}.scores" for k in range(len(method.masks.masked))}
    for layer, one in zip(method.masks._layers, method.masks.masked, strict=True):
        used = one.scores.data > 0.01
        np.testing.assert_array_equal(layer.weight.data, one.weight * used)
        assert not used.all()


def _is_masked(method, name):
    """Whether a name of the state is that of a layer's present, masked weight."""
    weights = {id(layer.weight) for layer in method.masks._layers}
    return id(method.named_parameters().get(name)) in weights


def test_one_bit_a_weight_restores_the_network():
    method = method_for()
    other = copy.deepcopy(method)
    steps(method, 20)
    bits = method.masks.bits()
    assert sum(map(len, bits)) == sum(-(-one.weight.size // 8) for one in method.masks.masked)
    other.masks.load_bits(bits)
    images = DATA.test.images[:9]
    for one, same in zip(method.embed(images), other.embed(images), strict=True):
        np.testing.assert_array_equal(one.data, same.data)
    with pytest.raises(ValueError, match=r"WeightMasks: bits: got .* bytes, expected"):
        other.masks.load_bits(bits[1:])


def test_it_starts_from_another_run_s_encoder():
    method, source = method_for(zeros=0.0), method_for(zeros=0.0)
    for parameter in source.encoder.parameters():
        parameter.data += 0.5
    state = {f"encoder.{name}": array for name, array in source.encoder.state_dict().items()}
    assert method.start_from(state) == "encoder"
    np.testing.assert_array_equal(method.masks.masked[0].weight, source.encoder.mlp.linears[0].weight.data)
    np.testing.assert_array_equal(method.encoder.mlp.linears[0].weight.data, source.encoder.mlp.linears[0].weight.data)


def test_losses_without_class_scores_are_refused():
    with pytest.raises(ValueError, match="method weight_masking: harmonic takes no class scores, expected --loss"):
        method_for("harmonic")
