"""Runs: resuming bit for bit, dying at any moment, every loss end to end."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from mini_repr.methods.build import find_method
from mini_repr.pages.registry import all_losses
from mini_repr.training import checkpoint, session
from mini_repr.training.step import Diverged

SMALL = {
    "encoder": {"name": "vit", "width": 16, "depth": 1, "heads": 2, "patch": 4},
    "train": {"epochs": 3, "batch_size": 256},
    "method": {},
    "heads": {"hidden": 32, "dimensions": 16},
}


def chosen(loss, method=None, **train):
    small = json.loads(json.dumps(SMALL))
    small["loss"] = {"name": loss}
    if all_losses()[loss].compares in ("reconstruction", "scores"):
        del small["heads"]
    if method:
        small["method"]["name"] = method
    small["train"] |= train
    return small


def trained(settings, out, epochs=None):
    run, home = session.start(settings, out)
    for count, record in enumerate(session.remaining_epochs(run, home), 1):
        assert np.isfinite(record["loss"])
        if count == epochs:
            break
    return run, home


def weights(home):
    return checkpoint.load(home / "checkpoint.npz")[0]


def assert_same_weights(one, other):
    first, second = weights(one), weights(other)
    assert set(first) == set(second)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def kind_for(loss):
    """What a loss is trained on unless told otherwise: images where a method does, else texts; None for none."""
    for kind in ("images", "texts", "sentences"):
        try:
            find_method(None, all_losses()[loss], kind)
        except ValueError:
            continue
        return kind


KINDS = {loss: kind_for(loss) for loss in all_losses()}


def test_a_method_trains_every_loss_but_those_of_procedures_and_a_term_of_another():
    """Maps steer how a trained model draws, trained towers are adapted; infoprompt adds its term to another loss."""
    others = {loss for loss, page in all_losses().items() if page.compares in ("maps", "towers")}
    assert {loss for loss, kind in KINDS.items() if kind is None} == others | {"prompt_information"}


# Those of texts: see test_texts.py.
@pytest.mark.parametrize("loss", [loss for loss, kind in KINDS.items() if kind == "images"])
def test_every_loss_trains_two_epochs_and_reports(tmp_path, loss):
    settings = chosen(loss, epochs=2)
    own = find_method(None, all_losses()[loss]).default_encoder
    settings["encoder"] |= {"name": own} if own else {}
    if loss == "token_relations":
        settings["encoder"]["depth"] = 2
        session.start({**settings, "loss": {"name": "infonce"}}, tmp_path / "teacher")[1].close()
        settings["method"] = dict.fromkeys(("relations_of", "features_of"), str(tmp_path / "teacher"))
        del settings["heads"]
    run, home = trained(settings, tmp_path / "run")
    scores = session.finish(run, home)
    assert set(scores) == {"trained", "untrained", "raw input"}
    assert all(0.05 < row["knn"] <= 1 for row in scores.values())
    before = session.start(settings, tmp_path / "fresh")[1]
    changed = [
        n for n, w in weights(home).items() if n.startswith("method/") and not np.array_equal(w, weights(before)[n])
    ]
    assert any("encoder" in name for name in changed)


@pytest.mark.parametrize("loss, method", [("infonce", "momentum"), ("negative_cosine", "momentum")])
def test_momentum_methods(tmp_path, loss, method):
    settings = chosen(loss, method, epochs=2)
    if loss == "infonce":
        settings["loss"] |= {"negatives": "queue", "symmetric": False}
        settings["method"]["queue_size"] = 300
    run, _ = trained(settings, tmp_path / "run")
    student, teacher = run.method.encoder.named_parameters(), run.method.teacher_encoder.named_parameters()
    assert any(not np.array_equal(student[n].data, teacher[n].data) for n in student)
    assert all(not p.requires_grad for p in teacher.values())


def test_added_regulariser_is_part_of_the_loss(tmp_path):
    settings = chosen("infonce", epochs=1) | {"add": {"uniformity": 0.5, "dispersive": {"weight": 0.25}}}
    run, home = session.start(settings, tmp_path / "run")
    record = next(session.remaining_epochs(run, home))
    expected = record["infonce"] + 0.5 * record["uniformity"] + 0.25 * record["dispersive"]
    assert record["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "loss, method",
    [
        ("infonce", None),
        ("infonce", "momentum"),
        ("masked_regression", None),
        ("infonce", "masked_contrast"),
        ("patch_order", None),
        ("patch_discrimination", None),
        ("cluster_prediction", None),
        ("supcon", None),
        ("barlow_twins", "neighbours"),
    ],
)
def test_resume_is_bit_identical(tmp_path, loss, method):
    settings = chosen(loss, method)
    if method == "momentum":
        settings["loss"] |= {"negatives": "queue", "symmetric": False}
        settings["method"]["queue_size"] = 300
    _, whole = trained(settings, tmp_path / "whole")
    trained(settings, tmp_path / "broken", epochs=1)
    run, broken = session.resume(tmp_path / "broken", {})
    assert run.epoch == 1
    for _ in session.remaining_epochs(run, broken):
        pass
    assert_same_weights(whole, broken)
    without_time = [
        [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in (h / "metrics.jsonl").open()]
        for h in (whole, broken)
    ]
    assert without_time[0] == without_time[1]


@pytest.mark.parametrize(
    "train, least", [({"batches": "balanced", "batch_size": 40}, 4), ({"batches": "bound", "batch_size": 40}, 1)]
)
def test_batches_of_other_kinds_hold_rows_of_each_class(tmp_path, train, least):
    run, _ = session.start(chosen("supcon", epochs=1, **train), tmp_path / "run")
    batches = run.batches.epoch_batches(0)
    assert run.total_steps == len(batches) > 20
    for batch in batches:
        assert len(batch) == 40 and np.bincount(run.data.train.labels[batch], minlength=10).min() >= least


@pytest.mark.parametrize(
    "train, says",
    [
        ({"batches": "even"}, "expected one of shuffled, balanced, bound"),
        ({"batches": "balanced"}, "got 256, expected samples_per_class=4 times 2 to 10 classes"),
        ({"batches": "balanced", "samples_per_class": 1}, "expected a whole number from 2"),
        ({"batches": "bound", "batch_size": 10}, "expected 11"),
    ],
)
def test_batches_that_cannot_be_made_are_refused(tmp_path, train, says):
    with pytest.raises(ValueError, match=says):
        session.start(chosen("supcon", **train), tmp_path / "run")


def test_same_seed_same_run_and_other_seed_other_run(tmp_path):
    _, one = trained(chosen("infonce", epochs=1), tmp_path / "one")
    _, two = trained(chosen("infonce", epochs=1), tmp_path / "two")
    _, other = trained(chosen("infonce", epochs=1, seed=1), tmp_path / "other")
    assert_same_weights(one, two)
    first, last = weights(one), weights(other)
    assert any(not np.array_equal(first[n], last[n]) for n in first)


def test_killed_at_any_moment_resumes_bit_identical(tmp_path):
    """SIGKILL a real process again and again at odd moments; the end is that of a run left alone."""
    flags = ["--set", "encoder.width=16", "--set", "encoder.depth=1", "--set", "encoder.patch=4"]
    flags += ["--set", "encoder.heads=2", "--epochs", "6", "--batch-size", "128"]
    command = [sys.executable, "-m", "mini_repr.cli", "train"]
    subprocess.run([*command, *flags, "--out", tmp_path / "whole"], check=True, capture_output=True)

    out = tmp_path / "killed"
    rng = np.random.default_rng(0)
    kills = 0
    process = subprocess.Popen([*command, *flags, "--out", out], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while kills < 3:
        before = _checkpointed(out)
        while process.poll() is None and _checkpointed(out) == before:
            time.sleep(0.002)
        time.sleep(float(rng.uniform(0, 0.1)))
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        process = subprocess.Popen(
            [*command, "--resume", "--out", out], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    assert process.wait() == 0
    assert kills >= 1
    ends = [checkpoint.load(tmp_path / name / "checkpoint.npz")[0] for name in ("whole", "killed")]
    for name in ends[0]:
        np.testing.assert_array_equal(ends[0][name], ends[1][name], err_msg=name)
    epochs = [json.loads(line)["epoch"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert epochs == [1, 2, 3, 4, 5, 6]


def _checkpointed(out):
    try:
        return os.stat(out / "checkpoint.npz").st_mtime_ns
    except FileNotFoundError:
        return None


def test_interrupt_leaves_a_resumable_run(tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "mini_repr.cli", "train", "--epochs", "50", "--out", str(out)]
    command += ["--set", "encoder.width=16", "--set", "encoder.depth=1", "--set", "encoder.patch=4"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    log = out / "metrics.jsonl"
    while not log.exists() or len(log.read_text().splitlines()) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert f"--resume --out {out}" in errors
    assert "Traceback" not in errors
    run, _ = session.resume(out, {})
    assert run.epoch >= 1


def test_divergence_stops_with_the_step_and_advice(tmp_path):
    settings = chosen("infonce", epochs=5) | {"optimizer": {"name": "sgd", "lr": 1e30, "warmup_steps": 0}}
    run, home = session.start(settings, tmp_path / "run")
    with np.errstate(all="ignore"), pytest.raises(Diverged, match=r"step \d+: the .* of infonce is .*--lr"):
        for _ in session.remaining_epochs(run, home):
            pass
    checkpoint.load(home / "checkpoint.npz")


def test_collapse_is_told_apart_from_learning():
    from mini_repr.training.lines import collapse

    record = {"std": 0.02, "effective_rank": 1.1}
    assert all(part in collapse(record) for part in ("std 0.020", "rank 1.1", "--lr")) and "\n" not in collapse(record)
    assert collapse({"std": 0.06, "effective_rank": 2.1}) == ""


def test_resume_refuses_other_settings(tmp_path):
    trained(chosen("infonce", epochs=1), tmp_path / "run")
    with pytest.raises(ValueError, match=r"optimizer.lr"):
        session.resume(tmp_path / "run", {"optimizer": {"lr": 1.0}})
    run, _ = session.resume(tmp_path / "run", {"loss": {"name": "infonce"}, "train": {"epochs": 1}})
    assert run.finished


def test_resume_drops_records_past_the_checkpoint(tmp_path):
    _, home = trained(chosen("infonce"), tmp_path / "run", epochs=1)
    with open(home / "metrics.jsonl", "a") as file:
        file.write('{"epoch": 2, "loss": 1.0}\n{"epoch": 3, "lo')
    home.close()
    session.resume(tmp_path / "run", {})
    assert [json.loads(line)["epoch"] for line in (home / "metrics.jsonl").open()] == [1]


def test_config_holds_every_setting_and_resolves_to_itself(tmp_path):
    from mini_repr.training import config

    _, home = session.start(chosen("infonce"), tmp_path / "run")
    settings = home.read_json("config.json")
    assert config.resolve(settings) == settings
    assert {"temperature", "negatives", "symmetric", "decoupled", "normalize", "reduction"} <= set(settings["loss"])
    environment = home.read_json("env.json")
    assert {"python", "numpy", "scipy", "blas", "device", "seed"} <= set(environment)
