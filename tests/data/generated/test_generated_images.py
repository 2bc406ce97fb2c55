"""Wandering and moving digits, halves and permuted pixels, and what all generated sets share."""

import numpy as np
import pytest
from click.testing import CliRunner

from mini_repr.cli import main
from mini_repr.data import GENERATED, DataError, ImageSet, PairSet, TableSet, digits, load
from mini_repr.data.generated.coloured import coloured, rgb
from mini_repr.data.generated.halves import halves
from mini_repr.data.generated.moving import DIRECTIONS, moving
from mini_repr.data.generated.permuted import permuted, pixel_orders
from mini_repr.data.generated.wandering import wandering


@pytest.mark.parametrize("name", GENERATED)
def test_same_seed_same_bits(name):
    first, again, other = load(name), load(name), load(name, seed=1)
    for part in ("train", "test"):
        seen, same, changed = (_values(getattr(data, part)) for data in (first, again, other))
        assert np.array_equal(seen, same) and not np.array_equal(seen, changed)


def _values(part):
    if isinstance(part, TableSet):
        return part.rows
    return np.array(part.a) if isinstance(part, PairSet) else part.images


@pytest.mark.parametrize("name", GENERATED)
def test_a_run_trains_on_it(name, tmp_path):
    of_rows = {"topics": ("infonce", "text"), "captions": ("infonce", "mlp"), "clicks": ("cross_entropy", "fields")}
    loss, encoder = of_rows.get(name, ("supcon", "mlp"))
    args = ["train", "--loss", loss, "--data", name, "--epochs", "1", "--encoder", encoder, "--out", tmp_path / "run"]
    result = CliRunner().invoke(main, [str(a) for a in args])
    assert result.exit_code == 0, result.output
    assert ("log loss" if name == "clicks" else "untrained") in result.output


def test_errors_name_the_sets():
    known = "digits, glosses, sentences, documents, scenes, captions, wandering, moving, coloured, permuted, bars"
    with pytest.raises(DataError, match=f"one of {known}"):
        load("scene")
    with pytest.raises(DataError, match="option 'size' of wandering_images, expected count, seed, canvas, clutter"):
        load("wandering", size=3)


def test_wandering_digits_are_whole_test_digits_in_the_test_part():
    data = digits()
    rows = {part: {x.tobytes() for x in getattr(data, part).images} for part in ("train", "test")}
    for part, other in (("train", "test"), ("test", "train")):
        drawn = wandering(getattr(data, part), 200, np.random.default_rng(0))
        for image, (y, x) in zip(drawn.images, drawn.places, strict=True):
            digit = image[:, y : y + 8, x : x + 8]
            assert digit.tobytes() in rows[part] - rows[other] and digit.sum() == image.sum()
        assert drawn.places.min() == 0 and drawn.places.max() == 8
    cluttered = wandering(data.test, 200, np.random.default_rng(0), clutter=4)
    assert cluttered.images.sum() > 1.2 * drawn.images.sum() and cluttered.images.max() <= 1
    with pytest.raises(ValueError, match="canvas is 4"):
        wandering(data.test, 1, np.random.default_rng(0), canvas=4)


def test_moving_digits_move_a_pixel_a_frame():
    drawn = moving(digits().test, 100, np.random.default_rng(0), frames=20)
    assert drawn.clips.shape == (100, 20, 1, 16, 16) and set(drawn.directions) == set(range(8))
    ink = drawn.clips.sum(axis=(2, 3, 4))
    assert np.allclose(ink, ink[:, :1]), "no frame cuts the digit"
    centre = np.stack([(drawn.clips[:, :, 0] * axis).sum(axis=(2, 3)) / ink for axis in np.mgrid[:16, :16]], axis=-1)
    steps, wanted = np.diff(centre, axis=1), np.array(DIRECTIONS)[drawn.directions]
    assert np.allclose(np.abs(steps), np.abs(wanted)[:, None], atol=1e-4), "one pixel each way, at the border too"
    assert (np.isclose(steps[:, 0], wanted, atol=1e-4).all(axis=1)).mean() > 0.6, "most do not start at the border"
    with pytest.raises(ValueError, match="canvas is 8"):
        moving(digits().test, 1, np.random.default_rng(0), canvas=8)


def test_moving_clips_are_labelled_by_digit_or_by_direction():
    by_digit, by_direction = (load("moving", count=60, label=label) for label in ("digit", "direction"))
    drawn = moving(digits().train, 60, np.random.default_rng([0, 0]))
    for data, labels, names in ((by_digit, drawn.labels, "0123456789"), (by_direction, drawn.directions, "up")):
        assert np.array_equal(data.train.images, drawn.clips) and np.array_equal(data.train.labels, labels)
        assert len(data.test) == 20 and data.train.label_names[0] in names
    assert by_direction.train.label_names[DIRECTIONS.index((1, -1))] == "down-left"
    with pytest.raises(DataError, match="option label is 'speed', expected digit or direction"):
        load("moving", label="speed")


def test_coloured_digits_have_the_hue_of_their_class_on_a_ground_that_tells_places():
    drawn = coloured(digits().test, 400, np.random.default_rng(0))
    assert drawn.images.shape == (400, 3, 12, 12) and drawn.images.min() >= 0 and drawn.images.max() <= 1
    off = (drawn.hues - drawn.labels / 10 + 0.5) % 1 - 0.5
    assert abs(off.mean()) < 0.01 and 0.04 < off.std() < 0.06
    turned = {0: (1, 0, 0), 1 / 6: (1, 1, 0), 1 / 3: (0, 1, 0), 1 / 2: (0, 1, 1), 2 / 3: (0, 0, 1), 5 / 6: (1, 0, 1)}
    for hue, expected in turned.items():
        np.testing.assert_allclose(rgb(hue), expected, atol=1e-12)
    blank = ImageSet("blank", np.zeros((1, 1, 8, 8), np.float32), np.zeros(1, np.int64), ("0",))
    ground = coloured(blank, 1, np.random.default_rng(0)).images[0]
    luma = np.tensordot([0.299, 0.587, 0.114], ground, 1)
    assert len(np.unique(luma.reshape(3, 4, 3, 4).mean(axis=(1, 3)).round(3))) == 9, "places differ in grey too"
    tiles = ground.reshape(3, 3, 4, 3, 4).transpose(1, 3, 0, 2, 4).reshape(9, -1)
    assert len({tile.tobytes() for tile in tiles}) == 9
    brightest = drawn.images.reshape(400, 3, -1).max(axis=(1, 2))
    assert brightest.min() > 0.8, "the digit is of full colour"


def test_halves_make_up_the_digit():
    left, right = halves(digits().test)
    assert left.shape == right.shape == (360, 1, 8, 4)
    assert np.array_equal(np.concatenate([left, right], axis=3), digits().test.images)


def test_permuted_tasks_are_permutations():
    orders = pixel_orders(4, 64, np.random.default_rng(0))
    assert np.array_equal(np.sort(orders), np.tile(np.arange(64), (4, 1))) and len({o.tobytes() for o in orders}) == 4
    test = digits().test
    assert np.array_equal(permuted(test, orders[0]).images, test.images)
    images = permuted(test, orders[2]).images
    assert np.array_equal(images.reshape(360, 64), test.images.reshape(360, 64)[:, orders[2]])
    assert np.array_equal(load("permuted", task=2).test.images, images), "one order for both parts, one for each task"
    assert np.array_equal(load("permuted", task=0).train.images, digits().train.images)
    with pytest.raises(ValueError, match="no permutation of 64 pixels"):
        permuted(test, np.zeros(64, dtype=int))
    with pytest.raises(ValueError, match="task is -1"):
        load("permuted", task=-1)
