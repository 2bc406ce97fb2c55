"""Every known slip is refused, nearly every one is named, and by its own name."""

import json

import pytest
from click.testing import CliRunner

from mini_repr.cli import main
from mini_repr.conformance.mutants import MUTANTS, kill


@pytest.mark.parametrize("mutant", MUTANTS, ids=[m.name for m in MUTANTS])
def test_mutant_is_killed_and_named(mutant):
    result = kill(mutant)
    assert result.outcome == "killed and named", result.verdict


def test_there_are_enough_of_them_and_each_has_its_own_name():
    assert len(MUTANTS) >= 25
    assert len({m.name for m in MUTANTS}) == len(MUTANTS)
    assert all(1 <= m.trap <= 26 and m.named for m in MUTANTS)


def test_the_kill_table_is_printed(monkeypatch):
    from mini_repr.conformance import mutants

    monkeypatch.setattr(mutants, "MUTANTS", MUTANTS[-2:])
    result = CliRunner().invoke(main, ["check", "--mutants"])
    assert result.exit_code == 0, result.output
    assert "2 mutants: 2 killed and named, 0 killed, 0 survived" in result.output
    assert MUTANTS[-1].says in result.output

    survivor = MUTANTS[-1]._replace(loss="dispersive", settings={"self_pairs": False})
    monkeypatch.setattr(mutants, "MUTANTS", [survivor])
    result = CliRunner().invoke(main, ["check", "--mutants", "--json"])
    assert result.exit_code == 1, "what is faithful to the settings it claims survives"
    assert json.loads(result.output)["counts"]["survived"] == 1
