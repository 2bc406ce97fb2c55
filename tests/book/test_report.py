"""The report on runs: one file that needs no other, with what each kind of run has to show."""

import re
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from mini_repr.cli import main

pytest.importorskip("math_core", reason="the extra book is not installed")

from mini_repr.book.report import report

SMALL = ("--epochs", "1", "--batch-size", "32")
VIT = ("--batch-size", "256", "--set", "encoder.width=8", "--set", "encoder.depth=1", "--set", "encoder.heads=2")
WORDS = ["red", "green", "blue", "tall", "short", "round", "square", "fast", "slow", "near", "far"]


def run(*words):
    return CliRunner().invoke(main, list(map(str, words)))


def trained(path, *words):
    done = run("train", *SMALL, *words, "--out", path)
    assert done.exit_code == 0, done.output
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    home = tmp_path_factory.mktemp("runs")
    contrast = ("--loss", "infonce", *VIT, "--set", "train.knn_every=1", "--set", "loss.temperature=0.5")
    rng = np.random.default_rng(0)
    pairs = [" ".join(rng.choice(WORDS, 3)) for _ in range(60)]
    (home / "pairs.tsv").write_text("\n".join(f"{a}\t{a} {rng.choice(WORDS)}" for a in pairs))
    visits = [f"{rng.choice(['x', 'y'])},{rng.integers(9)},{rng.choice(['yes', 'no'])}" for _ in range(80)]
    (home / "visits.csv").write_text("\n".join(["site,age,clicked", *visits]))
    fields = ("--set", "data.categories=site", "--set", "data.numbers=age", "--set", "data.label=clicked")
    return {
        "contrast": trained(home / "contrast", *contrast),
        "masked": trained(home / "masked", "--loss", "masked_regression", *VIT),
        "texts": trained(home / "texts", "--data", home / "pairs.tsv", "--set", "encoder.width=8"),
        "table": trained(home / "table", "--method", "click_through", "--data", home / "visits.csv", *fields),
    }


def written(paths, out):
    done = run("report", *paths, "--out", out)
    assert done.exit_code == 0, done.output
    return out.read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def no_umap(monkeypatch):
    """As without umap-learn, so that what a report shows does not depend on what lies on this machine."""
    monkeypatch.setitem(sys.modules, "umap", None)


def headings(text):
    return re.findall(r"<h2>(.*?)</h2>", text)


def test_two_runs_side_by_side(runs, tmp_path):
    text = written([runs["contrast"], runs["masked"]], tmp_path / "report.html")
    assert headings(text) == [
        "Scores",
        "Settings that differ",
        "Curves",
        "Embeddings of test rows, two principal components",
        "Mean cosine between classes",
        "Nearest training rows of some test rows",
        "What is hidden, and what the method puts there",
        "Where the encoder looks in its last block",
        "Run again",
        "Environment",
        "All settings",
    ]
    assert "<code>method.name</code></td><td>simclr</td><td>masked</td>" in text
    for panel in ("accuracy of the nearest neighbours", "collapse: effective rank", "norm of the gradient"):
        assert f">{panel}</text>" in text
    assert text.count('<svg class="picture"') == 3  # the curves, and a map for each
    assert f"mini-repr train --config {runs['contrast']}/config.json" in text


def test_it_needs_no_other_file(runs, tmp_path):
    text = written([runs["masked"]], tmp_path / "report.html")
    assert re.findall(r'(?:src|href)="(?!data:|#)([^"]*)"', text) == [] and not re.search(r"url\((?!#)", text)
    assert "Settings that differ" not in headings(text)


def test_written_twice_it_is_the_same(runs, tmp_path):
    first, second = (written([runs["contrast"]], tmp_path / name) for name in ("1.html", "2.html"))
    assert first == second


def test_where_umap_is_installed_there_is_its_map_too(runs, tmp_path, monkeypatch):
    seen = []

    class UMAP:
        def __init__(self, **settings):
            seen.append(settings)

        def fit_transform(self, rows):
            seen.append(rows)
            return rows[:, :2] * [1000.0, 1.0]

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=UMAP))
    text = written([runs["contrast"], runs["texts"]], tmp_path / "report.html")
    assert "Embeddings of test rows, UMAP of their cosine distances" in headings(text)
    assert text.count('aria-label="contrast: UMAP of embeddings"') == 1
    assert "texts: UMAP" not in text  # too few test rows
    settings, rows = seen
    assert settings == {"metric": "cosine", "random_state": 0, "n_jobs": 1} and rows.shape == (360, 8)


def test_texts_have_their_neighbours_as_texts(runs, tmp_path):
    text = written([runs["texts"]], tmp_path / "report.html")
    assert "Nearest training rows of some test rows" in headings(text) and "<img" not in text
    assert "recall@10" in text


def test_a_table_has_its_scores_and_curves(runs, tmp_path):
    text = written([runs["table"]], tmp_path / "report.html")
    assert {"Scores", "Curves", "Environment"} <= set(headings(text))
    assert "Nearest training rows of some test rows" not in headings(text)


def test_the_cosines_between_classes_are_those_of_the_rows(runs, tmp_path):
    text = written([runs["contrast"]], tmp_path / "report.html")
    assert run("embed", runs["contrast"], "--out", tmp_path / "z.npz").exit_code == 0
    with np.load(tmp_path / "z.npz") as arrays:
        z, labels = arrays["z"][arrays["is_test"]].astype(float), arrays["labels"][arrays["is_test"]]
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    within = [z[i] @ z[j] for i in range(len(z)) for j in range(i) if labels[i] == labels[j] == 3]
    across = [z[i] @ z[j] for i in np.flatnonzero(labels == 3) for j in np.flatnonzero(labels == 5)]
    found = re.findall(r'class="shade"[^>]*>(.*?)</span>', text)
    assert found[10 * 3 + 3] == f"{np.mean(within):.2f}" and found[10 * 3 + 5] == f"{np.mean(across):.2f}"


def test_the_nearest_row_is_that_of_a_search(runs):
    from mini_repr.book.report import _neighbours, _sample, _shown

    shown = _shown(runs["contrast"])
    train, test = (
        shown.rows[part] / np.linalg.norm(shown.rows[part], axis=1, keepdims=True) for part in ("train", "test")
    )
    nearest = max(range(len(train)), key=lambda k: float(test[0].astype(float) @ train[k]))
    assert str(_sample(shown.data.train, nearest)) in str(_neighbours(shown))


def test_a_run_that_is_not_finished_says_so(runs, tmp_path):
    shutil.copytree(runs["contrast"], tmp_path / "half")
    (tmp_path / "half" / "metrics.json").unlink()
    text = written([runs["masked"], tmp_path / "half"], tmp_path / "report.html")
    assert "<p>Not finished: half.</p>" in text and "masked: trained" in text and "half: trained" not in text


def test_what_is_there_is_not_overwritten(runs, tmp_path):
    (tmp_path / "there.html").write_text("mine")
    done = run("report", runs["contrast"], "--out", tmp_path / "there.html")
    assert done.exit_code == 2 and "exists already" in done.stderr
    assert (tmp_path / "there.html").read_text() == "mine"


def test_no_run_is_one_line(tmp_path):
    done = run("report", tmp_path / "none", "--out", tmp_path / "r.html")
    assert done.exit_code == 2 and len(done.stderr.splitlines()) == 1 and "none" in done.stderr
    with pytest.raises(ValueError, match="no such run folder"):
        report([tmp_path / "none"], tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_collapsed_rows_have_a_line_or_a_map(runs):
    from mini_repr.book.report import _principal_map, _shown

    shown = _shown(runs["contrast"])
    point = {part: np.ones_like(rows) for part, rows in shown.rows.items()}
    assert "has collapsed" in _principal_map(shown._replace(rows=point))
    line = {part: rows[:, :1] * np.ones((1, 8), np.float32) for part, rows in shown.rows.items()}
    picture = _principal_map(shown._replace(rows=line))
    assert "<svg" in picture and "nan" not in picture.lower()


def test_names_on_a_map_stand_apart(runs):
    from mini_repr.book.report import _map, _shown

    shown = _shown(runs["contrast"])
    places = np.random.default_rng(0).normal(size=(360, 2))  # every class has the same median, nearly
    found = re.findall(r'x="([\d.]+)" y="([\d.]+)"[^>]*>\d</text>', _map(shown, places, "map"))
    spots = np.array(found, dtype=float)
    assert len(spots) == 10
    gaps = np.abs(spots[:, None] - spots[None]).max(axis=2) + 99 * np.eye(10)
    assert gaps.min() > 10
