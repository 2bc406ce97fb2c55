"""Masked clips: what a token predicts, which masks there are, and which methods take no clips."""

import numpy as np
import pytest

from mini_repr.autograd import no_grad
from mini_repr.data import load
from mini_repr.losses.reconstruction.masked_regression import masked_regression
from mini_repr.masking import CLIP_MASKS
from mini_repr.methods import Batch, build_method
from mini_repr.training import config

DATA = load("moving", count=12)
CLIPS = DATA.train.images
SMALL = {"name": "vit", "width": 16, "depth": 1, "heads": 2, "patch": 4}


def method_for(loss="masked_regression", data=DATA, encoder=SMALL, **own):
    chosen = {"loss": {"name": loss}, "method": {"views": "", **own}, "encoder": encoder}
    return build_method(config.resolve(chosen), data, np.random.default_rng(0))


@pytest.mark.parametrize("style", ["mae", "simmim"])
@pytest.mark.parametrize("mask", ["random", *CLIP_MASKS])
def test_a_step_rebuilds_one_frame_of_each_hidden_token(style, mask):
    method = method_for(style=style, mask=mask)
    step = method.step(Batch((CLIPS,), None, np.arange(12)), np.random.default_rng(1))
    clips, hidden = method.sample(CLIPS, np.random.default_rng(1))
    with no_grad():
        prediction, _ = method.embed(clips, hidden)
    frames = [0, 2, 4, 7]
    rows = [
        clips[:, t, 0, y : y + 4, x : x + 4].reshape(12, 16)
        for t in frames
        for y in range(0, 16, 4)
        for x in range(0, 16, 4)
    ]
    expected = masked_regression(prediction, np.stack(rows, axis=1), hidden).data
    np.testing.assert_allclose(step.total.data, expected, rtol=1e-5)
    assert hidden.sum(axis=1).tolist() == [48] * 12
    step.total.backward()
    assert method.encoder.times.grad.any() and method.encoder.positions.grad.any()


@pytest.mark.parametrize("style", ["mae", "simmim"])
def test_prediction_knows_nothing_of_what_is_hidden(style):
    method = method_for(style=style)
    clips, hidden = method.sample(CLIPS, np.random.default_rng(1))
    pixels = hidden.reshape(12, 4, 4, 4).repeat(2, axis=1).repeat(4, axis=2).repeat(4, axis=3)[:, :, None]
    noise = np.random.default_rng(5).random(clips.shape).astype(np.float32)
    with no_grad():
        one, other = (method.embed(x, hidden)[0].data for x in (clips, np.where(pixels, noise, clips)))
    np.testing.assert_array_equal(one, other)


def test_structured_masks_of_images():
    images = load("wandering", count=12)
    method = method_for(data=images, mask="block", ratio=0.5)
    _, hidden = method.sample(images.train.images, np.random.default_rng(1))
    assert hidden.sum(axis=1).tolist() == [8] * 12
    for mask in ("space", "time"):
        with pytest.raises(ValueError, match=f"mask: got '{mask}', expected random or block, as the data holds images"):
            method_for(data=images, mask=mask)
    for data, own in ((DATA, {}), (images, {"mask": "block"})):
        with pytest.raises(ValueError, match="unit: got 2, expected 1 of clips and of other masks than random"):
            method_for(data=data, unit=2, **own)


@pytest.mark.parametrize(
    "loss, name",
    [
        ("patch_discrimination", "latent_mim"),
        ("cluster_prediction", "capi"),
        ("cross_entropy", "supervised_masked"),
    ],
)
def test_methods_that_take_no_clips_say_so(loss, name):
    with pytest.raises(
        ValueError, match=f"method {name}: takes images, the data holds clips: expected --method masked"
    ):
        method_for(loss, name=name)


@pytest.mark.parametrize("loss, name", [("infonce", "simclr"), ("infonce", "masked_contrast"), ("patch_order", "hpm")])
def test_other_methods_that_take_clips(loss, name):
    method = method_for(loss, name=name)
    step = method.step(Batch((CLIPS,), DATA.train.labels, np.arange(12)), np.random.default_rng(1))
    step.total.backward()
    assert np.isfinite(step.total.data) and method.encoder.times.grad.any()


@pytest.mark.parametrize("encoder", [{"name": "crate", "width": 16, "depth": 1, "heads": 2, "patch": 4}])
def test_crate_takes_clips_too(encoder):
    for style in ("mae", "crate"):
        method = method_for(encoder=encoder, style=style)
        step = method.step(Batch((CLIPS,), None, np.arange(12)), np.random.default_rng(1))
        assert np.isfinite(step.total.data)
