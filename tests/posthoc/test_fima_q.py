"""A network of few bits: the Fisher losses by hand, its parts in order, answers that change little, and the command."""

from copy import deepcopy

import numpy as np
import pytest
from click.testing import CliRunner

from mini_repr.autograd import Tensor, no_grad
from mini_repr.claims.bench.trained import trained as trained_run
from mini_repr.cli import main
from mini_repr.data import load
from mini_repr.nn import ImageMLP, Linear, ViT
from mini_repr.posthoc.fima_q import (
    Learning,
    Part,
    answers_of,
    calibrated,
    divergence,
    front,
    judged,
    learn,
    quantise,
    reconstruction_loss,
)
from mini_repr.posthoc.quantisers import Uniform
from mini_repr.training.session import start

IMAGES = load("digits").train.images[:40]


def network(dtype=np.float32, pooling="cls"):
    rng = np.random.default_rng(0)
    encoder = ViT((1, 8, 8), rng, dtype, patch=4, width=8, depth=2, heads=2, pooling=pooling)
    for p in encoder.parameters():
        p.data += (0.2 * rng.standard_normal(p.shape)).astype(dtype)
    return encoder.eval(), Linear(8, 5, rng, dtype=dtype)


def test_losses_by_hand():
    rng = np.random.default_rng(3)
    away, own = rng.normal(size=(4, 6)), np.abs(rng.normal(size=(4, 6)))
    g, d = np.abs(rng.normal(size=(2, 2, 6)))
    diagonal = np.mean([[x * x * m for x, m in zip(row, g.mean(axis=0), strict=True)] for row in away])
    inverse = np.linalg.inv([[sum(a * b for a, b in zip(x, y, strict=True)) for y in d] for x in d])
    low_rank = np.mean([[a @ inverse @ a] for a in (np.abs(row) @ g.T for row in away)])
    expected = {"mse": np.mean(away**2), "brecq": np.mean(away**2 * own**2), "diagonal": 2 * diagonal}
    for kind, value in {**expected, "dplr": diagonal + low_rank}.items():
        first = {name: 1.0 for name in ("mse", "brecq", "diagonal", "low rank")}
        found = reconstruction_loss(Tensor(away), kind, list(g), list(d), own, first)
        assert float(found.data) == pytest.approx(value)
        fresh = reconstruction_loss(Tensor(away), kind, list(g), list(d), own, {})
        assert float(fresh.data) == pytest.approx(2.0 if kind in ("diagonal", "dplr") else 1.0)


def test_the_slope_is_the_softmax_fisher_matrix_times_the_change():
    """Of the last block, to first order: J^T (diag p - p p^T) J Δ / T², J of the answers in the block's outputs."""
    encoder, head = network(np.float64)
    with no_grad():
        tokens = front(encoder, IMAGES[:1].astype(np.float64)).data
        answers = answers_of(encoder, head, Tensor(tokens), 2).data
    change = 1e-4 * np.random.default_rng(4).normal(size=tokens.shape)
    moved = Tensor(tokens + change, True)
    divergence(answers_of(encoder, head, moved, 2), answers).backward()
    jacobian = []
    for k in range(5):
        at = Tensor(tokens, True)
        (answers_of(encoder, head, at, 2) * np.eye(5)[k]).sum().backward()
        jacobian.append(at.grad.reshape(-1))
    jacobian, p = np.stack(jacobian), np.exp(answers[0] / 20) / np.exp(answers[0] / 20).sum()
    expected = jacobian.T @ (np.diag(p) - np.outer(p, p)) @ jacobian @ change.reshape(-1) / 20**2
    found = moved.grad.reshape(-1)
    assert np.abs(found - expected).max() < 0.01 * np.abs(expected).max()


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_the_parts_of_a_vit_put_together_are_the_vit(pooling):
    encoder, head = network(pooling=pooling)
    with no_grad():
        whole = head(encoder(IMAGES).pooled).data
        parts = answers_of(encoder, head, front(encoder, IMAGES), 0).data
    np.testing.assert_allclose(parts, whole, atol=1e-5)
    tokens = front(encoder, IMAGES).data

    def block(x):
        return encoder.blocks[0](x)[0]

    at = Part(block, tokens, tokens, block(tokens).data, whole, lambda outputs: answers_of(encoder, head, outputs, 1))
    g, d = at.slopes()
    assert d.max() == 0 and g.max() < 1e-6


@pytest.fixture(scope="module")
def trained():
    """A network that tells digits apart, and what it says of images."""
    made = trained_run(
        0,
        loss={"name": "cross_entropy"},
        encoder={"name": "vit", "width": 16, "depth": 1, "heads": 2},
        method={"views": ""},
        train={"epochs": 4},
        optimizer={"lr": 3e-3},
    )
    encoder, head = made.method.encoder.eval(), made.method.head
    return encoder, head, lambda images: head(encoder(images).pooled)


def test_learning_changes_answers_less_than_rounding_and_eight_bits_hardly(trained):
    encoder, head, whole = trained
    data, before = load("digits"), encoder.state_dict() | head.state_dict()
    images = data.train.images[:64]

    def changed(made):
        return judged(made, whole, data.test)[1]

    start = calibrated(encoder, head, images, 3, 3)
    rounded = changed(start)
    for loss in ("mse", "brecq", "diagonal", "dplr"):
        made = deepcopy(start)
        learn(made, encoder, head, images, Learning(loss, 25, 32, 0.1, 1e-3), np.random.default_rng(0))
        assert changed(made) < 0.8 * rounded, loss
        assert not any(grid.rng for grid in made.named_modules().values() if isinstance(grid, Uniform))
    assert changed(calibrated(encoder, head, images, 8, 8)) < 0.05 * rounded
    for name, array in (encoder.state_dict() | head.state_dict()).items():
        np.testing.assert_array_equal(array, before[name])


def test_the_scales_of_what_enters_are_learnt_and_the_same_seed_gives_the_same_bits(trained):
    encoder, head, _ = trained
    images = load("digits").train.images[:64]
    made = [
        quantise(encoder, head, images, loss=loss, steps=steps).state_dict()
        for loss, steps in (("nearest", 1), ("dplr", 6), ("dplr", 6))
    ]
    for name, array in made[2].items():
        np.testing.assert_array_equal(array, made[1][name])
    for name in ("blocks.0.qkv.inputs.scale", "blocks.0.weights.scale", "head.inputs.scale", "embed.inputs.scale"):
        assert (made[1][name] != made[0][name]).any(), name
    for name in ("blocks.0.qkv.codes", "embed.codes", "head.codes"):
        assert made[1][name].dtype == np.uint8 and made[1][name].max() <= 7, name


def test_other_encoders_are_refused():
    encoder = ImageMLP((1, 8, 8), np.random.default_rng(0), width=8, hidden=8, depth=1)
    with pytest.raises(ValueError, match="quantise: encoder: got one that is no ViT of images"):
        quantise(encoder, network()[1], IMAGES)


def test_the_command_quantises_a_run_and_applies_its_file_again(tmp_path):
    small = {"encoder": {"name": "vit", "width": 8, "depth": 1, "heads": 2}, "train": {"epochs": 1}}
    run, home = start({"loss": {"name": "cross_entropy"}, **small}, out=tmp_path / "run")
    run.save(home)
    home.close()
    words = [str(tmp_path / "run"), "--set", "bits=2", "--set", "steps=5"]
    first = CliRunner().invoke(main, ["quantise", *words, "--out", str(tmp_path / "codes.npz")])
    assert first.exit_code == 0 and "few bits" in first.stdout, first.output
    second = CliRunner().invoke(main, ["quantise", words[0], "--load", str(tmp_path / "codes.npz")])
    assert second.exit_code == 0 and second.stdout == first.stdout
    np.savez(tmp_path / "other.npz", z=np.ones(3))
    codes = dict(np.load(tmp_path / "codes.npz"))
    np.savez(tmp_path / "wider.npz", **codes, **{"state/more": np.ones(3)})
    for extra, part in (
        (["--set", "bits=1"], "bits: got 1, expected"),
        (["--set", "bits=9"], "quantise: bits: got 9 and input_bits 3, expected 2 to 8, or 32 for inputs"),
        (["--set", "input_bits=16"], "quantise: bits: got 3 and input_bits 16, expected 2 to 8, or 32 for inputs"),
        (["--set", "loss=fisher"], "loss: got 'fisher', expected one of nearest"),
        (["--load", str(tmp_path / "wider.npz")], "of another network: QuantisedViT: state"),
        (["--load", "codes.npz", "--set", "bits=2"], "expected neither --set nor --out"),
        (["--load", str(tmp_path / "other.npz")], "holds z, expected what quantise --out wrote"),
    ):
        done = CliRunner().invoke(main, ["quantise", words[0], *extra])
        assert done.exit_code == 2 and part in done.stderr and len(done.stderr.splitlines()) == 1, done.output
