"""Weights of few bits: the grid, soft and hard rounding, the Fisher losses by hand, and answers that change little."""

import numpy as np
import pytest
from click.testing import CliRunner

from mini_repr.autograd import Tensor, no_grad
from mini_repr.cli import main
from mini_repr.data import load
from mini_repr.nn import ImageMLP, Linear, ViT
from mini_repr.posthoc.fima_q import (
    QuantisedLinear,
    Task,
    answers_of,
    best_scale,
    divergence,
    front,
    quantise,
    reconstruction_loss,
    with_codes,
)
from mini_repr.training.session import start

IMAGES = load("digits").train.images[:40]


def network(dtype=np.float32, pooling="cls"):
    rng = np.random.default_rng(0)
    encoder = ViT((1, 8, 8), rng, dtype, patch=4, width=8, depth=2, heads=2, pooling=pooling)
    for p in encoder.parameters():
        p.data += (0.2 * rng.standard_normal(p.shape)).astype(dtype)
    return encoder.eval(), Linear(8, 5, rng, dtype=dtype)


def test_each_column_has_its_grid_and_no_other_share_rounds_it_better():
    weight = np.random.default_rng(1).standard_normal((30, 4)) * [1, 10, 0.1, 3]
    scale = best_scale(weight, 3)
    whole = np.clip(np.round(weight / scale), -4, 3)
    error = ((whole * scale - weight) ** 2).sum(axis=0)
    for share in np.linspace(0.4, 1.0, 40):
        other = share * np.abs(weight).max(axis=0) / 3.5
        assert (error <= ((np.clip(np.round(weight / other), -4, 3) * other - weight) ** 2).sum(axis=0) + 1e-12).all()
    np.testing.assert_allclose(best_scale(100 * weight, 3), 100 * scale)


def test_soft_weights_start_as_the_weights_inside_the_grid_and_hard_ones_are_whole():
    layer = Linear(6, 3, np.random.default_rng(2), dtype=np.float64)
    made = QuantisedLinear(layer, 4)
    made.soft = True
    inside = (layer.weight.data / made.scale < 7) & (layer.weight.data / made.scale > -8)
    np.testing.assert_allclose(made.weight.data[inside], layer.weight.data[inside], atol=1e-12)
    made.alpha.data[0] = 5.0
    made.alpha.data[1] = -5.0
    made.harden()
    floor = np.floor(layer.weight.data / made.scale)
    np.testing.assert_array_equal(made.codes[0], np.clip(floor[0] + 1, -8, 7))
    np.testing.assert_array_equal(made.codes[1], np.clip(floor[1], -8, 7))
    np.testing.assert_array_equal(made.weight.data, made.codes * made.scale)


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
    at = Task(
        encoder, head, 0, *[front(encoder, IMAGES).data] * 2, encoder.blocks[0](front(encoder, IMAGES))[0].data, whole
    )
    g, d = at.slopes(encoder.blocks[0])
    assert d.max() == 0 and g.max() < 1e-6


def test_learning_changes_answers_less_than_rounding_and_eight_bits_hardly():
    encoder, head = network()
    before = encoder.state_dict()
    with no_grad():
        answers = head(encoder(IMAGES).pooled).data

    def changed(**settings):
        made = quantise(encoder, head, IMAGES, **settings).encoder
        return float(divergence(head(made(IMAGES).pooled), answers, 1.0).data)

    rounded = changed(bits=2, loss="nearest")
    for loss in ("mse", "brecq", "diagonal", "dplr"):
        assert changed(bits=2, loss=loss, steps=40, lr=3e-2) < 0.8 * rounded, loss
    assert changed(bits=8, loss="nearest") < 1e-3 * rounded
    for name, array in encoder.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_other_encoders_are_refused():
    encoder = ImageMLP((1, 8, 8), np.random.default_rng(0), width=8, hidden=8, depth=1)
    with pytest.raises(ValueError, match="quantise: encoder: got one that is no ViT of images"):
        quantise(encoder, network()[1], IMAGES)


def test_codes_are_few_and_give_the_encoder_again():
    encoder, head = network()
    made = quantise(encoder, head, IMAGES, bits=3, loss="nearest")
    assert len(made.codes) == 8 and all(
        c.dtype == np.int8 and -4 <= c.min() <= c.max() <= 3 for c in made.codes.values()
    )
    again = with_codes(encoder, made.codes, made.scales)
    np.testing.assert_array_equal(again(IMAGES).pooled.data, made.encoder(IMAGES).pooled.data)
    with pytest.raises(ValueError, match=r"with_codes: blocks\.0\.qkv: got codes of shape"):
        with_codes(encoder, {"blocks.0.qkv": np.zeros((3, 3))}, {"blocks.0.qkv": np.ones(3)})


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
    for extra, part in (
        (["--set", "bits=1"], "bits: got 1, expected"),
        (["--set", "bits=9"], "quantise: bits: got 9, expected 2 to 8"),
        (["--set", "loss=fisher"], "loss: got 'fisher', expected one of nearest"),
        (["--load", "codes.npz", "--set", "bits=2"], "expected neither --set nor --out"),
        (["--load", str(tmp_path / "other.npz")], "holds z, expected what quantise --out wrote"),
    ):
        done = CliRunner().invoke(main, ["quantise", words[0], *extra])
        assert done.exit_code == 2 and part in done.stderr and len(done.stderr.splitlines()) == 1, done.output
