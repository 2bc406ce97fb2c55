"""Images and their captions through a tower each; pooling by the maximum; what patches show."""

import numpy as np
import pytest
from click.testing import CliRunner

from mini_repr import load_run
from mini_repr.autograd import Tensor
from mini_repr.autograd import max as largest
from mini_repr.backend import CPU
from mini_repr.cli import main
from mini_repr.data import CaptionedSet, Dataset, load
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.methods import Batch, build_method, encode, encode_tokens
from mini_repr.metrics import mean_iou
from mini_repr.metrics.segmentation import background_threshold, patch_labels, segmented, zero_shot_patches
from mini_repr.nn import ViT
from mini_repr.training import config, session
from mini_repr.training.evaluation import compare

DATA = load("captions", count=24, side=2)
VIT = {"name": "vit", "width": 16, "depth": 1, "heads": 2, "patch": 8, "pooling": "max"}


def method_for(**sections):
    chosen = {"loss": {"name": "infonce"}, "encoder": VIT, **sections}
    method = build_method(config.resolve(chosen, "captions"), DATA, np.random.default_rng(0))
    return method, Batch(method.load(DATA.train, CPU), None, np.arange(24))


def test_the_loss_is_that_of_mapped_images_and_mapped_captions():
    method, batch = method_for(method={"dimensions": 12})
    step = method.step(batch, np.random.default_rng(0))
    a = method.encoder(DATA.train.images).pooled.data @ method.image_map.weight.data
    b = method.text_encoder(*method.text_encoder.tokenise(DATA.train.texts)).pooled.data @ method.text_map.weight.data
    assert a.shape == b.shape == (24, 12)
    assert float(step.total.data) == pytest.approx(float(infonce(a, b, temperature=0.2).data), rel=1e-5)
    step.total.backward()
    assert all(p.grad is not None and np.abs(p.grad).max() > 0 for p in method.trained_parameters().values())


def test_a_maximum_is_of_each_column_and_only_its_patch_gets_a_gradient():
    encoder = ViT((1, 16, 16), np.random.default_rng(0), patch=4, width=8, heads=2, pooling="max")
    encoded = encoder(DATA.train.images[:3])
    tokens = encoded.tokens.data
    np.testing.assert_array_equal(encoded.pooled.data, tokens.max(axis=1))
    assert (encoded.pooled.data >= tokens.mean(axis=1)).all() and encoder.class_token is None
    rows = Tensor(tokens, requires_grad=True)
    largest(rows, axis=1).sum().backward()
    assert rows.grad.sum() == 3 * 8
    np.testing.assert_array_equal(rows.grad > 0, tokens == tokens.max(axis=1, keepdims=True))


def test_one_patch_is_its_own_maximum_and_mean():
    def row(pooling):
        encoder = ViT((1, 8, 8), np.random.default_rng(0), patch=8, width=8, heads=2, pooling=pooling)
        return encoder(DATA.train.images[:2, :, :8, :8]).pooled.data

    np.testing.assert_array_equal(row("max"), row("mean"))


def test_the_order_of_patches_plays_no_part_in_the_maximum():
    encoder = ViT((1, 16, 16), np.random.default_rng(0), patch=8, width=8, heads=2, pooling="max")
    encoder.positions.data[:] = 0
    images = DATA.train.images[:4]
    moved = np.roll(images, 8, axis=3)
    np.testing.assert_allclose(encoder(moved).pooled.data, encoder(images).pooled.data, atol=1e-5)


def finished(data, **sections):
    settings, data = session.prepare({"loss": {"name": "infonce"}, "encoder": VIT, **sections}, data)
    run = session.Run(settings, data, CPU)
    while not run.finished:
        run.train_epoch()
    return run


def test_towers_learn_to_name_patches_from_captions_alone():
    """400 steps; a patch is a cell. Chance is 0.1, and 0.02 for captions."""
    data = load("captions", count=640, side=2, most=2)
    blind = CaptionedSet("captions", data.train.images, data.train.texts)
    run = finished(
        Dataset("captions", blind, CaptionedSet("captions", data.test.images, data.test.texts)),
        encoder={**VIT, "width": 32, "positions": "sine"},
        optimizer={"lr": 1e-2},
        train={"epochs": 20, "batch_size": 32},
    )
    scores = compare(run, data)["trained"]
    assert scores["caption"] > 0.4 and scores["patch"] > 0.4
    images, texts = run.method.towers
    cosines, labels = [], []
    for part in (data.train.take(slice(500)), data.test):
        tokens = encode_tokens(images, part.images, CPU)
        cosines.append(zero_shot_patches(tokens, encode(texts, list(part.things), CPU)))
        labels.append(patch_labels(part.pixels, 8))
    there = labels[1] >= 0
    assert scores["patch"] == pytest.approx((cosines[1].argmax(axis=-1) == labels[1])[there].mean())
    threshold = background_threshold(cosines[0], labels[0])
    assert scores["mean_iou"] == pytest.approx(mean_iou(segmented(cosines[1], threshold), labels[1]))


def test_without_pixels_or_tokens_nothing_is_said_of_patches():
    run = finished(DATA, encoder={"name": "mlp", "width": 8, "hidden": 8}, train={"epochs": 1, "batch_size": 8})
    scores = compare(run)
    assert scores.keys() == {"trained", "untrained"}
    assert "caption" in scores["trained"] and "patch" not in scores["trained"]


def test_equal_captions_are_one():
    """All images have one caption: it is always the right one."""
    one = CaptionedSet("f", DATA.train.images, ["a two"] * 24)
    run = finished(Dataset("f", one, one), train={"epochs": 1, "batch_size": 8})
    assert compare(run)["trained"]["caption"] == 1


def test_a_run_by_command(tmp_path):
    def called(*args):
        result = CliRunner().invoke(main, [str(arg) for arg in args])
        assert result.exit_code == 0, result.output
        return result.output

    start = [
        "--set",
        "data.count=64",
        "--set",
        "data.side=2",
        "--set",
        "encoder.pooling=max",
        "--set",
        "encoder.width=16",
    ]
    trained = called(
        "train", "--data", "captions", *start, "--epochs", 1, "--out", tmp_path / "run", "--batch-size", 16
    )
    table = called("eval", tmp_path / "run")
    assert table in trained and "mean IoU" in table and "Jaccard" in table
    assert "layer 2" in called("eval", tmp_path / "run", "--layers")
    assert "a (80, 64), b (80, 64)" in called("embed", tmp_path / "run", "--out", tmp_path / "rows.npz")
    run, saved = load_run(tmp_path / "run"), np.load(tmp_path / "rows.npz")
    np.testing.assert_allclose(run.embed(run.data.test.images), saved["a"][saved["is_test"]], atol=1e-5)
    np.testing.assert_allclose(run.embed(run.data.test.texts, tower="b"), saved["b"][saved["is_test"]], atol=1e-5)
    with pytest.raises(ValueError, match="embed: samples: expected a list of texts"):
        run.embed(run.data.test.images, tower="b")


def test_captioned_images_are_seen_as_they_are():
    chosen = {"loss": {"name": "infonce"}, "method": {"views": "shift"}}
    with pytest.raises(ValueError, match="views: got 'shift', expected none: captions holds images with captions"):
        session.prepare(chosen, DATA)
