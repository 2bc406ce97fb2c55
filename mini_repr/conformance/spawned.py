"""Check a loss that gathers by itself: W processes of torch.distributed (gloo), each with its own rows of the batch.

Every process imports the user's module after the process group stands, as a training script does, and calls the loss
on its rows; what the loss gathers and how its backward sends gradients back is its own affair. What the processes leave
on their rows is averaged over ranks, as PyTorch's DDP does with parameters' gradients, or summed, and compared with the
whole batch's gradient. ``ranks.py`` has the form in one process, for a function that is given the gathered arrays.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from mini_repr.conformance.adapters import adapter_for
from mini_repr.conformance.binding import bind
from mini_repr.conformance.cases import needs_of
from mini_repr.conformance.check import resolve_settings
from mini_repr.conformance.compare import expected_outcome
from mini_repr.conformance.explain import gradient_names
from mini_repr.conformance.layouts import Layout
from mini_repr.conformance.ranks import ALSO, RanksReport, cause_of
from mini_repr.conformance.schemes import batch_of, fit, sharded, shards
from mini_repr.conformance.user_code import Target, Unusable, framework_of, one_line
from mini_repr.pages.names import find_loss

SECONDS = 60.0  # for the loss and its backward, once all ranks stand
SECONDS_TO_START = 300.0  # for imports
AVERAGED, SUMMED = "gradients averaged over ranks (DDP)", "gradients summed over ranks"


def check_spawned(target, against, world, variant=None, settings=None, mapping=None, constants=None, seconds=SECONDS):
    """Compare a loss that gathers by itself, run in ``world`` processes, with the whole batch's loss.

    Args:
        target: "path.py:name" or "module:object"; every process imports it. seconds: after which no answer is a hang.
        The others: as in ``check``.
    Returns:
        RanksReport.
    Raises:
        ValueError: names or settings that do not exist; Unusable where a rank fails, or none answers in time.
    """
    loss = find_loss(against)
    settings, extra = resolve_settings(loss, variant, settings)
    needs = needs_of(loss, variant) or ()
    arguments = batch_of(loss, world, settings, needs)
    call = {
        "target": target,
        "loss": loss.name,
        "settings": settings,
        "mapping": mapping or {},
        "constants": {**extra, **(constants or {})},
    }
    with tempfile.TemporaryDirectory(prefix="mini_repr_ranks_") as folder:
        folder = Path(folder)
        (folder / "call.json").write_text(json.dumps(call))
        np.savez(folder / "batch.npz", **{n: v for n, v in arguments.items() if isinstance(v, np.ndarray)})
        _run(folder, target, world, seconds)
        results = [json.loads((folder / f"{rank}.json").read_text()) for rank in range(world)]
        gradients = [dict(np.load(folder / f"{rank}.npz")) for rank in range(world)]

    arguments = {**arguments, **results[0]["fixed"]}
    exact = expected_outcome(loss, arguments)
    size = max(1.0, abs(exact.value))
    values = np.array([result["value"] for result in results])
    summed = {n: _summed(loss, n, [g[n] for g in gradients]) for n in gradients[0]}
    fits = {}
    rows = {n: g for n, g in summed.items() if g.ndim}
    if rows:
        fits[AVERAGED] = fit({n: g / world for n, g in rows.items()}, exact.gradients)
        fits[SUMMED] = fit(rows, exact.gradients)
        # A number that all ranks learn is no row of theirs: the average may be right where the rows' is not.
        fits |= {f"{ALSO}{n}, averaged": fit({n: g / world}, exact.gradients) for n, g in summed.items() if not g.ndim}
    return RanksReport(
        loss,
        target,
        "torch",
        f"{world} processes",
        world,
        abs(float(values.mean()) - exact.value) / size,
        list(np.abs(values - exact.value) / size),
        fits,
        cause_of(loss, arguments, world, fits[AVERAGED]) if fits else "",
    )


def _summed(loss, name, parts):
    """What the ranks leave: on rows of their own, or on what all of them share."""
    dealt = loss.parameters[name].annotation.is_array and parts[0].ndim > 0
    return np.concatenate(parts) if dealt else sum(parts)


def _run(folder, target, world, seconds):
    """Run all ranks; Unusable for the first that fails, and where time runs out. No process stays behind."""
    code = [sys.executable, "-m", "mini_repr.conformance.spawned", str(folder), str(world)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ranks = []
    try:
        for rank in range(world):
            errors = open(folder / f"{rank}.log", "w")  # noqa: SIM115  (closed with the process)
            ranks.append(subprocess.Popen([*code, str(rank)], stdout=errors, stderr=errors, env=environment))
            errors.close()
        deadline, running = time.monotonic() + SECONDS_TO_START, False
        while any(process.poll() is None for process in ranks):
            _raise_failure(folder, target, ranks)
            if not running and all((folder / f"{rank}.ready").exists() for rank in range(world)):
                deadline, running = time.monotonic() + seconds, True
            if time.monotonic() > deadline:
                given = seconds if running else SECONDS_TO_START
                raise Unusable(
                    f"{target}: no answer from rank {_silent(ranks)} in {given:g} s: a rank waits for a gather or "
                    "reduction that the others never call"
                )
            time.sleep(0.02)
        _raise_failure(folder, target, ranks)
    finally:
        for process in ranks:
            if process.poll() is None:
                process.kill()
            process.wait()


def _silent(ranks):
    return ", ".join(str(rank) for rank, process in enumerate(ranks) if process.poll() is None)


# What gloo says on a rank whose peer is gone: the cause lies with the peer.
LOST = ("closed by peer", "reset by peer", "remote worker crashing")
SECONDS_TO_FOLLOW = 0.5  # for ranks that fail because another did


def _raise_failure(folder, target, ranks):
    """Unusable for the rank that failed by itself, where some did."""
    if all(process.poll() in (None, 0) for process in ranks):
        return
    deadline = time.monotonic() + SECONDS_TO_FOLLOW
    while any(process.poll() is None for process in ranks) and time.monotonic() < deadline:
        time.sleep(0.02)
    said = {}
    for rank in range(len(ranks)):
        with contextlib.suppress(FileNotFoundError):
            said[rank] = (folder / f"{rank}.error").read_text()

    def order(rank):
        """A rank that says why, one that was ended, one that did not say why, and one that lost another."""
        if rank in said:
            return 3 if any(words in said[rank] for words in LOST) else 0
        return 1 if ranks[rank].returncode != 1 else 2

    first = min((rank for rank, process in enumerate(ranks) if process.poll() not in (None, 0)), key=order)
    if first in said:
        raise Unusable(said[first])
    lines = [line for line in (folder / f"{first}.log").read_text().splitlines() if line.strip()]
    ended = f"rank {first} ended with code {ranks[first].returncode}"
    raise Unusable(f"{target}: {ended}: {lines[-1].strip()[:200] if lines else 'nothing was printed'}")


# What runs in the process of one rank.


def _rank(folder, world, rank):
    """The outcome of this rank's rows, written beside the batch; returns the exit code."""
    import torch.distributed

    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    call = json.loads((folder / "call.json").read_text())
    try:
        torch.distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=world)
        value, gradients, fixed = _outcome(folder, call, dict(np.load(folder / "batch.npz")), world, rank)
    except Unusable as problem:
        (folder / f"{rank}.error").write_text(f"rank {rank}: {problem}")
        return 1
    np.savez(folder / f"{rank}.npz", **gradients)
    (folder / f"{rank}.json").write_text(json.dumps({"value": value, "fixed": fixed}))
    torch.distributed.barrier()
    return 0


def _outcome(folder, call, batch, world, rank):
    loss = find_loss(call["loss"])
    target = Target.load(call["target"])
    if framework_of(target) != "torch":
        raise Unusable(f"is in {framework_of(target)}, expected PyTorch code, which gathers by torch.distributed")
    settings = call["settings"]
    arguments = loss.complete({**batch, **settings})
    dealt = sharded(loss, arguments)
    own = shards(len(arguments[dealt[0]]), world)[rank]
    local = {n: v[own] if n in dealt else v for n, v in arguments.items()}
    binding = bind(loss, target, list(batch), settings, call["mapping"], call["constants"], Layout())
    adapter = adapter_for("torch", loss, target, binding, gradient_names(loss))
    (folder / f"{rank}.ready").touch()
    outcome = adapter.settle({**local, **binding.fixed})
    return outcome.value, outcome.gradients or {}, binding.fixed


def _end_with(parent):
    """End this process when its parent is gone, even if it waits for another rank."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


if __name__ == "__main__":
    try:
        code = _rank(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    except Exception as error:
        print(one_line(error), file=sys.stderr)
        code = 1
    sys.stderr.flush()
    os._exit(code)  # the group's threads may not end in order
