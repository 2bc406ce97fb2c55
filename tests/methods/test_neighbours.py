"""The neighbours method: which rows are near, which of them become partners, and every loss of pairs on them."""

import numpy as np
import pytest
from device_double import DOUBLE, DoubleArray

from mini_repr.backend import CPU
from mini_repr.data import ImageSet, load
from mini_repr.kernels.nearest import nearest_rows
from mini_repr.methods import Batch, build_method
from mini_repr.methods.method import needs_queue
from mini_repr.pages.registry import all_losses
from mini_repr.training import config

DATA = load("digits")
PAIR_LOSSES = [n for n, loss in all_losses().items() if loss.compares == "pairs" and not needs_queue(loss, {})]


def method_for(loss, neighbours=3, encoder=None, **heads):
    chosen = {
        "loss": {"name": loss},
        "encoder": encoder or {"name": "linear", "width": 8},
        "method": {"name": "neighbours", "neighbours": neighbours, "views": "noise=0.5"},
        "heads": heads,
    }
    return build_method(config.resolve(chosen), DATA, np.random.default_rng(0))


def stepped(method, index, backend=CPU):
    inputs = method.to(backend).load(DATA.train, backend)
    index = backend.asarray(index)
    return method.step(Batch(tuple(x[index] for x in inputs), None, index), np.random.default_rng(1))


def test_a_step_compares_images_as_they_are_with_a_neighbour_of_each():
    method, index = method_for("barlow_twins"), np.arange(40, 0, -1)
    step = stepped(method, index)
    which = np.random.default_rng(1).integers(3, size=40)
    flat = DATA.train.images.reshape(len(DATA.train), -1)
    distance = ((flat[index, None] - flat) ** 2).sum(axis=2)
    distance[np.arange(40), index] = np.inf
    near = np.argsort(distance, axis=1, kind="stable")[np.arange(40), which]
    za, zb = (method.projector(method.encoder(DATA.train.images[rows]).pooled) for rows in (index, near))
    np.testing.assert_allclose(step.total.data, all_losses()["barlow_twins"](za, zb).data, rtol=1e-4)
    np.testing.assert_allclose(step.embeddings, za.data, rtol=1e-4, atol=1e-5)
    step.total.backward()
    assert all(p.grad is not None for p in method.parameters())


def test_each_of_the_neighbours_is_drawn():
    method = method_for("barlow_twins", neighbours=4)
    images, index = method.load(DATA.train, CPU)
    rows, rng = np.full(400, 7), np.random.default_rng(0)
    _, partners = method.sample(images[rows], index[rows], rng)
    numbers = [int((images == partner).all(axis=(1, 2, 3)).argmax()) for partner in partners]
    near, counts = np.unique(numbers, return_counts=True)
    np.testing.assert_array_equal(near, np.sort(nearest_rows(images.reshape(len(images), -1), 4)[7]))
    assert counts.min() > 60  # of 100 expected


@pytest.mark.parametrize("loss", PAIR_LOSSES)
def test_every_loss_of_pairs_compares_them(loss):
    sequences = all_losses()[loss].sequences
    vit = {"name": "vit", "width": 8, "depth": 1, "heads": 2, "patch": 4}
    method = method_for(loss, encoder=vit if sequences else None, dimensions=8, batch_norm=not sequences)
    step = stepped(method, np.arange(32))
    assert np.isfinite(step.total.data)
    step.total.backward()
    assert any(p.grad is not None and np.abs(p.grad).max() > 0 for p in method.encoder.parameters())


def test_on_a_device_as_on_the_host():
    host, device = (stepped(method_for("barlow_twins"), np.arange(24), backend) for backend in (CPU, DOUBLE))
    assert type(device.embeddings) is DoubleArray
    np.testing.assert_allclose(device.embeddings.get(), host.embeddings, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(device.total.data.get(), host.total.data, rtol=1e-4)


def test_more_neighbours_than_others_are_refused():
    five = ImageSet("five", DATA.train.images[:5])
    with pytest.raises(ValueError, match="method neighbours: neighbours: got 5, expected 1 to 4, fewer"):
        method_for("barlow_twins", 5).load(five, CPU)
    with pytest.raises(ValueError, match="method neighbours: neighbours: got 0, expected a whole number from 1"):
        method_for("barlow_twins", 0)
    method_for("barlow_twins", 4).load(five, CPU)
