"""Gradient caching: the full batch's gradient, dropout replayed, and what it refuses."""

import numpy as np
import pytest
from float64_runs import trained

from mini_repr.autograd import Tensor, concatenate
from mini_repr.methods.method import Step
from mini_repr.nn import MLP, Module
from mini_repr.optim import backward_in_chunks
from mini_repr.pages.registry import all_losses
from mini_repr.training import config

LOSSES = all_losses()


class Encoder(Module):
    """Two views through one MLP in float64, with a count of the rows that were encoded with history at once."""

    def __init__(self, dropout=0.0):
        self.mlp = MLP((6, 16, 5), np.random.default_rng(0), dropout=dropout, dtype=np.float64)
        self.most_rows = 0

    def embed(self, first, second):
        za, zb = self.mlp(first), self.mlp(second)
        if za.requires_grad:
            self.most_rows = max(self.most_rows, len(za))
        return za, zb

    def gradients(self):
        return {name: p.grad for name, p in self.named_parameters().items()}


def views(count=12):
    rng = np.random.default_rng(1)
    return rng.standard_normal((count, 6)), rng.standard_normal((count, 6))


def cached(encoder, loss, chunk):
    inputs = views()
    result = backward_in_chunks(
        encoder, inputs, encoder.embed, lambda *_: (), lambda rows, _: Step(loss(*rows), None), chunk
    )
    return result.total.item(), encoder.gradients()


@pytest.mark.parametrize("chunk", [1, 5, 12, 100])
@pytest.mark.parametrize("loss", ["infonce", "siglip", "align_uniform", "barlow_twins", "vicreg"])
def test_gradient_of_the_full_batch(loss, chunk):
    whole, parts = Encoder(), Encoder()
    total = LOSSES[loss](*whole.embed(*views()))
    total.backward()
    value, gradients = cached(parts, LOSSES[loss], chunk)
    assert value == pytest.approx(total.item(), rel=1e-14)
    assert parts.most_rows == min(chunk, 12)
    largest = max(np.abs(g).max() for g in gradients.values())
    assert largest > 1e-2
    for name, expected in whole.gradients().items():
        np.testing.assert_allclose(gradients[name], expected, rtol=0, atol=1e-14 * largest)


def test_dropout_is_replayed():
    """The cached gradient is that of one forward pass over the chunks with the same masks, which all rows share."""
    once, twice = Encoder(dropout=0.4), Encoder(dropout=0.4)
    first, second = views()
    chunks = [once.embed(first[k : k + 5], second[k : k + 5]) for k in (0, 5, 10)]
    total = LOSSES["infonce"](*(concatenate(*column) for column in zip(*chunks, strict=True)))
    total.backward()
    value, gradients = cached(twice, LOSSES["infonce"], 5)
    assert value == pytest.approx(total.item(), rel=1e-14)
    for name, expected in once.gradients().items():
        np.testing.assert_allclose(gradients[name], expected, rtol=0, atol=1e-14)
    assert twice.random_state() == once.random_state()  # and the next step draws new ones
    assert cached(twice, LOSSES["infonce"], 5)[0] != value


def test_rows_that_the_loss_does_not_use():
    encoder = Encoder()
    _, gradients = cached(encoder, lambda za, zb: (za * za).sum(), 5)
    alone = Encoder()
    za, _ = alone.embed(*views())
    (za * za).sum().backward()
    for name, expected in alone.gradients().items():
        np.testing.assert_allclose(gradients[name], expected, rtol=1e-12, atol=1e-14)


def test_targets_come_in_chunks_without_history():
    encoder, seen = Encoder(), []

    def targets(first, second):
        assert not encoder.mlp(first).requires_grad  # nothing is recorded here
        return (first.sum(axis=1),)

    def compare(rows, targets):
        seen.extend(targets)
        return Step(sum((z.sum() for z in rows), Tensor(np.zeros(()))), None)

    backward_in_chunks(encoder, views(), encoder.embed, targets, compare, 5)
    np.testing.assert_array_equal(seen[0], views()[0].sum(axis=1))


HEADS = {"hidden": 16, "dimensions": 8}
SMALL = {
    "encoder": {"name": "vit", "width": 16, "depth": 1, "heads": 2, "patch": 4},
    "method": {"views": "shift=1,noise=0.1"},
    "optimizer": {"name": "sgd", "lr": 0.1},
    "train": {"batch_size": 20, "epochs": 1},
}


@pytest.mark.parametrize(
    "sections",
    [
        {"loss": {"name": "infonce"}},
        {"loss": {"name": "supcon"}},
        {"loss": {"name": "cross_entropy"}},
        {"loss": {"name": "uniformity"}, "add": {"dispersive": 0.1}},
        {"loss": {"name": "infonce"}, "method": {"name": "momentum"}},
        {"loss": {"name": "infonce"}, "method": {"name": "neighbours"}, "heads": {"batch_norm": False}},
        {
            "loss": {"name": "infonce", "negatives": "queue", "symmetric": False},
            "method": {"name": "momentum", "queue_size": 50},
        },
    ],
    ids=str,
)
def test_every_method_steps_alike(sections):
    """Three steps in float64, ragged chunks: parameters, teachers and queues."""
    settings = config.merge(SMALL, sections)
    if sections["loss"]["name"] != "cross_entropy":  # a classifier has no heads
        settings = config.merge({"heads": HEADS}, settings)
    whole = trained(settings, 3)
    parts = trained(config.merge(settings, {"train": {"grad_cache": 7}}), 3)
    for name, expected in whole.items():
        np.testing.assert_allclose(parts[name], expected, rtol=0, atol=1e-13, err_msg=name)


def refusal(**sections):
    with pytest.raises(ValueError) as refused:
        trained(config.merge(SMALL, sections), 0)
    return str(refused.value)


@pytest.mark.parametrize(
    "sections, named",
    [
        ({"heads": {"batch_norm": True}}, "projector.norms.0"),
        ({"loss": {"name": "negative_cosine"}}, "predictor.norms.0"),
    ],
)
def test_batch_norm_is_refused(sections, named):
    problem = refusal(**config.merge(sections, {"train": {"grad_cache": 8}}))
    assert problem.startswith(f"train.grad_cache: {named} is a batch norm")


def test_a_negative_chunk_is_refused():
    problem = refusal(train={"grad_cache": -1})
    assert problem == "setting train.grad_cache: got -1, expected a whole number from 0 to 2147483647"
