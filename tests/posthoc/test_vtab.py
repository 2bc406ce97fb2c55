"""The benchmark: a thousand examples, no digit on both sides, a score that is a plain mean."""

import numpy as np
import pytest
from click.testing import CliRunner

from mini_repr.cli import main
from mini_repr.data import load
from mini_repr.nn import ImageMLP
from mini_repr.posthoc import vtab
from mini_repr.training.session import start

BY_NAME = {task.name: task for task in vtab.TASKS}


@pytest.mark.parametrize("task", vtab.TASKS, ids=lambda task: task.name)
def test_examples_are_a_thousand_repeat_and_are_images(task):
    made, again = vtab.examples(task, 1), vtab.examples(task, 1)
    assert made.train.shape == (1000, 1, 8, 8) and made.test.shape == (360, 1, 8, 8)
    for one, other in zip(made, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert made.train.dtype == np.float32 and made.train.min() >= 0 and made.train.max() <= 1
    assert set(made.test_answers) <= set(made.answers) and len(set(made.answers)) >= 3
    assert not np.array_equal(vtab.examples(task, 2).train, made.train)


def test_no_test_image_is_made_of_a_training_digit():
    data = load("digits")
    train = {image.tobytes() for image in data.train.images}
    made = vtab.examples(BY_NAME["digit"])
    assert all(image.tobytes() in train for image in made.train)
    assert not any(image.tobytes() in train for image in made.test)


def test_answers_say_what_was_drawn():
    count, place = vtab.examples(BY_NAME["count"]), vtab.examples(BY_NAME["place"])
    quadrants = count.train[:, 0].reshape(1000, 2, 4, 2, 4).max(axis=(2, 4)) > 0
    np.testing.assert_array_equal(quadrants.sum(axis=(1, 2)) - 1, count.answers)
    rows, columns = place.answers // 3 * 2, place.answers % 3 * 2
    for image, row, column in zip(place.train[:, 0], rows, columns, strict=True):
        inside = image[row : row + 4, column : column + 4].sum()
        assert inside == pytest.approx(image.sum()) and inside > 0
    half = vtab.examples(BY_NAME["missing half"]).train[:, 0]
    empty = np.stack([~half[:, :4].any((1, 2)), ~half[:, 4:].any((1, 2)), ~half[:, :, :4].any((1, 2))])
    answers = vtab.examples(BY_NAME["missing half"]).answers
    assert empty[answers[answers < 3], answers < 3].all()
    angle = vtab.examples(BY_NAME["angle"])
    upright = angle.train[angle.answers == 0]
    originals = {image.tobytes() for image in load("digits").train.images}
    assert all(image.tobytes() in originals for image in upright)


def test_scores_are_plain_means_and_constant_rows_score_the_majority(monkeypatch):
    monkeypatch.setattr(vtab, "TASKS", tuple(BY_NAME[name] for name in ("digit", "place", "count")))
    found = vtab.benchmark(lambda task, part, images: np.random.default_rng(0).normal(size=(len(images), 3)) * 1e-9)
    assert found.total == pytest.approx(np.mean(list(found.tasks.values())))
    assert found.groups == {
        "natural": found.tasks["digit"],
        "structured": pytest.approx((found.tasks["place"] + found.tasks["count"]) / 2),
    }
    assert all(abs(found.tasks[name] - found.majority[name]) < 0.15 for name in found.tasks)
    pixels = vtab.benchmark(lambda task, part, images: images.reshape(len(images), -1))
    assert pixels.tasks["digit"] > 0.9 and pixels.tasks["place"] > 0.9


def test_tuning_learns_a_task_leaves_the_encoder_and_looks_at_no_test_answer(monkeypatch):
    encoder = ImageMLP((1, 8, 8), np.random.default_rng(0), width=32, hidden=64, depth=2)
    before = encoder.state_dict()
    own = vtab.examples(BY_NAME["missing half"])
    monkeypatch.setattr(vtab, "STEPS", 40)
    found = vtab.finetuned(encoder, *own, 0.1)
    assert found > 0.9
    for name, array in encoder.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    assert vtab.finetuned(encoder, *own, 0.1) == found
    assert vtab.finetuned(encoder, *own._replace(test_answers=9 - own.test_answers), 0.1) < 0.1
    assert vtab.finetuned(encoder, *own, 0.0) < 0.6, "without a rate only a random head is left"


def test_rates_fall_tenfold_at_three_six_and_nine_tenths(monkeypatch):
    taken = []

    class Noted(vtab.SGD):
        def step(self, lr=None):
            taken.append(lr)
            super().step(lr=lr)

    monkeypatch.setattr(vtab, "SGD", Noted)
    monkeypatch.setattr(vtab, "STEPS", 20)
    encoder = ImageMLP((1, 8, 8), np.random.default_rng(0), width=4, hidden=4, depth=1)
    vtab.finetuned(encoder, *vtab.examples(BY_NAME["digit"]), 0.1)
    np.testing.assert_allclose(taken, np.repeat([0.1, 0.01, 0.001, 0.0001], [6, 6, 6, 2]))


def test_a_run_is_tuned_by_command(tmp_path, monkeypatch):
    monkeypatch.setattr(vtab, "TASKS", (BY_NAME["missing half"],))
    monkeypatch.setattr(vtab, "STEPS", 10)
    small = {"encoder": {"name": "mlp", "width": 8, "hidden": 16, "depth": 1}, "train": {"epochs": 1}}
    run, home = start({"loss": {"name": "infonce"}, **small}, out=tmp_path / "run")
    run.save(home)
    home.close()
    done = CliRunner().invoke(main, ["benchmark", str(tmp_path / "run"), "--finetune"])
    assert done.exit_code == 0 and "missing half" in done.stdout, done.output
    np.savez(tmp_path / "rows.npz", z=np.ones((3, 2)))
    done = CliRunner().invoke(main, ["benchmark", str(tmp_path / "rows.npz"), "--finetune"])
    assert done.exit_code == 2 and "expected the folder of a RUN" in done.stderr and len(done.stderr.splitlines()) == 1


def test_the_command_writes_images_and_scores_rows_of_any_library(tmp_path, monkeypatch):
    monkeypatch.setattr(vtab, "TASKS", (BY_NAME["digit"], BY_NAME["missing half"]))
    run = CliRunner().invoke
    done = run(main, ["benchmark", "--images", str(tmp_path / "tasks.npz")])
    assert done.exit_code == 0, done.output
    images = dict(np.load(tmp_path / "tasks.npz"))
    assert set(images) == {"digit.train", "digit.test", "missing_half.train", "missing_half.test"}
    np.savez(tmp_path / "rows.npz", **{name: x.reshape(len(x), -1) for name, x in images.items()})
    done = run(main, ["benchmark", str(tmp_path / "rows.npz")])
    assert done.exit_code == 0 and "all tasks" in done.stdout and "missing half" in done.stdout, done.output
    np.savez(tmp_path / "few.npz", **{"digit.train": np.ones((3, 2))})
    for words, part in (
        (["few.npz"], "digit.train: got shape (3, 2), expected rows (1000, D)"),
        ([], "benchmark: of what?"),
        (["none.npz"], "no such file"),
    ):
        done = run(main, ["benchmark", *(str(tmp_path / word) for word in words)])
        assert done.exit_code == 2 and part in done.stderr and len(done.stderr.splitlines()) == 1
