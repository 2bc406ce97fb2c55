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


def test_a_run_is_tuned_on_labels_from_elsewhere_and_applied_again(folder, tmp_path):
    noisy, made, rows, again = (tmp_path / name for name in ("noisy.npz", "made.npz", "rows.npz", "again.npz"))
    given = embeddings(folder)
    np.savez(noisy, y=(given["labels"] + 1) % 10)
    words = ("tune_calibrated", folder, "--map", f"labels={noisy}:y", "--set", "epochs=2")
    done = run("posthoc", *words, "--out", made, "--rows", rows)
    assert done.exit_code == 0 and "train  -" in done.stdout, done.output
    written = np.load(rows)
    assert written["z"].shape == given["z"].shape and np.abs(written["z"] - given["z"]).max() > 1e-3
    assert (written["scores"].argmax(axis=1) == (given["labels"] + 1) % 10).mean() > 0.3  # as it was told, not as it is
    assert run("posthoc", "tune_calibrated", folder, "--load", made, "--rows", again).exit_code == 0
    np.testing.assert_array_equal(np.load(again)["scores"], written["scores"])


def test_a_classifier_forgets_and_a_run_without_scores_cannot(folder, tmp_path):
    path, which, rows = tmp_path / "run", tmp_path / "which.npz", tmp_path / "rows.npz"
    np.savez(which, rows=np.arange(100))
    run("train", "--loss", "cross_entropy", "--encoder", "mlp", "--epochs", 2, "--out", path)
    words = ("--map", f"forget={which}:rows", "--set", "epochs=3", "--set", "lr=0.001", "--rows", rows)
    done = run("posthoc", "unlearn", path, *words)
    assert done.exit_code == 0, done.output
    told = {line.split()[0]: line.split()[1:] for line in done.stdout.partition("  part ")[2].splitlines()[1:]}
    assert float(told["forget"][1]) < float(told["forget"][0]) - 0.05 and set(told) == {"forget", "retain", "test"}
    written = np.load(rows)
    right = written["scores"].argmax(axis=1) == written["labels"]
    assert float(told["forget"][1]) == pytest.approx(right[:100].mean(), abs=5e-4)
    refused = run("posthoc", "unlearn", folder, *words)
    assert refused.exit_code == 2 and "a run without scores, expected one of --method classifier" in refused.stderr


def test_rows_are_forgotten_without_a_label(folder, tmp_path):
    which = tmp_path / "which.npz"
    np.savez(which, rows=np.arange(0, 200, 4))
    words = ("--map", f"forget={which}:rows", "--set", "epochs=20", "--set", "autoencoder_steps=100")
    done = run("posthoc", "forget_without_labels", folder, *words)
    told = {line.split()[0]: line.split()[1:] for line in done.stdout.partition("  part ")[2].splitlines()[1:]}
    assert done.exit_code == 0 and told["forget"][:2] == ["-", "-"], done.output
    assert float(told["forget"][2]) < float(told["retain"][2])


def test_a_run_on_texts_is_one_line(tmp_path):
    path, pairs = tmp_path / "run", tmp_path / "pairs.tsv"
    pairs.write_text("".join(f"word {k}\tsaid {k}\n" for k in range(40)))
    done = run("train", "--loss", "infonce", "--data", pairs, "--batch-size", 16, "--epochs", 1, "--out", path)
    assert done.exit_code == 0, done.output
    done = run("posthoc", "tune_calibrated", path)
    assert done.exit_code == 2 and "a run on texts, expected one on images" in done.stderr


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
