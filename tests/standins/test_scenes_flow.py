"""The denoiser that reads captions, untrained and small: what it is told, its maps, slots, sampling, and the judge."""

import numpy as np
import pytest

from mini_repr.autograd import Tensor
from mini_repr.data import digits
from mini_repr.data.generated.scenes import CAPTIONS, NUMBERS, scene
from mini_repr.standins import agreement, scenes_flow, spotter

CAPTION = "a seven left of a two"
X = np.random.default_rng(0).standard_normal((3, 1, 16, 16)).astype(np.float32)


@pytest.fixture(scope="module")
def denoiser():
    made = scenes_flow.make(0, width=16, depth=2, heads=2)
    rng = np.random.default_rng(1)
    for parameter in made.parameters():
        parameter.data += 0.1 * rng.standard_normal(parameter.shape).astype(np.float32)
    return made.eval()


def says(denoiser, captions, x=X, t=0.5, **slots):
    text = denoiser.read(denoiser.ids(captions), slots or None)
    return scenes_flow.velocity(denoiser, x, t, text).data


def test_the_caption_changes_what_is_said_of_its_own_image_alone(denoiser):
    one, other = says(denoiser, [CAPTION] * 3), says(denoiser, ["a two left of a seven", CAPTION, CAPTION])
    changed = np.abs(one - other).max(axis=(1, 2, 3))
    assert changed[0] > 1e-5 and not changed[1:].any()


def test_padding_says_nothing(denoiser):
    ids = denoiser.ids([CAPTION])
    cut = ids[:, : int((ids != 0).sum())]
    places = denoiser.places
    denoiser.places = places[: cut.shape[1]]
    try:
        short = scenes_flow.velocity(denoiser, X[:1], 0.5, denoiser.read(cut)).data
    finally:
        denoiser.places = places
    np.testing.assert_allclose(short, says(denoiser, [CAPTION], X[:1]), rtol=1e-4, atol=1e-6)


def test_maps_are_shares_over_the_words_and_carry_a_gradient(denoiser):
    x = Tensor(X, requires_grad=True)
    denoised = denoiser.denoise(x, np.full(3, 0.5), text=denoiser.read(denoiser.ids([CAPTION] * 3)))
    assert len(denoised.maps) == 2 and denoised.maps[0].shape == (3, 2, 4, CAPTIONS.length)
    np.testing.assert_allclose(denoised.maps[1].data.sum(axis=-1), 1, rtol=1e-5)
    assert not denoised.maps[0].data[..., len(CAPTION.split()) + 2 :].any()
    denoised.maps[1][:, :, :, 2].sum().backward()
    assert np.abs(x.grad).max() > 0


def test_a_slot_takes_the_place_of_a_word_and_of_no_other(denoiser):
    seven = denoiser.words.weight.data[CAPTIONS.words.index("seven")]
    told = says(denoiser, ["a s1 left of a two"] * 3, s1=seven)
    np.testing.assert_allclose(told, says(denoiser, [CAPTION] * 3), rtol=1e-5, atol=1e-6)
    row = Tensor(seven.copy(), requires_grad=True)
    text = denoiser.read(denoiser.ids(["a s1 left of a two"] * 3), {"s1": row})
    (scenes_flow.velocity(denoiser, X, 0.5, text) ** 2).mean().backward()
    assert np.abs(row.grad).max() > 0
    np.testing.assert_array_equal(says(denoiser, [CAPTION] * 3, s1=0 * seven), says(denoiser, [CAPTION] * 3))


def test_samples_are_images_and_follow_guidance_and_seed(denoiser):
    drawn = scenes_flow.sample(denoiser, X, [CAPTION] * 3, steps=3)
    assert drawn.shape == X.shape and drawn.min() >= 0 and drawn.max() <= 1
    np.testing.assert_array_equal(drawn, scenes_flow.sample(denoiser, X, [CAPTION] * 3, steps=3))
    assert (drawn != scenes_flow.sample(denoiser, X, [CAPTION] * 3, steps=3, guidance=5.0)).any()


def test_training_lowers_the_loss():
    small, losses = scenes_flow.make(0, width=16, depth=1, heads=2), []
    scenes_flow.train(small, 0, lambda step, of, loss: losses.append(loss), steps=60, scenes=200)
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10]) and not small.training


class Sighted:
    """A spotter that is told what there is."""

    def __init__(self, kinds, dark):
        self.spot = lambda images: (np.array(kinds), np.array(dark))


@pytest.mark.parametrize(
    "caption, kinds, dark, expected",
    [
        (CAPTION, [7, 2, 10, 10], [0, 0, 0, 0], {"present": 1, "relation": 1, "attribute": 1, "exact": 1}),
        (CAPTION, [2, 7, 10, 10], [0, 0, 0, 0], {"present": 1, "relation": 0, "attribute": 1, "exact": 1}),
        (CAPTION, [7, 10, 10, 2], [0, 0, 0, 0], {"present": 1, "relation": 0, "attribute": 1, "exact": 1}),
        (CAPTION, [7, 2, 3, 10], [0, 0, 0, 0], {"present": 1, "relation": 1, "attribute": 1, "exact": 0}),
        (CAPTION, [7, 3, 10, 10], [0, 0, 0, 0], {"present": 0, "relation": 0, "attribute": 0, "exact": 0}),
        ("a dark seven", [10, 7, 10, 10], [0, 0, 0, 0], {"present": 1, "attribute": 0, "exact": 1}),
        ("a dark seven", [10, 7, 10, 10], [0, 1, 0, 0], {"present": 1, "attribute": 1, "exact": 1}),
        ("3x two", [2, 2, 10, 2], [0, 0, 0, 0], {"present": 1, "attribute": 1, "exact": 1}),
        ("3x two", [2, 2, 10, 10], [0, 0, 0, 0], {"present": 0, "attribute": 0, "exact": 0}),
        ("a two above a one", [10, 2, 10, 1], [0, 0, 0, 0], {"present": 1, "relation": 1, "attribute": 1, "exact": 1}),
    ],
)
def test_agreement_is_what_the_caption_says(caption, kinds, dark, expected):
    found = agreement(Sighted([kinds], [dark]), X[:1], [caption])
    assert {n: x for n, x in found.items() if not np.isnan(x)} == expected


def test_a_true_scene_agrees_with_its_caption_in_the_eyes_of_one_who_sees():
    rng, part = np.random.default_rng(2), digits().test
    for _ in range(40):
        one = scene(rng, part)
        kinds, dark = np.full(4, 10), np.zeros(4, int)
        for o in one.objects:
            kinds[o.cell], dark[o.cell] = o.digit, o.attribute == "dark"
        found = agreement(Sighted([kinds], [dark]), one.image[None, None], [one.caption])
        assert all(x == 1 for x in found.values() if not np.isnan(x)), one.caption


def test_windows_of_training_are_digits_or_nothing():
    seen, kinds, dark = spotter.windows(digits().train, np.random.default_rng(0), 500)
    assert seen.shape == (500, 64) and seen.min() >= 0 and seen.max() <= 1
    assert 0.2 < (kinds == spotter.NOTHING).mean() < 0.5 and 0.4 < dark.mean() < 0.6
    assert set(kinds) == set(range(11))


def test_the_potential_has_a_gradient_and_looks_at_every_window():
    eye = spotter.make(0)
    x = Tensor(np.random.default_rng(0).random((2, 1, 16, 16), dtype=np.float32), requires_grad=True)
    found = eye.potential(x, 3)
    assert found.shape == (2, 25) and (found.data > 0).all() and (found.data < 1).all()
    found.sum().backward()
    assert (np.abs(x.grad) > 0).mean() > 0.9
    kinds, _ = eye.spot(x.data)
    corners = eye.potential(x, NUMBERS.index("three"), stride=8)
    assert kinds.shape == corners.shape == (2, 4)
