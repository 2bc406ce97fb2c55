"""Scenes with captions: what is said, what is shown, and where."""

from collections import Counter

import numpy as np
import pytest

from mini_repr.data import CaptionedSet, DataError, Dataset, load
from mini_repr.data.generated.captions import translated

DATA = load("captions", count=200)


def test_a_caption_names_what_the_pixels_show():
    for text, shown in zip(DATA.train.texts, DATA.train.pixels, strict=True):
        said = {DATA.train.things.index(noun) for noun in text.split(" and ")}
        assert said == set(np.unique(shown)) - {-1}
    counts = Counter(text.count(" and ") for text in DATA.train.texts)
    assert counts.keys() == {0, 1, 2} and min(counts.values()) > 40


def test_pixels_of_things_have_ink_and_the_others_little():
    ink = DATA.train.images[:, 0]
    assert ink[DATA.train.pixels >= 0].min() > 0.125 * 0.5 and ink[DATA.train.pixels < 0].max() <= 0.125


def test_rows_that_are_taken_stay_together():
    some = DATA.train.take(np.array([5, 2]))
    assert some.texts == [DATA.train.texts[5], DATA.train.texts[2]] and len(some) == 2
    np.testing.assert_array_equal(some.images, DATA.train.images[[5, 2]])
    np.testing.assert_array_equal(some.pixels, DATA.train.pixels[[5, 2]])


def test_digits_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"captions: most: got 5, expected 1 to 4 digits: --set data\.most=3"):
        load("captions", most=5)


@pytest.mark.parametrize(
    "change, says",
    [
        ({"texts": ["a"]}, "f: 1 texts, expected one for each of 2 images"),
        (
            {"pixels": np.zeros((2, 3, 4), dtype=np.int64)},
            r"f: pixels of shape \(2, 3, 4\) int64, expected \(2, 4, 4\)",
        ),
        ({"pixels": np.full((2, 4, 4), 2)}, "int64 from -1 to 1"),
        ({"images": np.full((2, 1, 4, 4), 2, dtype=np.float32)}, "f: pixel values from 2 to 2, expected 0 to 1"),
    ],
)
def test_what_does_not_fit_is_refused(change, says):
    whole = {"images": np.zeros((2, 1, 4, 4), dtype=np.float32), "texts": ["a", "b"], "things": ("x", "y")}
    with pytest.raises(DataError, match=says):
        CaptionedSet("f", **{**whole, **change})


def test_both_parts_have_images_of_one_shape():
    small = load("captions", count=8, side=2).test
    with pytest.raises(DataError, match="captions: train and test images have shapes"):
        Dataset("captions", DATA.train, small)


def test_languages_say_the_same_of_the_same_scenes():
    other, mixed = (load("captions", count=200, language=name).train for name in ("made up", "mixed"))
    for part in (other, mixed):
        np.testing.assert_array_equal(part.images, DATA.train.images)
    assert other.texts == [translated(text) for text in DATA.train.texts]
    assert other.things[2] == "dorek lo" and mixed.things == DATA.train.things
    english = [text == own for text, own in zip(mixed.texts, DATA.train.texts, strict=True)]
    assert 70 < sum(english) < 130
    assert all(text in pair for text, *pair in zip(mixed.texts, DATA.train.texts, other.texts, strict=True))
    words = [{word for text in part.texts for word in text.split()} for part in (DATA.train, other)]
    assert len(words[0]) == len(words[1]) == 12 and not words[0] & words[1]


def test_an_unknown_language_is_refused():
    with pytest.raises(ValueError, match="captions: language: got 'german', expected english, made up, mixed"):
        load("captions", language="german")
