"""Encoder, head, loss, clipping and optimiser together on a device: no array may leave it or mix with the host's."""

import numpy as np
import pytest
from device_double import DOUBLE, SYNCS, DoubleArray, other_rounding

from mini_repr.autograd import concatenate, self_attention, split
from mini_repr.backend import CPU
from mini_repr.kernels.distinct_pairs import pair_log_mean_exp
from mini_repr.kernels.log_sum_exp import within_logsumexp
from mini_repr.nn import ImageMLP, LinearEncoder, ProjectionHead, Sequential, TextEncoder, ViT, copy_of
from mini_repr.optim import AdamW, clip_by_global_norm, update_ema
from mini_repr.pages.check_page import sampled_arguments
from mini_repr.pages.registry import all_losses

SHAPE = (1, 8, 8)


def network_on(backend, make):
    rng = np.random.default_rng(0)
    encoder = make(rng)
    network = Sequential(
        encoder, lambda encoded: encoded.pooled, ProjectionHead(encoder.width, 16, 8, rng, batch_norm=True)
    )
    return network.to(backend), rng


def first_gradients(backend, make):
    """The loss, norm and clipped gradients, on the host, of InfoNCE on two noisy views from the same seed.

    Not the trained weights: where a gradient is 0 but for rounding (of a bias before a batch norm), AdamW makes a whole
    step of the rounding.
    """
    network, rng = network_on(backend, make)
    images = rng.random((6, *SHAPE), dtype=np.float32)
    views = np.concatenate([images + 0.1 * rng.standard_normal(images.shape).astype(np.float32) for _ in range(2)])
    a, b = split(network(backend.asarray(views)), (6, 6))
    loss = all_losses()["infonce"](a, b)
    loss.backward()
    assert all(type(p.grad) is type(backend.asarray(0.0)) for p in network.parameters())
    norm = clip_by_global_norm(network.named_parameters(), 1.0)
    gradients = {name: backend.to_numpy(p.grad) for name, p in network.named_parameters().items()}
    return {"loss": backend.to_numpy(loss.data), "norm": np.asarray(norm), **gradients}


def stepped(backend, make, steps=2):
    """Host state of the network and its moving average after steps of AdamW on given gradients."""
    network, rng = network_on(backend, make)
    teacher = copy_of(network)
    optimizer = AdamW(network.named_parameters(), lr=1e-3)
    for _ in range(steps):
        for parameter in network.parameters():
            parameter.grad = backend.asarray(rng.standard_normal(parameter.shape).astype(np.float32))
        clip_by_global_norm(network.named_parameters(), 1.0)
        optimizer.step()
        update_ema(teacher.named_parameters(), network.named_parameters(), 0.9)
    assert all(type(p.data) is type(backend.asarray(0.0)) for p in network.parameters() + teacher.parameters())
    return {**network.state_dict(), **{f"teacher.{n}": v for n, v in teacher.state_dict().items()}}


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: ViT(SHAPE, rng, patch=4, width=16, depth=2, heads=2, dropout=0.1),
        lambda rng: ViT(SHAPE, rng, patch=4, width=16, depth=1, heads=2, pooling="mean", positions="sine"),
        lambda rng: ImageMLP(SHAPE, rng, width=16, hidden=16),
        lambda rng: LinearEncoder(SHAPE, rng, width=16),
    ],
    ids=["vit", "vit-mean-sine", "mlp", "linear"],
)
@pytest.mark.parametrize("part", [first_gradients, stepped])
def test_training_on_the_double_equals_training_on_the_host(make, part):
    host = part(CPU, make)
    with other_rounding():
        device = part(DOUBLE, make)
    assert host.keys() == device.keys()
    for name, value in host.items():
        assert type(device[name]) is np.ndarray
        # Of an array's largest element: a small gradient is a sum of large terms, and carries their rounding.
        rounding = 1e-5 * abs(value).max() + 1e-6
        np.testing.assert_allclose(device[name], value, rtol=0, atol=rounding, err_msg=name)


def test_a_step_of_the_main_job_waits_four_times():
    """For each set of rows whose norms may overflow (by NumPy's form of unit rows), the loss and the norm."""
    network, rng = network_on(DOUBLE, lambda rng: ViT(SHAPE, rng, patch=4, width=16, depth=2, heads=2))
    optimizer = AdamW(network.named_parameters(), lr=1e-3)
    views = DOUBLE.asarray(rng.random((12, *SHAPE), dtype=np.float32))
    SYNCS.clear()
    a, b = split(network(views), (6, 6))
    loss = all_losses()["infonce"](a, b)
    float(loss.data)
    loss.backward()
    clip_by_global_norm(network.named_parameters(), 1.0)
    optimizer.step()
    assert SYNCS == {"float": 2, "bool": 2}


MASK = np.random.default_rng(0).random((3, 1, 1, 5)) < 0.5


@pytest.mark.parametrize(
    "run",
    [
        lambda x, groups: self_attention.on_arrays(x, mask=DOUBLE.asarray(MASK))[1],
        lambda x, groups: pair_log_mean_exp.on_arrays(x[:, 0], 2.0)[1],
        lambda x, groups: within_logsumexp.on_arrays(x[:, 0], 1.0, same=groups)[1],
        lambda x, groups: within_logsumexp.on_arrays(x[:, 0], 1.0, apart=groups)[1],
    ],
    ids=["attention", "pairs", "same", "apart"],
)
def test_masked_places_are_written_without_a_wait(run):
    x = DOUBLE.asarray(np.random.default_rng(0).standard_normal((3, 5, 6)))
    SYNCS.clear()
    run(x, DOUBLE.asarray(np.array([0, 1, 0])))
    assert not SYNCS.keys() - {"float"}


@pytest.mark.parametrize("name", ["cip", "circle", "cross_entropy", "masked_regression", "supcon", "triplet"])
def test_labels_and_masks_on_the_host_join_rows_on_a_device(name):
    loss = all_losses()[name]
    arguments = sampled_arguments(loss, "default", np.random.default_rng(0))
    known = {p.name for p in loss.arrays if p.annotation.bare.from_host}
    there = {n: DOUBLE.asarray(x) if isinstance(x, np.ndarray) else x for n, x in arguments.items()}
    both = there | {n: arguments[n] for n in known}
    for evaluate in (loss.value_and_grad, loss.definition_and_grad):
        value, gradients = evaluate(**both)
        expected, wanted = evaluate(**there)
        assert value.get() == expected.get()
        for n, one in wanted.items():
            np.testing.assert_array_equal(gradients[n].get(), one.get())


@pytest.mark.parametrize("place", [-1, 4])
def test_wrong_numbers_on_the_host_are_refused_there(place):
    vit = ViT(SHAPE, np.random.default_rng(0), patch=4, width=16, depth=1, heads=2).to(DOUBLE)
    words = TextEncoder(np.random.default_rng(0), buckets=4).to(DOUBLE)
    SYNCS.clear()
    with pytest.raises(ValueError, match="numbered 0 to 3"):
        vit(DOUBLE.asarray(np.zeros((1, *SHAPE), np.float32)), visible=np.array([[place]]))
    with pytest.raises(ValueError, match="expected 0 to 3"):
        words(np.array([[place]]), np.array([[True]]))
    with pytest.raises(ValueError, match="expected 0 to 3"):
        all_losses()["cross_entropy"](DOUBLE.asarray(np.zeros((1, 4))), np.array([place]))
    assert not SYNCS


@pytest.mark.gpu
@pytest.mark.parametrize("part", [first_gradients, stepped])
def test_training_on_a_gpu_equals_training_on_the_host(gpu, part):
    def make(rng):
        return ViT(SHAPE, rng, patch=4, width=16, depth=2, heads=2)

    host, device = part(CPU, make), part(gpu, make)
    for name, value in host.items():
        np.testing.assert_allclose(device[name], value, rtol=1e-3, atol=1e-5, err_msg=name)


def test_vit_with_hidden_and_replaced_patches_on_the_double():
    rng = np.random.default_rng(0)
    vit = ViT(SHAPE, rng, patch=4, width=16, depth=2, heads=2)
    images, visible = rng.random((3, *SHAPE), dtype=np.float32), np.array([[0, 2], [3, 1], [1, 2]])
    replace = rng.random((3, 4)) < 0.5
    token = np.ones(16, np.float32)
    host = [vit(images, visible=visible), vit(images, replace=replace, mask_token=token, layers=(1,), attention=True)]
    vit.to(DOUBLE)
    x = DOUBLE.asarray(images)
    device = [
        vit(x, visible=DOUBLE.asarray(visible)),
        vit(x, replace=DOUBLE.asarray(replace), mask_token=DOUBLE.asarray(token), layers=(1,), attention=True),
    ]
    for one, other in zip(host, device, strict=True):
        np.testing.assert_allclose(other.pooled.data.get(), one.pooled.data, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(other.tokens.data.get(), one.tokens.data, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(device[1].attention[0].get(), host[1].attention[0], rtol=1e-5, atol=1e-6)
    (device[0].tokens.sum() + concatenate(device[1].layers[0], device[1].tokens).sum()).backward()
    assert all(type(p.grad) is DoubleArray for p in vit.parameters())


def test_text_encoder_on_the_double():
    encoder = TextEncoder(np.random.default_rng(0), buckets=32, dropout=0.1)
    tokens = encoder.tokenise(["one two", "", "three four five"])
    host = encoder.eval()(*tokens).pooled.data
    encoder.to(DOUBLE)
    device = encoder(*map(DOUBLE.asarray, tokens)).pooled
    np.testing.assert_allclose(device.data.get(), host, rtol=1e-5, atol=1e-6)
    encoder.train()(*map(DOUBLE.asarray, tokens)).pooled.sum().backward()
    assert all(type(p.grad) is DoubleArray for p in encoder.parameters())


def test_gradients_of_repeated_tokens_and_classes_repeat_to_the_bit():
    """The same seed gives the same bits on a device whose atomics come in any order."""

    def gradients():
        rng = np.random.default_rng(0)
        encoder = TextEncoder(rng, buckets=4, dropout=0.0).to(DOUBLE)
        tokens = encoder.tokenise(["one two three four five six seven eight nine ten"[start:] for start in range(16)])
        rows = encoder(*map(DOUBLE.asarray, tokens)).pooled
        all_losses()["supcon"](rows, DOUBLE.asarray(rng.integers(0, 2, len(rows.data)))).backward()
        return [p.grad.get() for p in encoder.parameters()]

    for one, other in zip(gradients(), gradients(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_state_moves_between_devices_to_the_bit():
    vit = ViT(SHAPE, np.random.default_rng(0), width=16, heads=2, depth=1)
    state = vit.state_dict()
    vit.to(DOUBLE)
    vit.load_state_dict(state)
    for name, value in vit.to(CPU).state_dict().items():
        np.testing.assert_array_equal(value, state[name])
