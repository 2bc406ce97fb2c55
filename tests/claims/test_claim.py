"""The harness of the claims: verdicts, tables, errors, and that every claim is what the catalogue knows."""

import json
import os

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import ttest_1samp

from mini_repr.catalogue import paper
from mini_repr.claims.bench.claim import (
    FAILS,
    HOLDS,
    NONE,
    UNCLEAR,
    Claim,
    above,
    below,
    bounds,
    higher,
    lower,
    no_worse,
    run,
    verdict,
)
from mini_repr.claims.bench.keys import claim_keys, find_claim
from mini_repr.claims.bench.processes import in_processes
from mini_repr.claims.bench.report import deciding, report
from mini_repr.cli import main
from mini_repr.pages.tables import UNFOLDED


def measure(seed):
    return {"ours": {"accuracy": 0.9 + 0.01 * seed, "loss": 1.0}, "theirs": {"accuracy": 0.8, "loss": 2.0 + seed}}


def claim_of(*expects, measured=measure):
    return Claim(paper="092", says="ours is better", measure=measured, expects=expects)


@pytest.mark.parametrize(
    "differences, smallest, expected",
    [
        ([1.0], 0, NONE),
        ([0.1, 0.2, 0.3], 0, HOLDS),
        ([0.1, 0.2, 0.3], 0.02, HOLDS),
        ([0.1, 0.2, 0.3], 0.1, UNCLEAR),
        ([0.1, 0.2, 0.3], 0.5, FAILS),
        ([-0.1, -0.2, -0.3], 0, FAILS),
        ([-0.1, -0.2, -0.3], -0.5, HOLDS),
        ([-1, 0, 1.5], 0, UNCLEAR),
        ([0.0, 0.0], 0, UNCLEAR),
    ],
)
def test_verdict_asks_for_a_bound_beyond_the_smallest_effect(differences, smallest, expected):
    assert verdict(differences, smallest) == expected


def test_bounds_are_those_of_a_paired_t_test():
    """An expectation holds exactly where the one-sided test rejects its opposite at 5 %."""
    differences = np.random.default_rng(0).normal(0.4, 1.0, size=(200, 5))
    found = [verdict(list(d)) == HOLDS for d in differences]
    assert found == list(ttest_1samp(differences, 0, axis=1, alternative="greater").pvalue < 0.05)
    assert 0 < sum(found) < 200
    low, high = bounds([0.1, 0.2, 0.3])
    assert (low, high) == pytest.approx((0.2 - 2.919986 * 0.1 / 3**0.5, 0.2 + 2.919986 * 0.1 / 3**0.5))


@pytest.mark.parametrize(
    "expectation, says, difference",
    [
        (higher("accuracy", "ours", "theirs", by=0.05), "accuracy: ours > theirs by 0.05", 0.1),
        (lower("loss", "ours", "theirs"), "loss: ours < theirs", 1.0),
        (no_worse("accuracy", "theirs", "ours", by=0.2), "accuracy: theirs no worse than ours by 0.2", -0.1),
        (above("accuracy", "ours", 0.7), "accuracy: ours > 0.7", 0.2),
        (below("loss", "ours", 3), "loss: ours < 3", 2.0),
    ],
)
def test_expectations(expectation, says, difference):
    result = run(claim_of(expectation), seeds=2)["expects"][0]
    assert result["says"] == says and result["difference"][0] == pytest.approx(difference)
    assert result["smallest"] == expectation.smallest


def test_result_holds_every_number_and_the_worst_verdict():
    result = run(claim_of(higher("accuracy", "ours", "theirs"), lower("loss", "theirs", "ours")), seeds=2)
    assert result["arms"]["ours"]["accuracy"] == [0.9, 0.91]
    assert [e["verdict"] for e in result["expects"]] == [HOLDS, UNCLEAR] and result["verdict"] == UNCLEAR
    assert result["expects"][1]["difference"] == [-1.0, -2.0]
    assert json.loads(json.dumps(result)) == result
    text = report(result)
    for part in (
        "ours is better",
        "0.905 ± 0.007",
        "holds: accuracy: ours > theirs",
        "unclear (2 seeds",
        "95 % bounds",
    ):
        assert part in text
    assert deciding(result).startswith("loss: theirs < ours: -1.500, 95 % bounds -4.657 and 1.657")


def test_report_fits_the_terminal():
    wide = {f"measure {k}": 0.5 + k for k in range(12)}
    result = run(claim_of(above("measure 0", "ours", 0), measured=lambda seed: {"ours": wide, "theirs": wide}))
    assert max(map(len, report(result, UNFOLDED).splitlines())) > 80
    lines = report(result).splitlines()
    assert max(map(len, lines)) <= 80 and all(any(name in line for line in lines) for name in wide)


def test_an_arm_may_lack_a_measure():
    result = run(claim_of(above("b", "y", 0), measured=lambda seed: {"x": {"a": 1}, "y": {"b": 2}}), seeds=1)
    assert result["verdict"] == NONE and "one seed gives none" in report(result)


def test_refuses_what_is_not_finite_and_no_seeds():
    with pytest.raises(ValueError, match="seed 0: a of x is nan"):
        run(claim_of(above("a", "x", 0), measured=lambda seed: {"x": {"a": float("nan")}}))
    with pytest.raises(ValueError, match="seeds: got 0"):
        run(claim_of(above("accuracy", "ours", 0)), seeds=0)


@pytest.mark.parametrize("key", claim_keys())
def test_every_claim_belongs_to_its_paper(key):
    claim = find_claim(key)
    assert paper(claim.paper).key == key
    assert claim.says and claim.expects and claim.seeds >= 5 and claim.designs >= 1


def test_command_prints_and_writes(tmp_path, monkeypatch):
    found = claim_of(higher("accuracy", "ours", "theirs"))
    monkeypatch.setattr("mini_repr.claims.bench.keys.find_claim", lambda key: found)
    out = tmp_path / "claim.json"
    result = CliRunner().invoke(main, ["claim", "infonce", "--seeds", "2", "--out", str(out)])
    assert result.exit_code == 0 and "holds" in result.stdout, result.output
    assert json.loads(out.read_text())["verdict"] == HOLDS


def test_command_answers_a_wrong_key_in_one_line(monkeypatch):
    monkeypatch.setattr("mini_repr.claims.bench.keys.claim_keys", lambda: ["simsiam"])  # as if no other had one
    for key, part in (("infonec", "infonce"), ("infonce", "no experiment")):
        result = CliRunner().invoke(main, ["claim", key])
        assert result.exit_code == 2 and part in result.stderr and len(result.stderr.splitlines()) == 1


def test_command_refuses_a_place_that_is_not_there_before_it_measures(tmp_path):
    result = CliRunner().invoke(main, ["claim", "infonce", "--out", str(tmp_path / "none" / "claim.json")])
    assert result.exit_code == 2 and "no folder" in result.stderr and "seed" not in result.stderr


def test_seeds_in_processes_are_those_of_one(monkeypatch):
    """On the cheapest claim; the environment that the processes inherit is as it was."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    claim, done = find_claim("reconstruction_subspaces"), []
    apart = run(claim, 2, in_processes("reconstruction_subspaces", 2, done.append))
    assert done == [0, 1] and "MKL_NUM_THREADS" not in os.environ
    assert apart["arms"].keys() == run(claim, 1)["arms"].keys()
