"""Checks stated in a pyproject.toml: all run in one process, one verdict a line, the worst exit code."""

import json
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from mini_repr.cli import main
from mini_repr.conformance.schema import REPORTS

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

    def invoke(table, *options):
        if table is not None:
            (tmp_path / "pyproject.toml").write_text(table)
        return CliRunner().invoke(main, ["check", *options])

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


def test_quiet_json_and_junit_speak_of_all(run, tmp_path):
    table = GOOD + WRONG + GOOD.replace('flops"\nag', 'nothing"\nag')
    assert len(run(table, "-q").output.splitlines()) == 3
    result = run(table, "--json", "--junit", "all.xml")
    good, wrong, not_run = json.loads(result.output)
    assert (good["exit_code"], wrong["exit_code"], not_run["exit_code"], result.exit_code) == (0, 1, 2, 2)
    assert list(Draft202012Validator(REPORTS).iter_errors([good, wrong, not_run])) == []
    suites = list(ElementTree.parse(tmp_path / "all.xml").getroot())
    assert [s.get("name") for s in suites][2] == "mine.py:nothing against flops"
    assert suites[0].get("failures") == "0" and suites[2].find("testcase/error") is not None


def test_what_the_stated_checks_do_not_read_is_refused(run):
    result = run(GOOD, "--set", "power=3")
    assert result.exit_code == 2
    assert "--set: not with the checks that a pyproject.toml states; leave it out" in result.output


@pytest.mark.parametrize(
    "table, words",
    [
        (None, "no pyproject.toml here"),
        ("[tool.other]", "no [[tool.mini_repr.check]]"),
        ("[tool", "pyproject.toml: "),
        (GOOD + "varient = 'l1'", "table 1: varient: no such key; did you mean 'variant'"),
        (GOOD + "set = 3", "table 1: set: got 3, expected set = { temperature = 0.5 }"),
        (GOOD + '[[tool.mini_repr.check]]\ntarget = "mine.py:wrong"', "table 2: against: missing"),
        (GOOD + "variant = 'l3'", "table 1: variant of flops"),
    ],
)
def test_a_wrong_table_is_one_line_that_names_the_key(run, table, words):
    result = run(table)
    assert result.exit_code == 2
    assert words.lower() in result.output.lower() and len(result.output.strip().splitlines()) == 1
