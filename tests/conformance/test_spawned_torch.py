"""`check --ranks W --spawn`: losses that gather by themselves, in processes of torch.distributed; and how they fail."""

import importlib.util
import os
import time
from pathlib import Path

import pytest

pytest.importorskip("torch")

from click.testing import CliRunner

from mini_repr.cli import main
from mini_repr.conformance.spawned import _raise_failure, check_spawned
from mini_repr.conformance.user_code import Unusable

pytestmark = pytest.mark.crosscheck
FILE = Path(__file__).parent / "gathering_torch.py"
WHOLE = "value and gradient are those of the whole batch"
# (loss of FILE, its package, page, options, what is said of it)
OUTCOMES = [
    ("own_anchors", "torch", "infonce", {}, WHOLE),
    ("own_rows_only", "torch", "infonce", {}, "the mean of the ranks' losses is not the whole batch's loss"),
    ("lightly_nt_xent", "lightly", "infonce", {"variant": "nt_xent"}, WHOLE),
    ("lightly_dcl", "lightly", "infonce", {"variant": "decoupled"}, WHOLE),
    # Each rank standardises its own rows: what is summed over ranks is no correlation of the whole batch.
    ("lightly_barlow_twins", "lightly", "barlow_twins", {}, "is not the whole batch's loss"),
    ("lightly_vicreg", "lightly", "vicreg", {"variant": "official_code"}, WHOLE),
    ("lightly_tico", "lightly", "tico", {"variant": "lightly"}, WHOLE),
    ("open_clip_whole", "open_clip", "infonce", {}, "the gradient is 1/W (W = 2): no gradient through the gather"),
    ("open_clip_whole_with_gradient", "open_clip", "infonce", {}, WHOLE),
    ("open_clip_local", "open_clip", "infonce", {}, "no multiple of the whole batch's gradient"),
    ("open_clip_local_with_gradient", "open_clip", "infonce", {}, WHOLE),
    ("sentence_transformers_ranking", "sentence_transformers", "infonce", {"variant": "one_direction"}, WHOLE),
]


@pytest.mark.parametrize("function, package, loss, options, words", OUTCOMES, ids=[o[0] for o in OUTCOMES])
def test_a_loss_that_gathers_is_compared_with_the_whole_batch(function, package, loss, options, words):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    report = check_spawned(f"{FILE}:{function}", loss, 2, **options)
    assert words in report.verdict
    assert report.exit_code == int(words != WHOLE)
    assert "on 2 processes" in report.text()


@pytest.mark.parametrize(
    "function, words",
    [
        ("raises_on_rank_1", "rank 1: "),
        ("ends_on_rank_1", "rank 1 ended with code 9"),
    ],
)
def test_a_rank_that_fails_is_one_line_and_code_2(function, words):
    options = ["--against", "infonce", "--ranks", "2", "--spawn"]
    result = CliRunner().invoke(main, ["check", f"{FILE}:{function}", *options])
    assert result.exit_code == 2
    assert words in result.output and len(result.output.strip().splitlines()) == 1


class Ended:
    """A process that has ended with a code."""

    def __init__(self, code):
        self.returncode, self.poll = code, lambda: code


@pytest.mark.parametrize(
    "codes, said, words",
    [
        ((1, 9), {0: "rank 0: remote worker crashing"}, "rank 1 ended with code 9"),
        ((1, 1), {0: "rank 0: Connection closed by peer", 1: "rank 1: ValueError: no"}, "rank 1: ValueError"),
        ((1, -6), {0: "rank 0: ValueError: no"}, "rank 0: ValueError"),
        ((1, 1), {0: "rank 0: Connection reset by peer"}, "rank 1 ended with code 1"),
    ],
)
def test_the_rank_that_failed_by_itself_is_named(tmp_path, codes, said, words):
    for rank in range(len(codes)):
        (tmp_path / f"{rank}.log").write_text("last words\n")
    for rank, text in said.items():
        (tmp_path / f"{rank}.error").write_text(text)
    with pytest.raises(Unusable, match=words):
        _raise_failure(tmp_path, "mine.py:loss", [Ended(code) for code in codes])


def test_ranks_that_wait_for_each_other_are_ended(tmp_path, monkeypatch):
    process = tmp_path / "process"
    monkeypatch.setenv("PROCESS_FILE", str(process))
    with pytest.raises(Unusable, match=r"no answer from rank 0, 1 in 2 s: a rank waits"):
        check_spawned(f"{FILE}:waits_on_rank_1", "infonce", 2, seconds=2)
    number = int(process.read_text())
    time.sleep(0.1)
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_spawn_wants_ranks_and_a_target():
    result = CliRunner().invoke(main, ["check", "--against", "infonce", "--spawn"])
    assert result.exit_code == 2 and "expected TARGET --ranks W" in result.output
