"""``mini-repr posthoc`` on a file, and its errors, a line each."""

import numpy as np
import pytest
from click.testing import CliRunner

from mini_repr.cli import main
from mini_repr.posthoc.inlp import INLP
from mini_repr.posthoc.networks import CHANGES
from mini_repr.posthoc.representation_game import play


@pytest.fixture
def source(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    z = (rng.normal(size=(60, 4)) + 2 * labels[:, None] * np.eye(1, 4)).astype(np.float32)
    np.savez(tmp_path / "emb.npz", z=z, labels=labels, is_test=np.arange(60) >= 40)
    return tmp_path / "emb.npz"


def run(*words):
    return CliRunner().invoke(main, ["posthoc", *map(str, words)])


def test_fits_on_training_rows_writes_and_applies_again(source, tmp_path):
    arrays = dict(np.load(source))
    made, clean, again = (tmp_path / name for name in ("inlp.npz", "clean.npz", "again.npz"))
    words = ("--map", "attribute=labels", "--set", "rounds=2")
    done = run("inlp", source, *words, "--out", made, "--rows", clean)
    assert done.exit_code == 0 and "INLP(rounds=2)" in done.stdout and "majority    0.5" in done.stdout, done.output
    expected = INLP(2).fit(arrays["z"][:40], arrays["labels"][:40]).transform(arrays["z"])
    written = np.load(clean)
    np.testing.assert_array_equal(written["z"], expected)
    np.testing.assert_array_equal(written["is_test"], arrays["is_test"])
    assert run("inlp", source, "--load", made, "--rows", again).exit_code == 0
    np.testing.assert_array_equal(np.load(again)["z"], expected)


def test_a_procedure_that_draws_rows(source, tmp_path):
    done = run("class_gaussians", source, "--set", "per_class=7", "--rows", tmp_path / "drawn.npz")
    assert done.exit_code == 0, done.output
    drawn = np.load(tmp_path / "drawn.npz")
    assert drawn["z"].shape == (14, 4) and drawn["labels"].tolist() == [0] * 7 + [1] * 7


def test_a_procedure_that_is_a_function(tmp_path):
    np.savez(tmp_path / "game.npz", covariance=np.diag([4.0, 2.0, 1.0]), prior=np.eye(3))
    done = run("play", tmp_path / "game.npz", "--set", "rules=3", "--set", "r=1", "--out", tmp_path / "made.npz")
    assert done.exit_code == 0, done.output
    expected = play(np.diag([4.0, 2.0, 1.0]), np.eye(3), 1, rules=3)
    np.testing.assert_array_equal(np.load(tmp_path / "made.npz")["rules"], expected.rules)


@pytest.mark.parametrize(
    "words, part",
    [
        (("inpl",), "no such procedure; did you mean 'inlp'?"),
        (("sam",), "posthoc sam: acts in training, not on saved rows"),
        (("linupper",), "posthoc linupper: takes more than arrays and settings"),
        (("quantise",), "posthoc quantise: has a command of its own: mini-repr quantise --help"),
        (
            ("unlearn",),
            "no array 'forget', expected booleans, one per row, or numbers of rows, training rows first; --",
        ),
        (("unlearn", "--map", "forget=labels"), "forget: got int64 of shape (60,), expected booleans (60,), or whole"),
        (("unlearn", "--map", "forget=is_test"), "forget: got 20 rows, 20 of them test rows, expected some of the 40"),
        (("unlearn", "--map", "forget=no.npz:rows"), "no.npz: no such file"),
        (("unlearn", "--map", "forget={source}:rows"), "holds z, labels, is_test, no rows"),
        (("unlearn", "--load", "x.npz"), "--load: applies a stored network to all rows, expected --rows beside it"),
        (("unlearn", "--load", "{source}", "--rows", "x.npz"), "expected what an earlier --out wrote"),
        (("tune_calibrated", "--map", "labels=z"), "labels: got float32 of shape (60, 4), expected whole numbers"),
        (("tune_calibrated", "--map", "samples=z"), "samples: got some without sample_labels"),
        (("inlp",), "no array 'attribute', which inlp needs; holds z, labels, is_test; see --map"),
        (("inlp", "--map", "attribute"), "--map attribute: expected ARGUMENT=ARRAY"),
        (("inlp", "--map", "attribute=colour"), "--map attribute=colour:"),
        (("inlp", "--map", "attribute=labels", "--set", "round=1"), "--set round=1: no such setting of inlp"),
        (("inlp", "--map", "attribute=labels", "--set", "rounds=0"), "rounds: got 0, expected a whole number"),
        (("inlp", "--load", "{source}"), "expected what a procedure's --out wrote"),
        (("play", "--rows", "x.npz"), "posthoc play: makes no rows"),
    ],
)
def test_a_mistake_is_one_line(source, words, part):
    name, *rest = (word.format(source=source) for word in words)
    done = run(name, source, *rest)
    assert done.exit_code == 2 and part in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.parametrize("name", ["unlearn", "forget_without_labels"])
def test_a_network_made_of_rows_forgets_some_and_is_applied_again(source, tmp_path, name):
    made, rows, again = (tmp_path / file for file in ("made.npz", "rows.npz", "again.npz"))
    which = tmp_path / "which.npz"
    np.savez(which, gone=np.arange(1, 40, 2))  # the training rows of class 1
    fast = {
        "unlearn": ("epochs=60", "lr=0.003"),
        "forget_without_labels": ("epochs=60", "autoencoder_steps=100", "lr_align=0.003"),
    }
    words = [word for setting in fast[name] for word in ("--set", setting)]
    done = run(name, source, "--map", f"forget={which}:gone", *words, "--out", made, "--rows", rows)
    assert done.exit_code == 0, done.output
    told = {line.split()[0]: line.split()[1:] for line in done.stdout.partition("  part ")[2].splitlines()[1:]}
    assert set(told) == {"forget", "retain", "test"}
    assert float(told["forget"][0]) > 0.9 and float(told["retain"][1]) > 0.9
    assert float(told["forget"][1]) < 0.3 and float(told["forget"][2]) < float(told["retain"][2]) - 0.3
    written = dict(np.load(rows))
    right = written["scores"].argmax(axis=1) == written["labels"]
    assert float(told["test"][1]) == pytest.approx(right[40:].mean(), abs=5e-4)
    assert run(name, source, "--load", made, "--rows", again).exit_code == 0
    for array in ("z", "scores"):
        np.testing.assert_array_equal(np.load(again)[array], written[array])


def test_rows_are_calibrated_from_where_they_are(source, tmp_path):
    rows, none = tmp_path / "rows.npz", tmp_path / "none.npz"
    arrays = dict(np.load(source))
    for out, epochs in ((rows, 200), (none, 1)):
        words = ("--set", f"epochs={epochs}", "--set", "lr=1e-9" if out == none else "lr=0.01", "--rows", out)
        done = run("tune_calibrated", source, *words)
        assert done.exit_code == 0 and "train  -" in done.stdout, done.output
    np.testing.assert_allclose(np.load(none)["z"], arrays["z"], atol=1e-5)  # the map begins as the identity
    moved = np.load(rows)
    assert np.abs(moved["z"] - arrays["z"]).max() > 1e-3
    assert (moved["scores"].argmax(axis=1) == arrays["labels"])[40:].mean() > 0.7  # the best rule: 0.84


def test_what_another_procedure_or_network_wrote_is_refused(source, tmp_path):
    made, other = tmp_path / "made.npz", tmp_path / "other.npz"
    assert run("tune_calibrated", source, "--set", "epochs=1", "--out", made).exit_code == 0
    np.savez(other, z=np.ones((6, 3)), labels=np.arange(6) % 2)
    for name, path, part in (
        ("unlearn", source, "written by tune_calibrated, expected unlearn"),
        ("tune_calibrated", other, "of another network"),
    ):
        done = run(name, path, "--load", made, "--rows", tmp_path / "x.npz")
        assert done.exit_code == 2 and part in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr


def test_the_help_names_what_changes_a_network():
    text = CliRunner().invoke(main, ["posthoc", "--help"]).stdout
    assert all(name in text for name in CHANGES)


@pytest.mark.parametrize(
    "arrays, words, part",
    [
        ({"x": np.ones((4, 2))}, ("--load", "none.npz"), "no rows z (N, D); holds x; see --map"),
        ({"z": np.ones((4, 2)), "attribute": np.arange(3)}, (), "attribute: got 3 rows, expected 4, as z has"),
        ({"z": np.ones((4, 2)), "is_test": np.ones(4, bool)}, (), "is_test: got test rows alone"),
        ({"z": np.ones((4, 2)), "is_test": np.ones(4)}, (), "is_test: got float64 (4,), expected booleans (4,)"),
    ],
)
def test_arrays_that_do_not_fit_are_one_line(tmp_path, arrays, words, part):
    np.savez(tmp_path / "rows.npz", **arrays)
    done = run("inlp", tmp_path / "rows.npz", *words)
    assert done.exit_code == 2 and part in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
