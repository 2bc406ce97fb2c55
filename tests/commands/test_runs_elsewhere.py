"""Runs outside `train`: ``load_run``, ``compare``, ``export``, ``train --seeds`` and ``--config config.json``."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import mini_repr
from mini_repr.cli import main
from mini_repr.training.evaluation import embeddings

SMALL = ("--encoder", "mlp", "--set", "encoder.width=16", "--epochs", 1)


def run(*words):
    return CliRunner().invoke(main, list(map(str, words)))


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """Folders of two runs that differ by their seed, and what the command said."""
    out = tmp_path_factory.mktemp("runs") / "many"
    done = run("train", "--loss", "infonce", *SMALL, "--seeds", 2, "--seed", 3, "--out", out)
    assert done.exit_code == 0, done.output
    return [f"{out}-1", f"{out}-2"], done.stdout


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "other"
    assert run("train", "--loss", "vicreg", *SMALL, "--out", out).exit_code == 0
    return out


def test_seeds_follow_each_other_and_are_summed_up(seeds):
    folders, said = seeds
    loaded = [mini_repr.load_run(folder) for folder in folders]
    assert [one.settings["train"]["seed"] for one in loaded] == [3, 4]
    knn = [one.scores["trained"]["knn"] for one in loaded]
    assert f"{np.mean(knn):.3f} ± {np.std(knn, ddof=1):.3f}" in said and "many-1 and 1 more seed" in said


def test_seeds_may_be_listed(tmp_path):
    done = run("train", "--loss", "infonce", *SMALL, "--seeds", "4,1", "--out", tmp_path / "one")
    assert done.exit_code == 0 and "over 2 seeds" in done.stdout
    folders = [tmp_path / "one-1", tmp_path / "one-2"]
    assert [mini_repr.load_run(folder).settings["train"]["seed"] for folder in folders] == [4, 1]
    for wrong in ("1", "0,x", "2,2", "-3", "1,"):
        refused = run("train", "--loss", "infonce", f"--seeds={wrong}", "--out", tmp_path / "two")
        assert refused.exit_code == 2 and f"--seeds {wrong}: expected" in refused.stderr


def test_runs_side_by_side(seeds, other):
    done = run("compare", *seeds[0], other)
    assert done.exit_code == 0
    knn = mini_repr.load_run(other).scores["trained"]["knn"]
    row = next(line for line in done.stdout.splitlines() if line.startswith("20-nn"))
    assert row.endswith(f"{knn:.3f}") and "±" in row
    assert "loss.name: many-1 infonce, other vicreg" in done.stdout and "train.seed" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_loaded_run_embeds_as_the_command_does(seeds):
    loaded = mini_repr.load_run(seeds[0][0])
    images = np.concatenate([loaded.data.train.images, loaded.data.test.images])
    np.testing.assert_array_equal(loaded.embed(images), embeddings(seeds[0][0])["z"])
    assert repr(loaded) == "<run of infonce on digits>"
    with pytest.raises(ValueError, match=r"embed: samples: got shape \(2, 3\), expected \(N, 1, 8, 8\)"):
        loaded.embed(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="tower: got 'a', expected 'z' or None"):
        loaded.embed(images, tower="a")


def test_weights_for_other_programs(seeds, tmp_path):
    out = tmp_path / "weights.npz"
    done = run("export", seeds[0][0], "--out", out)
    weights = mini_repr.load_run(seeds[0][0]).method.state_dict()
    written = np.load(out, allow_pickle=False)
    assert done.exit_code == 0 and set(written.files) == weights.keys()
    for name, value in weights.items():
        np.testing.assert_array_equal(written[name], value)
    assert "exists already" in run("export", seeds[0][0], "--out", out).stderr
    assert "expected .npz or .safetensors" in run("export", seeds[0][0], "--out", tmp_path / "weights.pt").stderr
    assert "no folder" in run("export", seeds[0][0], "--out", tmp_path / "none" / "w.npz").stderr


def test_safetensors(seeds, tmp_path):
    safetensors = pytest.importorskip("safetensors")
    out = tmp_path / "weights.safetensors"
    assert run("export", seeds[0][0], "--out", out).exit_code == 0
    with safetensors.safe_open(out, "numpy") as file:
        assert json.loads(file.metadata()["mini_repr"])["loss"]["name"] == "infonce"
        weights = mini_repr.load_run(seeds[0][0]).method.state_dict()
        assert all(np.array_equal(file.get_tensor(name), value) for name, value in weights.items())


def test_a_run_again_from_its_settings(seeds, tmp_path):
    first, again = seeds[0][0], tmp_path / "again"
    assert run("train", "--config", f"{first}/config.json", "--out", again).exit_code == 0
    assert mini_repr.load_run(again).scores == mini_repr.load_run(first).scores
    (tmp_path / "broken.json").write_text("{")
    assert "not JSON" in run("train", "--config", tmp_path / "broken.json").stderr
    for name, text, said in (
        ("list.json", "[1]", "holds a list, expected sections"),
        ("flat.json", '{"loss": 3}', "setting loss: got 3, expected a section"),
        ("flat.toml", "loss = 3", "setting loss: got 3, expected a section"),
    ):
        (tmp_path / name).write_text(text)
        done = run("train", "--config", tmp_path / name)
        assert done.exit_code == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1


def test_neighbours_while_it_trains(seeds, tmp_path):
    out = tmp_path / "run"
    assert (
        run("train", "--loss", "infonce", *SMALL, "--set", "train.knn_every=2", "--epochs", 4, "--out", out).exit_code
        == 0
    )
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert ["knn" in record for record in records] == [False, True, False, True]
    assert records[-1]["knn"] == mini_repr.load_run(out).scores["trained"]["knn"]
    said = run("train", "--data", "glosses", "--set", "train.knn_every=2", "--out", tmp_path / "none").stderr
    assert "train.knn_every: got 2, expected 0: glosses has no labels of single rows" in said


def test_wrong_use(seeds, tmp_path):
    assert "--seeds needs --out" in run("train", "--seeds", 2).stderr
    assert "no such run folder" in run("compare", tmp_path / "none").stderr
    (tmp_path / "taken-2").mkdir()
    (tmp_path / "taken-2" / "notes").write_text("mine")
    refused = run("train", "--loss", "infonce", *SMALL, "--seeds", 2, "--out", tmp_path / "taken")
    assert refused.exit_code == 2 and "taken-2: not empty" in refused.stderr and not (tmp_path / "taken-1").exists()
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    for name in ("config.json", "env.json", "checkpoint.npz"):
        (unfinished / name).write_bytes((Path(seeds[0][0]) / name).read_bytes())
    assert "is not finished" in run("compare", unfinished).stderr


def test_papers_as_bibtex():
    said = run("cite", "infonce").stdout
    assert "@misc{infonce," in said and "eprint = {2012.09740}" in said and "@misc{arxiv-1807.03748," in said
    assert run("cite", "092").stdout.startswith("@misc{infonce,")
    assert "no paper 'zzz'" in run("cite", "zzz").stderr
    assert run("cite", "clip").stdout == run("cite", "InfoNCELoss").stdout == said  # as the field calls it
