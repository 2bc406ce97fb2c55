"""Hard patches mining: what is hidden, what is rebuilt, whose order is learnt, of images and of clips."""

import numpy as np
import pytest

from mini_repr.autograd import no_grad
from mini_repr.data import Dataset, ImageSet, load
from mini_repr.losses.reconstruction.masked_regression import masked_regression
from mini_repr.losses.reconstruction.patch_order import patch_order
from mini_repr.methods import Batch, build_method
from mini_repr.nn import patchify
from mini_repr.training import config

IMAGES, CLIPS = load("digits"), load("moving", count=16)
SMALL = {"name": "vit", "width": 16, "depth": 1, "heads": 2}


def method_for(data=CLIPS, encoder=None, **own):
    encoder = encoder or {**SMALL, "patch": 2 if data is IMAGES else 4}
    chosen = {"loss": {"name": "patch_order"}, "method": {"views": "", "decoder_width": 16, **own}, "encoder": encoder}
    return build_method(config.resolve(chosen), data, np.random.default_rng(0))


def step_of(method, data):
    images = data.train.images[:12]
    step = method.step(Batch((images,), None, np.arange(12)), np.random.default_rng(1))
    images, hidden = method.sample(images, np.random.default_rng(1))
    with no_grad():
        return step, images, hidden, method.embed(images, hidden)


@pytest.mark.parametrize("data", [IMAGES, CLIPS], ids=["images", "clips"])
def test_a_step_adds_the_order_of_its_own_errors(data):
    method = method_for(data)
    step, images, hidden, (prediction, scores, _) = step_of(method, data)
    patch, frames = method.encoder.patch, [0, 2, 4, 7]
    target = patchify(images if data is IMAGES else images[:, frames], patch)
    error = ((prediction.data - target) ** 2).mean(axis=-1)
    expected = masked_regression(prediction, target, hidden, normalize_target=False).data
    expected = expected + patch_order(scores, error, hidden).data
    np.testing.assert_allclose(step.total.data, expected, rtol=1e-5)
    step.total.backward()
    reached = {name for name, p in method.named_parameters().items() if p.grad is not None and p.grad.any()}
    assert {"encoder.embed.weight", "decoder.pixels.weight", "scorer.pixels.weight"} <= reached
    assert not any(name.startswith("teacher") for name in reached)


def test_features_of_the_teacher_in_place_of_pixels():
    method = method_for(target="features")
    for parameter in method.teacher_encoder.parameters():
        parameter.data = parameter.data + 0.05
    step, clips, hidden, (prediction, scores, _) = step_of(method, CLIPS)
    with no_grad():
        features = method.teacher_encoder(clips).tokens.data
    y, f = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (prediction.data, features))
    error = 2 - 2 * (y * f).sum(axis=-1)
    assert error.min() >= 0 and error.max() <= 4
    expected = error[hidden].mean() + patch_order(scores, error.astype(np.float32), hidden).data
    np.testing.assert_allclose(step.total.data, expected, rtol=1e-4)
    assert set(step.total.terms) == {"patch_order", "features"}
    np.testing.assert_allclose(method.errors(3 * prediction.data, y * 0 + f), error, atol=1e-5)
    assert set(method.rebuilt(clips, np.random.default_rng(0))) == {"scores"}


def test_the_teacher_hides_what_it_thinks_hard():
    method = method_for(ratio=0.5)
    scores = method.scores(CLIPS.train.images)
    method.progress[:] = 1.0
    for seed in range(3):
        _, hidden = method.sample(CLIPS.train.images, np.random.default_rng(seed))
        hardest = np.argsort(-scores, axis=1)[:, :16]  # half of the 32 that are hidden
        assert np.take_along_axis(hidden, hardest, axis=1).all() and (hidden.sum(axis=1) == 32).all()
    method.mine = False
    _, hidden = method.sample(CLIPS.train.images, np.random.default_rng(0))
    assert not np.take_along_axis(hidden, hardest, axis=1).all(), "at random"


def test_tubes_hide_the_places_of_the_highest_mean_scores():
    method = method_for(ratio=0.5, tubes=True)
    scores = method.scores(CLIPS.train.images)
    method.progress[:] = 1.0
    _, hidden = method.sample(CLIPS.train.images, np.random.default_rng(0))
    hidden = hidden.reshape(16, 4, 16)
    assert (hidden == hidden[:, :1]).all() and (hidden[:, 0].sum(axis=1) == 8).all()
    hardest = np.argsort(-scores.reshape(16, 4, 16).mean(axis=1), axis=1)[:, :4]
    assert np.take_along_axis(hidden[:, 0], hardest, axis=1).all()


def test_clips_of_one_frame_are_images():
    clips = load("moving", count=16, frames=1)
    parts = (ImageSet(p.name, p.images[:, 0], p.labels, p.label_names) for p in (clips.train, clips.test))
    images = Dataset("images", *parts)
    of_clips, of_images = method_for(clips), method_for(images)
    state = {name: np.zeros_like(x) if "times" in name else x for name, x in of_clips.state_dict().items()}
    # The decoders' fixed positions of one time: cos 0 is added to half of the columns.
    state |= {name: x for name, x in of_images.state_dict().items() if name.endswith("r.positions") and x.ndim == 2}
    of_clips.load_state_dict(state)
    of_images.load_state_dict({name: state[name] for name in of_images.state_dict()})
    one, other = (step_of(method, data)[0].total.data for method, data in ((of_clips, clips), (of_images, images)))
    assert one == other


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="tubes: got True, expected False, as the data holds images"):
        method_for(IMAGES, tubes=True)
    with pytest.raises(ValueError, match="normalize_target: got True, expected False with target=features"):
        method_for(normalize_target=True, target="features")
    with pytest.raises(ValueError, match=r"mined_mask: .*ratio 1"):
        method_for(ratio=1.0)
