"""The two towers, untrained and small: what reaches a row, slots, what captions mean, and training."""

import numpy as np
import pytest

from mini_repr.autograd import Tensor
from mini_repr.data.generated.scenes import CAPTIONS
from mini_repr.standins import scenes_clip

CAPTION = "a seven left of a two"
X = np.random.default_rng(0).random((3, 1, 16, 16), dtype=np.float32)


@pytest.fixture(scope="module")
def towers():
    return scenes_clip.make(0, width=16, depth=2, heads=2, dimensions=8).eval()


def test_an_image_or_a_caption_changes_its_own_row_alone(towers):
    other = np.stack([X[0], 1 - X[1], X[2]])
    changed = np.abs(towers.images(X).data - towers.images(other).data).max(axis=1)
    assert changed[1] > 1e-5 and not changed[[0, 2]].any()
    first, second = (towers.texts(towers.ids(c)).data for c in ([CAPTION, "a two"], [CAPTION, "a three"]))
    np.testing.assert_array_equal(first[0], second[0])
    assert np.abs(first[1] - second[1]).max() > 1e-5


def test_what_comes_after_the_end_says_nothing(towers):
    ids = towers.ids([CAPTION])
    cut = ids[:, : int((ids != 0).sum())]
    np.testing.assert_allclose(towers.texts(cut).data, towers.texts(ids).data, rtol=1e-5, atol=1e-6)


def test_a_slot_takes_the_place_of_a_word_one_for_all_texts_or_one_each(towers):
    words = towers.words.weight.data
    seven, two = (words[CAPTIONS.words.index(w)] for w in ("seven", "two"))
    told = towers.texts(towers.ids(["a s1"] * 2), {"s1": seven}).data
    np.testing.assert_allclose(told, towers.texts(towers.ids(["a seven"] * 2)).data, rtol=1e-5, atol=1e-6)
    each = Tensor(np.stack([seven, two])[:, None], requires_grad=True)
    told = towers.texts(towers.ids(["a s1"] * 2), {"s1": each})
    np.testing.assert_allclose(told.data, towers.texts(towers.ids(["a seven", "a two"])).data, rtol=1e-5, atol=1e-6)
    told[0].sum().backward()
    assert np.abs(each.grad[0]).max() > 0 and not each.grad[1].any()


def test_a_gradient_reaches_images(towers):
    x = Tensor(X, requires_grad=True)
    towers.images(x).sum().backward()
    assert (np.abs(x.grad) > 0).mean() > 0.9


@pytest.mark.parametrize(
    "one, other, same",
    [
        (CAPTION, "a two right of a seven", True),
        (CAPTION, "a two left of a seven", False),
        ("a two above a one", "a one below a two", True),
        ("a two and a one", "a one and a two", True),
        ("a two and a one", "a one above a two", False),
        ("a light two", "a two", True),
        ("3x two", "2x two", False),
    ],
)
def test_captions_that_say_the_same_are_never_in_one_batch(one, other, same):
    assert (scenes_clip.meaning(one) == scenes_clip.meaning(other)) == same


def test_training_lowers_the_loss():
    small, losses = scenes_clip.make(0, width=16, depth=1, heads=2), []
    scenes_clip.train(small, 0, lambda step, of, loss: losses.append(loss), steps=60, scenes=300)
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10]) and not small.training and 10 < small.scale <= 100


def test_digits_are_placed_whole_in_one_cell():
    digits = np.random.default_rng(1).random((5, 1, 8, 8), dtype=np.float32)
    placed = scenes_clip.in_cells(digits, np.random.default_rng(0))
    cells = placed.reshape(5, 2, 8, 2, 8).transpose(0, 1, 3, 2, 4).reshape(5, 4, 8, 8)
    for digit, four in zip(digits, cells, strict=True):
        assert sorted(four.any(axis=(1, 2))) == [False, False, False, True]
        np.testing.assert_array_equal(four.sum(axis=0), digit[0])
