"""``mini-repr metrics``: all that applies to a file, and one line for what is wrong with it."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from mini_repr.cli import main
from mini_repr.metrics import recall_at_k, uniformity

RNG = np.random.default_rng(0)
Z = RNG.standard_normal((60, 5)).astype(np.float32)
LABELS = np.arange(60) % 3


def metrics(*args):
    return CliRunner().invoke(main, ["metrics", *map(str, args)])


def test_rows_with_labels_and_a_split(tmp_path):
    file = tmp_path / "emb.npz"
    np.savez(file, z=Z, labels=LABELS, is_test=np.arange(60) % 5 == 0)
    result = metrics(file, "--json")
    numbers = json.loads(result.stdout)
    assert numbers["uniformity"] == pytest.approx(uniformity(Z[::5]))
    assert {"linear_probe", "knn_accuracy", "effective_rank", "tolerance"} <= numbers.keys()
    assert "recall_at_k" not in numbers
    assert "uniformity" in metrics(file).stdout


def test_pairs(tmp_path):
    file = tmp_path / "pairs.npz"
    np.savez(file, a=Z, b=Z + 0.1)
    numbers = json.loads(metrics(file, "--json").stdout)
    assert numbers["recall_at_k"] == recall_at_k(Z, Z + np.float32(0.1))
    assert {"auc", "modality_gap", "neighbour_overlap", "uniformity of a", "uniformity of b"} <= numbers.keys()


@pytest.mark.parametrize(
    "arrays, part",
    [
        ({"x": Z}, "holds x, expected z"),
        ({}, "holds nothing"),
        ({"z": Z, "is_test": np.ones(60)}, "booleans"),
        ({"z": Z, "is_test": np.zeros(60, dtype=bool)}, "no test row"),
        ({"z": np.array([{}])}, "pickle is never loaded"),
        ({"z": np.float32(3)}, "z: got float32 (), expected finite float32 or float64 rows"),
        ({"z": Z.astype(int)}, "z: got int64 (60, 5)"),
        ({"z": Z[:0]}, "z: got float32 (0, 5)"),
        ({"a": Z, "b": np.where(Z > 1, np.nan, Z)}, "b: got NaN or infinity"),
        ({"z": Z, "labels": LABELS[:5]}, "labels: got int64 (5,), expected integers (60,)"),
        ({"z": Z, "labels": LABELS + 0.5}, "labels: got float64 (60,)"),
        ({"z": Z, "labels": np.int64(3), "is_test": LABELS == 0}, "labels: got int64 ()"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path, arrays, part):
    file = tmp_path / "wrong.npz"
    np.savez(file, **arrays)
    result = metrics(file)
    assert result.exit_code == 2 and part in result.stderr and len(result.stderr.splitlines()) == 1


def test_no_file_and_no_archive(tmp_path):
    (tmp_path / "text.npz").write_text("hello")
    for path in (tmp_path / "none.npz", tmp_path / "text.npz"):
        result = metrics(path)
        assert result.exit_code == 2 and len(result.stderr.splitlines()) == 1


def test_what_would_take_minutes_is_named_and_left_out(tmp_path):
    file = tmp_path / "many.npz"
    many = RNG.standard_normal((1001, 3)).astype(np.float32)
    np.savez(file, a=many, b=many)
    result = metrics(file, "--json")
    assert "dime" not in json.loads(result.stdout) and "not computed: dime: 1001 rows" in result.stderr


@pytest.mark.parametrize("more", [{}, {"is_test": np.ones(60, dtype=bool)}])
def test_probes_without_a_row_to_learn_from_are_named(tmp_path, more):
    file = tmp_path / "emb.npz"
    np.savez(file, z=Z, labels=LABELS, **more)
    result = metrics(file, "--json")
    assert result.exit_code == 0 and "linear_probe" not in json.loads(result.stdout)
    assert len(result.stderr.splitlines()) == 1
    assert "few_label_probe, knn_accuracy, linear_probe, subspace_probe: every row is a test row" in result.stderr
