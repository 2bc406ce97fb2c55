"""``mini-repr theorem`` on the arrays of a file, and its errors, a line each."""

import numpy as np
import pytest
from click.testing import CliRunner

from mini_repr.cli import main
from mini_repr.metrics.theory import latent_class_bound


@pytest.fixture
def rows(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "rows.npz"
    z, labels = rng.normal(size=(20, 3)).astype(np.float32), np.arange(20) % 4
    np.savez(path, z=z, labels=labels, is_test=labels == 0)
    return path, z, labels


def run(*words):
    return CliRunner().invoke(main, ["theorem", *map(str, words)])


def test_prints_and_writes_what_the_function_gives(rows, tmp_path):
    path, z, labels = rows
    expected = latent_class_bound(z, labels, loss="hinge")
    done = run("latent_class_bound", path, "--set", "loss=hinge", "--out", tmp_path / "found.npz")
    assert done.exit_code == 0, done.output
    assert f"supervised    {expected.supervised:.6g}\n" in done.stdout
    written = np.load(tmp_path / "found.npz")
    assert {name: float(written[name]) for name in written} == expected._asdict()


@pytest.mark.parametrize(
    "name, words, part",
    [
        ("latent_clas_bound", (), "no such theorem; did you mean 'latent_class_bound'?"),
        ("latent_class_bound", ("--set", "los=hinge"), "--set los=hinge: no such setting of latent_class_bound"),
        ("latent_class_bound", ("--set", "loss"), "expected NAME=VALUE, such as loss=logistic"),
        ("latent_class_bound", ("--set", "loss=square"), "loss: got 'square', expected one of logistic, hinge"),
        ("latent_class_bound", ("--out", "/none/such.npz"), "No such file"),
    ],
)
def test_a_mistake_is_one_line(rows, name, words, part):
    done = run(name, rows[0], *words)
    assert done.exit_code == 2 and part in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr


def test_a_missing_array_is_named(tmp_path):
    np.savez(tmp_path / "rows.npz", z=np.ones((4, 2)))
    done = run("latent_class_bound", tmp_path / "rows.npz")
    assert done.exit_code == 2 and "no array 'labels'; latent_class_bound needs (N) int" in done.stderr
