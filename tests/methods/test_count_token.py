"""A word fitted by counting: where it starts, what is kept, what a gradient passes, and what is refused."""

import numpy as np
import pytest
from awakened import awake

from mini_repr.autograd import Tensor
from mini_repr.data.generated.scenes import CAPTIONS
from mini_repr.methods.count_token import STEPS, count_rows, drawn
from mini_repr.methods.flow import by_steps, velocity
from mini_repr.standins import scenes_clip, scenes_flow, spotter

NOISE = np.random.default_rng(0).standard_normal((3, 1, 16, 16)).astype(np.float32)
WORDS, GOALS = ["seven", "two", "seven"], [2, 3, 4]


@pytest.fixture(scope="module")
def models():
    sizes = {"width": 16, "depth": 2, "heads": 2}
    return (
        awake(scenes_flow.make(0, **sizes)),
        awake(scenes_clip.make(0, **sizes, dimensions=8)),
        awake(spotter.make(0)),
    )


def number_words(denoiser):
    return denoiser.words.weight.data[[CAPTIONS.words.index(f"{goal}x") for goal in GOALS]]


def test_a_drawing_is_euler_s_and_its_last_steps_carry_a_gradient(models):
    denoiser, _, _ = models
    rows = Tensor(number_words(denoiser)[:, None].copy(), requires_grad=True)
    text = denoiser.read(denoiser.ids([f"s1 {word}" for word in WORDS]), {"s1": rows})
    image = drawn(denoiser, NOISE, text)
    plain = by_steps(NOISE, lambda x, t: velocity(denoiser, x, t, text).data, STEPS)
    np.testing.assert_allclose(image.data, plain, rtol=1e-4, atol=1e-5)
    image[0].sum().backward()
    assert np.abs(rows.grad[0]).max() > 0 and not rows.grad[1:].any()


class Seeing:
    """A counter that finds other numbers at every look, and whose potential is ink."""

    def __init__(self, counts):
        self.counts = iter(counts)

    def spot(self, images):
        kinds = np.full((len(images), 4), 10)
        for row, digit, count in zip(kinds, (7, 2, 7), next(self.counts), strict=True):
            row[:count] = digit
        return kinds, None

    def potential(self, images, digits):
        return images.reshape(len(images), -1) ** 2


def test_of_each_image_the_best_row_is_kept(models):
    denoiser, towers, _ = models
    looks = [(0, 0, 4), (2, 1, 0), (0, 3, 0), (2, 3, 4)]
    found = count_rows(denoiser, towers, Seeing(looks), NOISE, WORDS, GOALS, iterations=4)
    assert found.off.tolist() == [0, 0, 0]
    np.testing.assert_array_equal(found.rows[2], number_words(denoiser)[2])  # right at first: the number's own word
    assert (found.rows[:2] != number_words(denoiser)[:2]).any(axis=1).all()


def test_the_models_stay_and_seeing_nothing_gives_numbers(models):
    denoiser, towers, counter = models
    before = {n: a.copy() for m in models for n, a in m.state_dict().items()}
    for settings in ({}, {"dynamic": False}, {"class_weight": 0.0}):
        found = count_rows(denoiser, towers, counter, NOISE, WORDS, GOALS, iterations=3, **settings)
        assert np.isfinite(found.rows).all() and found.rows.shape == (3, 16)
    blind = count_rows(denoiser, towers, Seeing([(0, 0, 0)] * 3), NOISE, WORDS, GOALS, iterations=3)
    assert np.isfinite(blind.rows).all() and blind.off.tolist() == GOALS
    after = {n: a for m in models for n, a in m.state_dict().items()}
    for name, array in before.items():
        np.testing.assert_array_equal(array, after[name])


def test_a_potential_of_each_image_s_own_digit(models):
    images = np.random.default_rng(2).random((3, 1, 16, 16), dtype=np.float32)
    each = models[2].potential(images, np.array([7, 2, 7])).data
    for k, digit in enumerate((7, 2, 7)):
        np.testing.assert_allclose(each[k], models[2].potential(images, digit).data[k], rtol=1e-5)


def test_other_goals_are_refused(models):
    with pytest.raises(ValueError, match=r"count_rows: goals: got \[1, 3, 4\], expected numbers from 2 to 4"):
        count_rows(*models, NOISE, WORDS, [1, 3, 4])
