"""Contrast and matching with hard negatives; pairs whose patches are dimmed where a word is seen."""

import numpy as np
import pytest

from mini_repr.autograd import no_grad
from mini_repr.backend import CPU
from mini_repr.data import load
from mini_repr.losses.pairs.focal_itc import focal_itc
from mini_repr.masking.word_attention import drawn_word, word_maps
from mini_repr.methods import Batch, build_method
from mini_repr.training import config

DATA = load("captions", count=16, side=2, most=2)
VIT = {"name": "vit", "width": 16, "depth": 1, "heads": 2, "patch": 4, "pooling": "mean"}


def method_for(**own):
    chosen = {"loss": {"name": "focal_itc"}, "encoder": VIT, "method": {"name": "soft_masks", **own}}
    method = build_method(config.resolve(chosen, "captions"), DATA, np.random.default_rng(0))
    return method, Batch(method.load(DATA.train, CPU), None, np.arange(16))


def log_softmax(scores):
    return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))


@pytest.mark.parametrize("masks", ["word", "shuffled", "none"])
def test_the_loss_is_contrast_and_matching_of_all_its_pairs(masks):
    method, batch = method_for(masks=masks)
    step = method.step(batch, np.random.default_rng(5))
    images, ids, mask, draws, order = method.sample(*batch.inputs, np.random.default_rng(5))
    za, zb, patches, words = method.embed(images, ids, mask, draws, order)
    contrast = float(focal_itc(za.data, zb.data).data)
    image_of, text_of = method.hard_negatives(za.data, zb.data, ids, draws[:, 1:])
    own = np.arange(16)
    pairs = [(own, own, 1), (image_of, own, 0), (own, text_of, 0)]
    costs = []
    for seen, read, answer in pairs:
        scores = method.cross_encoder(words.data[read], mask[read], patches.data[seen])[0].data
        costs.append(-log_softmax(scores)[:, answer])
    if masks != "none":
        maps = word_maps(*method.cross_encoder.attention_gradient(words.data, mask, patches.data))
        chosen = maps[own, drawn_word(mask, draws[:, 0])]
        if masks == "shuffled":
            chosen = np.take_along_axis(chosen, order.argsort(axis=1), axis=1)
        dimmed = patches.data * (1 - chosen[:, :, None])
        costs.append(-log_softmax(method.cross_encoder(words.data, mask, dimmed)[0].data)[:, 1])
    assert step.total.terms["matching"] == pytest.approx(np.mean(costs), rel=1e-4)
    assert float(step.total.data) == pytest.approx(contrast + np.mean(costs), rel=1e-4)
    step.total.backward()
    assert all(
        np.abs(p.grad).max() > 0 for n, p in method.trained_parameters().items() if n != "cross_encoder.key.bias"
    )


def test_the_mask_is_a_constant():
    """The gradient of the patches is that of a step with the masks given as numbers."""
    method, batch = method_for()
    inputs = method.sample(*batch.inputs, np.random.default_rng(5))
    rows, targets = method.embed(*inputs), method.targets(*inputs)
    method.compare(rows, targets, batch, method.objective).total.backward()
    found = method.encoder.embed.weight.grad.copy()
    rows = method.embed(*inputs)
    fixed = method.soft_mask(rows[2].data, rows[3].data, inputs[2], inputs[3][:, 0], inputs[4])
    method.soft_mask = lambda *_: fixed
    method.zero_grad()
    method.compare(rows, targets, batch, method.objective).total.backward()
    np.testing.assert_allclose(method.encoder.embed.weight.grad, found, rtol=1e-5, atol=1e-8)


def test_shuffled_masks_have_the_values_of_the_words_on_other_patches():
    method, batch = method_for()
    images, ids, mask, draws, order = method.sample(*batch.inputs, np.random.default_rng(5))
    _, _, patches, words = method.embed(images, ids, mask, draws, order)
    own = method.soft_mask(patches.data, words.data, mask, draws[:, 0], order)
    method.masks = "shuffled"
    moved = method.soft_mask(patches.data, words.data, mask, draws[:, 0], order)
    np.testing.assert_array_equal(np.sort(own, axis=1), np.sort(moved, axis=1))
    assert (own != moved).any(axis=1).mean() > 0.5


def test_negatives_are_others_and_hard_ones_come_more_often():
    method, _ = method_for()
    rng = np.random.default_rng(0)
    z = rng.standard_normal((4, 8))
    za, zb = z, z.copy()
    zb[1] = za[0] + 0.5 * rng.standard_normal(8)  # the text of image 1 is nearly that of image 0
    ids = np.arange(4)[:, None]
    drawn = np.array([method.hard_negatives(za, zb, ids, rng.random((4, 2))) for _ in range(400)])
    assert (drawn != np.arange(4)).all()
    texts_of_0, images_of_1 = drawn[:, 1, 0], drawn[:, 0, 1]
    assert (texts_of_0 == 1).mean() > 0.9 and (images_of_1 == 0).mean() > 0.9
    method.negative_temperature = 1e-4
    method.hard_negatives(za, zb, ids, rng.random((4, 2)))  # no overflow: warnings are errors


def test_equal_captions_are_no_negatives():
    method, _ = method_for()
    rng = np.random.default_rng(0)
    za, zb = rng.standard_normal((2, 6, 8))
    ids = np.array([[1, 2], [1, 2], [1, 2], [1, 2], [1, 2], [3, 2]])
    for _ in range(20):
        image_of, text_of = method.hard_negatives(za, zb, ids, rng.random((6, 2)))
        assert (image_of[:5] == 5).all() and (text_of[:5] == 5).all() and image_of[5] < 5 and text_of[5] < 5
    image_of, text_of = method.hard_negatives(za, zb, np.ones((6, 2)), rng.random((6, 2)))
    assert (image_of != np.arange(6)).all() and (text_of != np.arange(6)).all()


def test_matching_and_maps_are_of_the_pairs_given():
    method, _ = method_for()
    images, texts = DATA.test.images[:3], DATA.test.texts[:3]
    ids, mask = method.text_encoder.tokenise(texts)
    scores, _ = method.cross_encoder(method.text_encoder(ids, mask).tokens, mask, method.encoder(images).tokens)
    np.testing.assert_allclose(method.matching(images, texts), scores.data[:, 1] - scores.data[:, 0], atol=1e-5)
    assert method.maps_of(images, texts).shape == (3, ids.shape[1], 16)


def test_an_encoder_without_patches_is_refused():
    chosen = {"loss": {"name": "focal_itc"}, "encoder": {"name": "mlp"}, "method": {"name": "soft_masks"}}
    with pytest.raises(ValueError, match="method soft_masks: needs an image encoder with patches"):
        build_method(config.resolve(chosen, "captions"), DATA, np.random.default_rng(0))


def test_a_loss_can_be_measured_without_recording():
    """As ``landscape`` does: the masks need a gradient all the same."""
    method, batch = method_for()
    expected = float(method.step(batch, np.random.default_rng(5)).total.data)
    with no_grad():
        step = method.step(batch, np.random.default_rng(5))
    assert float(step.total.data) == pytest.approx(expected, rel=1e-6) and not step.total.requires_grad
