from collections import Counter

import numpy as np
import pytest

from mini_repr.data import digits
from mini_repr.data.generated.scenes import (
    CAPTIONS,
    KINDS,
    NUMBERS,
    PLACES,
    QUESTIONS,
    parse,
    questions,
    scene,
    scene_images,
)


def drawn(count=300, seed=0, **options):
    rng = np.random.default_rng(seed)
    return [scene(rng, digits().train, **options) for _ in range(count)]


def holds(said, one, side):
    """Whether what a caption says is true of all objects of a scene, found from their cells alone."""
    named = Counter(
        (NUMBERS.index(n.word), n.attribute) for n in said.nouns for _ in range(said.count // len(said.nouns))
    )
    if named != Counter((o.digit, o.attribute) for o in one.objects):
        return False
    if said.relation is None:
        return True
    first, second = (next(o for o in one.objects if NUMBERS[o.digit] == n.word) for n in said.nouns)
    (y, x), (v, u) = divmod(first.cell, side), divmod(second.cell, side)
    return {
        "left of": y == v and x < u,
        "right of": y == v and x > u,
        "above": x == u and y < v,
        "below": x == u and y > v,
    }[said.relation]


@pytest.mark.parametrize("side", [2, 3])
def test_captions_parse_back_to_their_scene(side):
    scenes = drawn(side=side)
    assert all(holds(parse(one.caption), one, side) for one in scenes)
    assert {parse(one.caption).relation for one in scenes} == {None, "left of", "right of", "above", "below"}
    for one in scenes:
        words = one.caption.split()
        assert [words[n.place - 1] for n in parse(one.caption).nouns] == [n.word for n in parse(one.caption).nouns]


def test_kinds_do_not_overlap():
    """A list of two stands on a diagonal, where no relation holds; only a count repeats a class."""
    for kind in KINDS:
        for one in drawn(60, kind=kind):
            classes = {thing.digit for thing in one.objects}
            assert len(one.objects) in KINDS[kind]
            assert len(classes) == (1 if kind == "count" else len(one.objects))
            if len(one.objects) == 2 and kind != "count":
                (y, x), (v, u) = (divmod(thing.cell, 2) for thing in one.objects)
                assert (y == v or x == u) == (kind == "relation")


def test_same_seed_same_scenes():
    for first, again in zip(drawn(30), drawn(30), strict=True):
        assert np.array_equal(first.image, again.image) and first.caption == again.caption
    assert [one.caption for one in drawn(30)] != [one.caption for one in drawn(30, seed=1)]


def test_masks_cover_exactly_the_digits_pixels():
    for one in drawn(100):
        assert one.masks.sum(axis=0).max() == 1
        for thing, mask in zip(one.objects, one.masks, strict=True):
            y, x = (8 * v for v in divmod(thing.cell, 2))
            ink = digits().train.images[thing.row, 0]
            shifted = [np.pad(ink, 1)[i : i + 8, j : j + 8] for i, j in np.ndindex(3, 3)]
            cell = one.image[y : y + 8, x : x + 8] / (0.5 if thing.attribute == "dark" else 1)
            assert any(np.array_equal(cell, s) for s in shifted)
            assert np.array_equal(mask[y : y + 8, x : x + 8], cell > 0.125) and mask.sum() == (cell > 0.125).sum()
            assert digits().train.labels[thing.row] == thing.digit


def test_attribute_words_stand_for_all_or_none():
    for one in drawn(200):
        some_dark = any(thing.attribute == "dark" for thing in one.objects)
        words = one.caption.split()
        assert ("light" in words or "dark" in words) == some_dark and "1x" not in words


def test_tokens():
    longest = max((one.caption for one in drawn(400)), key=lambda caption: len(caption.split()))
    assert len(longest.split()) + 2 <= CAPTIONS.length == 17
    ids = CAPTIONS.tokenise("a seven")
    assert [CAPTIONS.words[i] for i in ids[:5]] == ["BOS", "a", "seven", "EOS", "PAD"] and ids.shape == (17,)
    assert CAPTIONS.tokenise("")[:3].tolist() == [1, 2, 0] and parse("").nouns == ()
    assert parse("a s1 left of a dark two").nouns[0].word == "s1"
    with pytest.raises(ValueError, match="unknown word 'cat'"):
        CAPTIONS.tokenise("a cat")
    with pytest.raises(ValueError, match="unknown word 'BOS'"):
        CAPTIONS.tokenise("BOS")
    for wrong in ("a seven left a two", "and a seven", "a dark", "2x", "a seven left of a two left of a one"):
        with pytest.raises(ValueError, match="is no caption"):
            parse(wrong)


def test_questions_are_answered_by_the_scene():
    rng, answers = np.random.default_rng(0), Counter()
    for one in drawn(200):
        cells = {PLACES[o.cell]: NUMBERS[o.digit] for o in one.objects}
        asked = questions(one, rng)
        assert len(asked) == 8
        for question, answer in asked:
            QUESTIONS.tokenise(question), QUESTIONS.tokenise(answer)
            *_, last = question.split()
            expected = {"what": cells.get(last, "nothing"), "how": str(len(cells))}
            if question.startswith("is"):
                answers[answer] += 1
                assert answer == ("yes" if last in cells.values() else "no")
            else:
                assert answer == expected[question.split()[0]]
    assert 0.4 < answers["yes"] / 600 < 0.6


def test_images_are_labelled_with_the_number_of_digits():
    data = scene_images(80)
    assert data.train.images.shape == (80, 1, 16, 16) and len(data.test) == 20
    for image, label in zip(data.train.images[:, 0], data.train.labels, strict=True):
        filled = [image[y : y + 8, x : x + 8].any() for y in (0, 8) for x in (0, 8)]
        assert sum(filled) == label + 1
    assert scene_images(20, side=3).train.images.shape[2:] == (24, 24)


def test_wrong_use_is_named():
    for options in ({"kind": "x"}, {"kind": "one", "number": 2}, {"side": 1}):
        with pytest.raises(ValueError, match="scene:"):
            scene(np.random.default_rng(0), digits().train, **options)
