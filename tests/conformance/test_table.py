"""Checks stated in a pyproject.toml: all run in one process, one verdict a line, the worst exit code."""

import pytest
from click.testing import CliRunner

from mini_repr.cli import main

CODE = """
import numpy as np

def flops(z):
    m = np.abs(z).mean(axis=0)
    return (m * m).sum(), (2 * m * np.sign(z) / len(z),)

def wrong(z):
    value, (g,) = flops(z)
    return 2 * value, (2 * g,)
"""
GOOD = '[[tool.mini_repr.check]]\ntarget = "mine.py:flops"\nagainst = "flops"\n'
WRONG = '[[tool.mini_repr.check]]\ntarget = "mine.py:wrong"\nagainst = "flops"\n'


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(CODE)

    def invoke(table):
        if table is not None:
            (tmp_path / "pyproject.toml").write_text(table)
        return CliRunner().invoke(main, ["check"])

    return invoke


def test_all_conform(run):
    result = run(GOOD)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("mine.py:flops against flops: conforms to flops on ")


def test_one_line_each_then_what_fails_and_the_worst_code(run):
    result = run(GOOD + WRONG)
    assert result.exit_code == 1
    first, second, blank, *details = result.output.splitlines()
    assert "conforms to flops" in first and "value and gradient are 2 times those of flops" in second
    assert blank == "" and details[0] == "mine.py:wrong (numpy) against flops"
    assert "errors of" in result.output


def test_a_check_that_cannot_run_leaves_the_others(run):
    result = run(GOOD.replace('flops"\nag', 'nothing"\nag') + WRONG)
    assert result.exit_code == 2
    assert "has no 'nothing'" in result.output and "2 times" in result.output


@pytest.mark.parametrize(
    "table, words",
    [
        (None, "no pyproject.toml here"),
        ("[tool.other]", "no [[tool.mini_repr.check]]"),
        ("[tool", "pyproject.toml: "),
        (GOOD + "varient = 'l1'", "table 1: varient: no such key; did you mean 'variant'"),
        (GOOD + "set = 3", "table 1: set: got 3, expected set = { temperature = 0.5 }"),
        (GOOD + '[[tool.mini_repr.check]]\ntarget = "mine.py:wrong"', "table 2: against: missing"),
        (GOOD + "variant = 'l3'", "variant of flops"),
    ],
)
def test_a_wrong_table_is_one_line_that_names_the_key(run, table, words):
    result = run(table)
    assert result.exit_code == 2
    assert words.lower() in result.output.lower() and len(result.output.strip().splitlines()) == 1
