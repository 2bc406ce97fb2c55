"""The harness of the claims: verdicts, tables, errors, and that every claim is what the catalogue knows."""

import json

import pytest
from click.testing import CliRunner

from mini_repr.catalogue import paper
from mini_repr.claims.bench.claim import FAILS, HOLDS, UNCLEAR, Claim, above, higher, lower, run, table, verdict
from mini_repr.claims.bench.keys import claim_keys, find_claim
from mini_repr.cli import main


def measure(seed):
    return {"ours": {"accuracy": 0.9 + 0.01 * seed, "loss": 1.0}, "theirs": {"accuracy": 0.8, "loss": 2.0 + seed}}


def claim_of(*expects, measured=measure):
    return Claim(paper="092", says="ours is better", measure=measured, expects=expects)


@pytest.mark.parametrize(
    "differences, expected",
    [
        ([1.0], HOLDS),
        ([0.0], FAILS),
        ([-1.0], FAILS),
        ([0.1, 0.2, 0.3], HOLDS),
        ([-1, 0, 1.5], UNCLEAR),
        ([0, 0], FAILS),
    ],
)
def test_verdict_asks_for_more_than_the_standard_error(differences, expected):
    assert verdict(differences) == expected


def test_result_holds_every_number_and_the_worst_verdict():
    result = run(claim_of(higher("accuracy", "ours", "theirs"), lower("loss", "theirs", "ours")), seeds=2)
    assert result["arms"]["ours"]["accuracy"] == [0.9, 0.91]
    assert [e["verdict"] for e in result["expects"]] == [HOLDS, FAILS] and result["verdict"] == FAILS
    assert result["expects"][1]["difference"] == [-1.0, -2.0]
    assert json.loads(json.dumps(result)) == result
    text = table(result)
    for part in ("ours is better", "0.905 ± 0.007", "holds: accuracy: ours > theirs", "does not hold", "2 seeds"):
        assert part in text


def test_an_arm_may_lack_a_measure():
    result = run(claim_of(above("b", "y", 0), measured=lambda seed: {"x": {"a": 1}, "y": {"b": 2}}), seeds=1)
    assert result["verdict"] == HOLDS and "one seed" in table(result)


def test_refuses_what_is_not_finite_and_no_seeds():
    with pytest.raises(ValueError, match="seed 0: a of x is nan"):
        run(claim_of(above("a", "x", 0), measured=lambda seed: {"x": {"a": float("nan")}}))
    with pytest.raises(ValueError, match="seeds: got 0"):
        run(claim_of(above("accuracy", "ours", 0)), seeds=0)


@pytest.mark.parametrize("key", claim_keys())
def test_every_claim_belongs_to_its_paper(key):
    claim = find_claim(key)
    assert paper(claim.paper).key == key
    assert claim.says and claim.expects and claim.seeds >= 3


def test_command_prints_and_writes(tmp_path, monkeypatch):
    found = claim_of(higher("accuracy", "ours", "theirs"))
    monkeypatch.setattr("mini_repr.claims.bench.keys.find_claim", lambda key: found)
    out = tmp_path / "claim.json"
    result = CliRunner().invoke(main, ["claim", "infonce", "--seeds", "2", "--out", str(out)])
    assert result.exit_code == 0 and "holds" in result.stdout
    assert json.loads(out.read_text())["verdict"] == HOLDS


@pytest.mark.parametrize("key, part", [("infonec", "infonce"), ("crate", "no experiment")])
def test_command_answers_a_wrong_key_in_one_line(key, part):
    result = CliRunner().invoke(main, ["claim", key])
    assert result.exit_code == 2 and part in result.stderr and len(result.stderr.splitlines()) == 1


def test_command_refuses_a_place_that_is_not_there_before_it_measures(tmp_path):
    result = CliRunner().invoke(main, ["claim", "infonce", "--out", str(tmp_path / "none" / "claim.json")])
    assert result.exit_code == 2 and "no folder" in result.stderr and "seed" not in result.stderr
