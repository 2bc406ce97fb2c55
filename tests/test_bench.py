"""``scripts/bench.py``: what it makes of its measurements, and where it puts them."""

import json
import statistics
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from scripts_folder import script

from mini_repr.book import speed

bench, common = script("bench"), script("bench_sides.common")
SCRIPT = Path(__file__).parent.parent / "scripts" / "bench.py"
OURS = [{"seconds": seconds, "bytes": 3 * 2**20} for seconds in (1.0, 2.0, 4.0)]
THEIRS = [{"seconds": seconds, "bytes": 2**20} for seconds in (2.0, 2.5, 4.0)]


@pytest.fixture
def measured(monkeypatch):
    """Makes ``bench`` find PyTorch and JAX, and these numbers of the processes of each side."""

    def measured(**sides):
        turns = {side: iter(numbers) for side, numbers in sides.items()}
        alone = {"ours": {"products": [1], "gflop": 12.3456, "seconds": 0.5}, "torch": 0.25}
        seen = []

        def in_process(module, side, *words, given=None):
            seen.append((module, side, *words, given))
            return next(turns[side]) if module == "bench_sides" else alone[side]

        monkeypatch.setattr(bench, "in_process", in_process)
        monkeypatch.setattr(bench, "find_spec", lambda name: name in ("torch", "jax"))
        monkeypatch.setattr(bench, "version", lambda name: f"{name} 1+cpu")
        return seen

    return measured


@pytest.mark.parametrize("name", bench.WORK)
def test_every_side_of_a_row_is_there(name):
    """Modules that import their library at once are looked at where it is."""
    work = bench.WORK[name]
    for side in ("ours", *work.peers):
        if side == "jax" and find_spec("jax") is None:
            continue
        module = script("bench_sides.ours" if side == "ours" else f"bench_sides.in_{side}")
        if name in common.LOSSES:
            assert side != "jax" or name in module.LOSSES
        else:
            assert callable(getattr(module, "tiled" if name.endswith("_tiled") else name))


def test_a_row_has_medians_of_pairs(measured):
    seen = measured(ours=OURS, torch=THEIRS, jax=THEIRS)
    row = bench.compare("mlp")
    assert [words[1] for words in seen[:6]] == ["ours", "torch", "jax"] * 2  # in turn
    assert row["ours"] == {"seconds": 2.0, "mib": 3.0}
    paired = statistics.median([1 / 2, 2 / 2.5, 4 / 4])
    assert row["torch"] == row["jax"] == {"seconds": 2.5, "mib": 1.0, "time_ratio": paired, "memory_ratio": 3.0}
    assert row["versions"] == {"numpy": "numpy 1", "torch": "torch 1", "jax": "jax 1"}
    assert row["products"] == {"gflop": 12.35, "numpy_seconds": 0.5, "torch_seconds": 0.25}
    assert seen[-1] == ("bench_sides.products", "torch", [1])
    assert speed.line(row) and speed.products_table([row])


def test_what_does_not_fit_or_is_not_installed_is_left_out(measured):
    measured(ours=OURS, torch=[None, None, None])
    row = bench.compare("circle_tiled")
    assert "torch" not in row and row["ours"]["seconds"] == 1.0
    measured(ours=OURS)
    assert "sklearn" not in bench.compare("knn")
    measured(ours=[OURS[0] | {"per_pair_over_small": 0.98765}])
    assert bench.compare("large")["per_pair_over_small"] == 0.9877


def test_a_part_that_is_measured_again_takes_its_place(monkeypatch, tmp_path):
    """Rows of other names and of other machines stay, and all stand in the order of the table."""
    stored = tmp_path / "speed.json"
    stored.write_text('{"another": {"vit": {}}}', encoding="utf-8")
    monkeypatch.setattr(speed, "FILE", stored)
    for name, seconds in (("infonce", 1.0), ("vit", 2.0), ("infonce", 3.0)):
        bench.record(name, {"ours": {"seconds": seconds}})
    kept = json.loads(stored.read_text(encoding="utf-8"))
    assert list(kept) == ["another", bench.machine()]
    own = kept[bench.machine()]
    assert [(name, row["ours"]["seconds"]) for name, row in own.items()] == [("vit", 2.0), ("infonce", 3.0)]


@pytest.mark.parametrize(
    ("words", "environment", "told"),
    [
        (["vti"], {}, "unknown work 'vti'"),
        (["vit", "--pairs", "0"], {}, "--pairs: got 0, expected 1 or more"),
        (["vit", "--record"], {"OMP_NUM_THREADS": "1"}, "OMP_NUM_THREADS is set"),
    ],
)
def test_wrong_use_is_one_line(monkeypatch, capsys, words, environment, told):
    for name in bench.THREADS:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["bench.py", *words])
    with pytest.raises(SystemExit) as stopped:
        bench.main()
    assert stopped.value.code == 2
    assert told in capsys.readouterr().err


def test_a_row_is_printed():
    done = subprocess.run([sys.executable, str(SCRIPT), "probe", "--pairs", "1"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    header, _, row = done.stdout.splitlines()
    assert "linear probe" in row and header.count("|") == row.count("|")
