"""The stored results: each belongs to its experiment as it stands and says what it says."""

import json

import pytest
from click.testing import CliRunner

from mini_repr.claims.bench import results
from mini_repr.claims.bench.claim import Claim, bounds, higher, verdict
from mini_repr.claims.bench.keys import claim_keys, find_claim
from mini_repr.cli import main


def measure(seed):
    return {"ours": {"accuracy": 0.9 + 0.01 * seed}, "theirs": {"accuracy": 0.8}}


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    """Results in a folder of the test's, of an experiment that takes no time."""
    claim = Claim("067", "ours is better", measure, (higher("accuracy", "ours", "theirs"),))
    monkeypatch.setattr(results, "FOLDER", tmp_path / "results")
    monkeypatch.setattr("mini_repr.claims.bench.keys.find_claim", lambda key: claim)
    return tmp_path / "results"


def command(*words):
    return CliRunner().invoke(main, ["claim", *words])


@pytest.mark.parametrize("key", claim_keys())
def test_every_claim_has_the_result_of_its_experiment(key):
    claim, result = find_claim(key), results.stored(key)
    assert result, f"mini-repr claim {key} --record"
    assert results.is_current(key, result), f"the experiment has changed since: mini-repr claim {key} --record"
    assert result["seeds"] >= claim.seeds and result["threads"] >= 1 and result["version"]
    assert (result["paper"], result["says"], result["designs"]) == (claim.paper, claim.says, claim.designs)
    for arm, measures in result["arms"].items():
        assert all(len(values) == result["seeds"] for values in measures.values()), arm
    by_seed = [
        {arm: {m: values[seed] for m, values in row.items()} for arm, row in result["arms"].items()}
        for seed in range(result["seeds"])
    ]
    for expectation, kept in zip(claim.expects, result["expects"], strict=True):
        differences = [expectation.difference(arms) for arms in by_seed]
        assert kept["says"] == expectation.says and kept["difference"] == pytest.approx(differences)
        assert kept["bounds"] == pytest.approx(bounds(differences))
        assert kept["verdict"] == verdict(differences, expectation.smallest)


def test_no_result_without_a_claim():
    assert {path.stem for path in results.FOLDER.glob("*")} <= set(claim_keys())


def test_record_stores_what_stored_shows(own_folder):
    assert command("simsiam", "--stored").exit_code == 2
    done = command("simsiam", "--record")
    assert done.exit_code == 0, done.output
    kept = json.loads((own_folder / "simsiam.json").read_text())
    assert kept["seeds"] == 5 and kept["verdict"] == "holds" and kept["digest"] == results.digest_of("simsiam")
    shown = command("067", "--stored")
    assert shown.exit_code == 0 and "stored by mini_repr" in shown.stdout and "ours" in shown.stdout
    assert shown.stderr == ""
    assert json.loads(command("simsiam", "--stored", "--json").stdout) == kept
    assert [path.name for path in own_folder.iterdir()] == ["simsiam.json"]


def test_a_result_of_an_earlier_experiment_says_so(own_folder, monkeypatch):
    command("simsiam", "--record")
    monkeypatch.setattr(results, "digest_of", lambda key: "0" * 64)
    assert "the experiment has changed since" in command("simsiam", "--stored").stderr


def test_the_digest_leaves_out_the_text_alone(tmp_path, monkeypatch):
    package = tmp_path / "claims"
    package.mkdir()
    monkeypatch.setattr(results.resources, "files", lambda name: tmp_path)

    def digest(source):
        (package / "simsiam.py").write_text(source)
        return results.digest_of("simsiam")

    first = digest('"""A text.\n\nOf lines.\n"""\n\nEPOCHS = 20\n')
    assert digest('"""Another."""\n\nEPOCHS = 20\n') == first
    assert digest('"""A text.\n\nOf lines.\n"""\n\nEPOCHS = 21\n') != first


def test_verdicts_of_all_claims(own_folder):
    command("simsiam", "--record")
    shown = command("--all", "--stored").stdout
    text = " ".join(shown.split())
    assert "067 simsiam" in text and "ours is better (accuracy: ours > theirs: 0.120, 95 % bounds" in text
    assert shown.startswith(f"claims (1 holds, {len(claim_keys()) - 1} not measured)")


@pytest.mark.parametrize(
    "words, part",
    [
        ((), "KEY is missing"),
        (("--all",), "type mini-repr claim --all --stored"),
        (("--all", "--stored", "simsiam"), "type mini-repr claim --all --stored"),
        (("simsiam", "--stored", "--seeds", "7"), "leave out --seeds"),
        (("simsiam", "--stored", "--record"), "leave out --seeds and --record"),
        (("simsiam", "--record", "--seeds", "2"), "expected 5 or more"),
    ],
)
def test_words_that_do_not_fit_are_answered_in_a_line(own_folder, words, part):
    done = command(*words)
    assert done.exit_code == 2 and part in done.stderr and len(done.stderr.splitlines()) == 1
    assert not own_folder.exists()


def test_a_package_that_cannot_be_written_is_noticed_before_the_work(own_folder, monkeypatch):
    monkeypatch.setattr(results.os, "access", lambda path, mode: False)
    done = command("simsiam", "--record")
    assert done.exit_code == 2 and "cannot be written" in done.stderr and "seed" not in done.stderr
