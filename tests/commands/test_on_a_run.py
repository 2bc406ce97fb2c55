"""``mini-repr landscape``, ``posthoc`` and ``benchmark`` on the folder of a run."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from mini_repr.cli import main
from mini_repr.posthoc import vtab
from mini_repr.training.evaluation import embeddings


def run(*words):
    return CliRunner().invoke(main, list(map(str, words)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run"
    words = ("--loss", "infonce", "--encoder", "mlp", "--set", "encoder.width=16", "--epochs", 1, "--out", path)
    done = run("train", *words)
    assert done.exit_code == 0, done.output
    return path


def test_a_surface_of_the_loss(folder, tmp_path):
    out = tmp_path / "surface.npz"
    done = run("landscape", folder, "--points", 3, "--reach", 0.5, "--out", out)
    assert done.exit_code == 0, done.output
    written = np.load(out)
    assert written["losses"].shape == (3, 3) and written["steps"].tolist() == [-0.5, 0.0, 0.5]
    assert np.isfinite(written["losses"]).all() and len(np.unique(written["losses"])) == 9
    assert f"loss {written['losses'][1, 1]:.4f} at the weights" in done.stdout
    again = tmp_path / "again.npz"
    run("landscape", folder, "--points", 3, "--reach", 0.5, "--out", again)
    np.testing.assert_array_equal(np.load(again)["losses"], written["losses"])


def test_a_surface_with_labels(tmp_path):
    path = tmp_path / "run"
    run("train", "--loss", "cross_entropy", "--encoder", "mlp", "--epochs", 1, "--out", path)
    done = run("landscape", path, "--points", 3)
    assert done.exit_code == 0 and "not convex at" in done.stdout, done.output


def test_a_procedure_on_the_embeddings(folder, tmp_path):
    rows = tmp_path / "clean.npz"
    done = run("posthoc", "inlp", folder, "--map", "attribute=labels", "--set", "rounds=1", "--rows", rows)
    assert done.exit_code == 0, done.output
    z = embeddings(folder)["z"]
    clean = np.load(rows)["z"]
    assert clean.shape == z.shape == (1797, 16)
    assert np.linalg.matrix_rank(clean, tol=1e-6) == np.linalg.matrix_rank(z, tol=1e-6) - 9


def test_the_benchmark(folder, monkeypatch):
    chosen = [task for task in vtab.TASKS if task.name in ("missing half", "ink")]
    monkeypatch.setattr(vtab, "TASKS", tuple(chosen))
    done = run("benchmark", folder, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["tasks"]["missing half"] > 0.5 and found["total"] == np.mean(list(found["tasks"].values()))


@pytest.mark.parametrize("command", ["landscape", "benchmark"])
def test_no_run_is_one_line(command, tmp_path):
    done = run(command, tmp_path / "none")
    assert done.exit_code == 2 and len(done.stderr.splitlines()) == 1
