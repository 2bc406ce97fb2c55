"""``mini-repr posthoc`` on a file, and its errors, a line each."""

import numpy as np
import pytest
from click.testing import CliRunner

from mini_repr.cli import main
from mini_repr.posthoc.inlp import INLP
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
        (("unlearn",), "posthoc unlearn: takes more than arrays and settings, from Python"),
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
