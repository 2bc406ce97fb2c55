"""``mpiexec -n N mini-repr train``: one folder, a rank that dies, another number of ranks, wrong use."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from mpi_ranks import ENVIRONMENT, command, needs_mpi, run_on

from mini_repr.training import checkpoint, session

pytestmark = needs_mpi
CLI = ("-m", "mini_repr.cli", "train")
SMALL = {
    "encoder": {"name": "vit", "width": 16, "depth": 1, "heads": 2, "patch": 4},
    "heads": {"hidden": 16, "dimensions": 8},
    "train": {"batch_size": 240, "epochs": 2},
}


def flags(out, **train):
    settings = {**SMALL, "train": {**SMALL["train"], **train}}
    pairs = [f"{section}.{name}={json.dumps(v)}" for section, own in settings.items() for name, v in own.items()]
    return ["--out", out, *(part for pair in pairs for part in ("--set", pair))]


def records(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def alone(out, epochs):
    """The same run in this process."""
    run, home = session.start({**SMALL, "train": {**SMALL["train"], "epochs": epochs}}, out)
    return list(session.remaining_epochs(run, home))


def errors(done):
    return [line for line in done.stderr.splitlines() if line.startswith("Error")]


def test_one_rank_writes_and_speaks(tmp_path):
    done = run_on(2, *CLI, *flags(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Run folder:") == 1
    assert sorted(os.listdir(tmp_path / "run")) == [
        "checkpoint.npz",
        "config.json",
        "env.json",
        "metrics.json",
        "metrics.jsonl",
        "train.log",
    ]
    log = (tmp_path / "run" / "train.log").read_text()
    assert "2 ranks, messages staged through the host, no rank gathers rows of others" in log
    assert json.loads((tmp_path / "run" / "env.json").read_text())["ranks"] == 2
    for here, there in zip(records(tmp_path / "run"), alone(tmp_path / "alone", 2), strict=True):
        assert here.keys() == there.keys()
        for name in here.keys() - {"seconds"}:  # float32, two epochs
            assert here[name] == pytest.approx(there[name], rel=1e-3), name


def test_a_killed_rank_ends_the_run_and_another_number_of_ranks_resumes_it(tmp_path):
    out, epochs = tmp_path / "run", 40
    with subprocess.Popen(
        command(2, *CLI, *flags(out, epochs=epochs)),
        env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        wait_for(lambda: (out / "metrics.jsonl").exists() and len(records(out)) >= 2, running)
        os.kill(process_of_rank(1, out), signal.SIGKILL)
        _, said = running.communicate(timeout=60)
    assert running.returncode not in (0, 2)
    assert "signal 9" in said and "rank 1" in said
    _, meta = checkpoint.load(out / "checkpoint.npz")  # whole
    assert 1 <= meta["epoch"] < epochs

    finished = json.loads((out / "config.json").read_text())
    finished["train"]["epochs"] = epochs = meta["epoch"] + 2
    (out / "config.json").write_text(json.dumps(finished))
    shutil.copytree(out, tmp_path / "twin")
    done = run_on(3, *CLI, "--resume", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "3 ranks" in (out / "train.log").read_text()
    run, home = session.resume(tmp_path / "twin", {})
    there = list(session.remaining_epochs(run, home))
    here = records(out)
    assert [record["epoch"] for record in here] == list(range(1, epochs + 1))
    for record, other in zip(here[-2:], there, strict=True):
        assert record["loss"] == pytest.approx(other["loss"], rel=1e-3)
    first, second = (checkpoint.load(folder / "checkpoint.npz")[0] for folder in (out, tmp_path / "twin"))
    for name, expected in second.items():
        np.testing.assert_allclose(first[name], expected, rtol=0, atol=1e-2, err_msg=name)


def wait_for(condition, running, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        assert running.poll() is None, running.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.05)


def process_of_rank(rank, out):
    """The process number of that rank of the run in folder ``out``."""
    for entry in Path("/proc").iterdir():
        try:
            environment, line = (entry / "environ").read_bytes(), (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if f"OMPI_COMM_WORLD_RANK={rank}".encode() in environment.split(b"\0") and str(out).encode() in line:
            return int(entry.name)
    raise AssertionError(f"no process of rank {rank}")


@pytest.mark.parametrize(
    "more, line",
    [
        (["--set", "train.batch_size=25"], "Error: batch size 25 cannot be shared out evenly over 2 ranks"),
        (["--device", "gpu:0"], "Error: device gpu:0: one GPU for 2 ranks; expected gpu, one for each rank"),
        (["--set", "train.loss_groups=7"], "Error: batch size 240 cannot be shared out evenly over 7 loss groups"),
        (
            ["--set", "train.loss_groups=3"],
            "Error: train.loss_groups: got 3, expected a divisor or a multiple of the 2 ranks",
        ),
        (["--resume"], "Error: {out}: no such run folder"),
    ],
)
def test_wrong_use_is_one_line(tmp_path, more, line):
    out = tmp_path / "run"
    given = ["--out", out] if "--resume" in more else flags(out)
    done = run_on(2, *CLI, *given, *more, timeout=60)
    assert done.returncode == 2
    assert errors(done) == [line.format(out=out)]
    assert not out.exists()
