"""The chapter on speed and the README say what was stored."""

from pathlib import Path

import pytest

from mini_repr.book import speed
from mini_repr.book.chapters import chapter, with_table

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
ROW = {
    "what": "a step",
    "goal_time": 0.8,
    "goal_memory": None,
    "date": "2026-01-02",
    "versions": {"numpy": "2.0.0", "torch": "2.1.0"},
    "ours": {"seconds": 0.5, "mib": 20.0},
    "torch": {"seconds": 0.4, "mib": 40.0, "time_ratio": 1.25, "memory_ratio": 0.5},
}


def test_the_chapters_tables_are_those_of_what_is_stored():
    assert with_table(chapter("speed"), speed.tables(), speed.SCRIPT) == chapter("speed")
    assert chapter("speed").count(speed.header(speed.COLUMNS)[0]) == len(speed.stored())


def test_the_readme_quotes_what_is_stored():
    assert with_table(README, speed.quoted(), speed.SCRIPT) == README
    assert "\n".join(speed.quoted()) in README


def test_the_machine_that_was_measured_last_is_quoted(monkeypatch):
    both = {"vit": ROW, "infonce": ROW | {"torch": ROW["torch"] | {"time_ratio": 0.25}}}
    later = {name: row | {"date": "2026-01-03"} for name, row in both.items()}
    monkeypatch.setattr(speed, "stored", lambda: {"1 core": both, "2 cores": later, "3 cores": {"mlp": ROW}})
    text = " ".join(map(str.strip, speed.quoted()))
    assert text.startswith("* Speed on 2 cores: a ViT step takes 1.25 of the time and 0.50 of the memory that PyTorch")
    assert text.endswith("gradient 0.25 of the time and 0.50 of the memory.")


def test_every_ratio_is_that_of_its_numbers():
    """As near as medians of ratios are to ratios of medians."""
    for rows in speed.stored().values():
        for name, row in rows.items():
            for peer in {"torch", "sklearn", "jax"} & set(row):
                numbers = row[peer]
                assert numbers["time_ratio"] == pytest.approx(row["ours"]["seconds"] / numbers["seconds"], rel=0.2), (
                    name
                )
                assert numbers["memory_ratio"] == pytest.approx(row["ours"]["mib"] / numbers["mib"], abs=0.02), name


def test_a_line_has_a_cell_a_column_and_a_missed_goal_is_bold():
    assert speed.line(ROW) == "| a step | 0.5 | 0.4 | **1.25** | 0.80 | 20 | 40 | 0.50 | - | - | - | - |"
    alone = {key: value for key, value in ROW.items() if key != "torch"} | {
        "jax": {"seconds": 1.0, "time_ratio": 0.5, "memory_ratio": 0.25}
    }
    alone["per_pair_over_small"] = 0.987
    assert speed.line(alone) == (
        "| a step: 0.99 times a pair of B=4096 | 0.5 | - | - | 0.80 | 20 | - | - | - | 1 | 0.50 | 0.25 |"
    )


def test_goals_are_counted_and_versions_and_dates_told(monkeypatch):
    later = ROW | {"date": "2026-01-05", "versions": {"numpy": "2.0.0", "torch": "2.2.0"}, "goal_memory": 0.6}
    monkeypatch.setattr(speed, "stored", lambda: {"1 core": {"a": ROW, "b": later}})
    assert speed.tables()[1] == (
        "1 core; NumPy 2.0.0, PyTorch 2.1.0 and 2.2.0; measured from 2026-01-02 to 2026-01-05. Of 3 goals 2 are missed."
    )


def test_products_are_told_beside_the_whole():
    """Of 0.5 s ours are 0.3 products, of PyTorch's 0.4 s 0.2: with these ours would take as long as PyTorch."""
    row = ROW | {"products": {"gflop": 30.0, "numpy_seconds": 0.3, "torch_seconds": 0.2}}
    assert speed.products_table([ROW, row])[2:] == [
        "| a step | 30.00 | 0.5 | 0.3 | 100 | 0.4 | 0.2 | 150 | 0.2 | 1.25 | 1.00 |"
    ]
    assert speed.products_table([ROW]) == []
