"""Measure a training step on one rank, two and four, and plan time and memory for up to 1,024 ranks.

    python scripts/scaling.py                         measure here, print the plan (about two minutes)
    python scripts/scaling.py --bandwidth 3 --latency 20
    python scripts/scaling.py --rows 64 --width 64    a smaller encoder step

The step is the library's own (``training.gradients.backward``): 28x28 images, two views each, ViT (patch 4, depth 4),
projector to 128, InfoNCE in the ring, float32, one BLAS thread a rank. More ranks than cores share them: their time
says nothing of speed-up, their memory does. The plan is arithmetic on what its parts took and on message sizes; what it
assumes is printed above it. Needs the extra ``mpi``.
"""

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np

BATCH = 2**20
MEASURED = (1, 2, 4)
CHUNK = 64
MIB = 2**20
RANKS = (1, 2, 4, 16, 64, 256, 1024)
DIMENSIONS = 128
RING_ROWS = 2048
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
# As in the tests: containers run as root and have fewer cores than their machine.
MPI_HERE = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
}


def timed(work, repetitions=5):
    """Median seconds of ``work()``, warmed up once."""
    work()
    seconds = []
    for _ in range(repetitions):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def most_bytes(work):
    """Bytes that arrays of NumPy took at most during ``work()``."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def measure(rows, width):
    """One rank's part, on a core of its own, with ``rows`` pairs: the first rank prints what it measured as JSON."""
    from mini_repr.autograd import Tensor
    from mini_repr.backend import CPU
    from mini_repr.data import Dataset, ImageSet
    from mini_repr.losses.pairs.infonce import infonce
    from mini_repr.methods import Batch
    from mini_repr.training import config
    from mini_repr.training.distributed import joined
    from mini_repr.training.distributed.over_ranks import form_over_ranks
    from mini_repr.training.run import Run
    from mini_repr.training.step import forward_backward

    with joined() as world:
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[world.rank % len(cores)]})
        batch = rows * world.size
        images = np.random.default_rng(0).random((batch, 1, 28, 28), dtype=np.float32)
        data = Dataset("random", ImageSet("random", images), ImageSet("random", images[:2]))
        settings = config.resolve(
            {
                "encoder": {"patch": 4, "width": width, "depth": 4},
                "heads": {"dimensions": DIMENSIONS},
                "method": {"views": "shift=2,rotate=15,noise=0.1"},
                "train": {"batch_size": batch},
            }
        )
        run = Run(settings, data, CPU, world)
        method, sharding = run.method, run.sharding
        own = images[sharding.own(np.arange(batch))]
        gradients = [p.data.copy() for p in method.trained_parameters().values()]

        def step():
            method.zero_grad()
            forward_backward(method, Batch((own,)), run.rng, sharding)
            run.optimizer.step(1e-3)

        def encode():
            method.zero_grad()
            za, zb = method.embed(*inputs)
            ((za * za).sum() + (zb * zb).sum()).backward()

        inputs = method.sample(own, sharding.draws(run.rng))
        a, b = np.random.default_rng(1).standard_normal((2, RING_ROWS, DIMENSIONS), dtype=np.float32)
        small, large = np.zeros(1, np.float32), np.zeros(2**22, np.float32)

        ring_infonce = form_over_ranks(infonce, world)

        def ring(count=RING_ROWS):
            ring_infonce(*(Tensor(x[:count], requires_grad=True) for x in (a, b))).backward()

        numbers = {
            "ranks": world.size,
            "step": timed(step),
            "encode a row": timed(encode) / rows,
            "update": timed(lambda: run.optimizer.step(1e-3)),
            "draw a row": timed(lambda: run.rng.standard_normal((batch, 1, 28, 28), dtype=np.float32)) / batch,
            "view a row": timed(lambda: method.sample(own, sharding.draws(run.rng))) / rows,
            "pair": timed(ring) / (RING_ROWS**2 * world.size),
            "allreduce": timed(lambda: world.sum_in_place(gradients)),
            "latency": timed(lambda: [world.pass_on([small]) for _ in range(100)]) / 100,
            "bytes a second": large.nbytes / timed(lambda: world.pass_on([large])),
            "parameter bytes": sum(g.nbytes for g in gradients),
            "step bytes": most_bytes(step),
            "encode bytes a row": most_bytes(encode) / rows,
            # A tile is of one size: what grows from half the rows to all of them is what the rows take.
            "ring bytes a row": (most_bytes(ring) - most_bytes(lambda: ring(RING_ROWS // 2))) / (RING_ROWS / 2),
        }
        if world.is_first:
            print("MEASURED", json.dumps(numbers))


def measured(ranks, arguments):
    """The numbers of ``measure`` on that many ranks."""
    line = [sys.executable, __file__, "--measure", "--rows", str(arguments.rows), "--width", str(arguments.width)]
    if ranks > 1:
        mpiexec = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        if mpiexec is None:
            sys.exit("scaling.py: no mpiexec; pip install 'mini-repr[mpi]'")
        line = [mpiexec, "-n", str(ranks), *line]
    # A rank that waits gives way where ranks share a core; elsewhere it would answer late.
    waiting = {"OMPI_MCA_mpi_yield_when_idle": "1"} if ranks > len(os.sched_getaffinity(0)) else {}
    environment = {**os.environ, **ONE_THREAD, **MPI_HERE, **waiting}
    done = subprocess.run(line, env=environment, capture_output=True, text=True)
    found = [text for text in done.stdout.splitlines() if "MEASURED" in text]
    if done.returncode or not found:
        sys.exit(done.stderr)
    return json.loads(found[0].partition("MEASURED")[2])


def planned(numbers, batch, ranks, latency, bandwidth):
    """{part: seconds} of one step of ``batch`` pairs.

    Encoding and views: the own rows. Random numbers: each rank draws those of the whole batch. Pairs: own rows against
    all. Ring: there and back, a hop a rank; a block is n rows and their n sums, back with as many gradients.
    Gradients: a ring all-reduce, every byte twice over the wire.
    """
    rows = batch / ranks
    there, back = rows * (DIMENSIONS + 1) * 4, rows * 2 * (DIMENSIONS + 1) * 4
    alone = ranks == 1
    return {
        "encode": rows * numbers["encode a row"],
        "views": rows * numbers["view a row"] + (batch - rows) * 2 * numbers["draw a row"],
        "pairs": rows * batch * numbers["pair"],
        "update": numbers["update"],
        "ring": 0 if alone else ranks * (2 * latency + (there + back) / bandwidth),
        "gradients": 0
        if alone
        else 2 * numbers["parameter bytes"] * (1 - 1 / ranks) / bandwidth + 2 * math.ceil(math.log2(ranks)) * latency,
    }


def planned_bytes(numbers, batch, ranks):
    """Bytes of arrays on one rank in a step of ``batch`` pairs with gradient caching.

    Parameters with their gradients and AdamW's two averages; a chunk being encoded; the own images, two views of them
    and three shares of noise; what the ring takes for the own rows and a visiting block.
    """
    rows = batch / ranks
    images = rows * (1 + 2 + 3) * 28 * 28 * 4
    chunk = min(rows, CHUNK) * numbers["encode bytes a row"]
    return 4 * numbers["parameter bytes"] + chunk + images + rows * numbers["ring bytes a row"]


def report(found, load, arguments):
    """The measurements, how far the plan's arithmetic is from them, and the plan, as text.

    Args:
        found: {ranks: numbers of ``measure``} for ``MEASURED``. load: of the machine before.
    """
    rows, cores, one, two = arguments.rows, len(os.sched_getaffinity(0)), found[1], found[2]
    here = planned(two, 2 * rows, 2, two["latency"], two["bytes a second"])
    halves = planned(one, 2 * rows, 1, 0, math.inf)
    lines = [
        f"measured here, {cores} cores, {rows} pairs a rank, ViT width {arguments.width}, "
        f"{one['parameter bytes'] / MIB:.2f} MiB of parameters; load average {load:.1f} before: times are those of a "
        "free machine where that is near 0",
    ]
    for ranks, numbers in found.items():
        speed, alone = ranks * rows / numbers["step"], rows / one["step"]
        shared = f", {ranks} ranks on {cores} cores" if ranks > cores else ""
        lines.append(
            f"  {ranks} rank{'s' * (ranks > 1):1} {ranks * rows:6} pairs: {numbers['step']:.3f} s a step, "
            f"{speed:.0f} pairs/s, {speed / alone:.2f} times one rank{shared}; "
            f"{numbers['step bytes'] / MIB:.0f} MiB of arrays a rank"
        )
    lines += [
        f"  planned for two ranks from their parts: {sum(here.values()):.3f} s; one rank on all rows would take "
        f"{sum(halves.values()):.3f} s",
        f"  all-reduce of the gradients: {two['allreduce'] * 1e3:.1f} ms, {two['allreduce'] / two['step']:.1%} of the "
        "step, the most that overlap with the backward pass could save",
        f"  message between the two: {two['latency'] * 1e6:.0f} us and {two['bytes a second'] / 1e9:.1f} GB/s "
        "(shared memory)",
        f"  a row: {two['encode a row'] * 1e3:.2f} ms to encode and back, {two['view a row'] * 1e3:.3f} ms for two "
        f"views; a pair of rows in the ring: {two['pair'] * 1e9:.1f} ns",
        f"  a row: {two['encode bytes a row'] / 1024:.0f} KiB while it is encoded, "
        f"{two['ring bytes a row'] / 1024:.1f} KiB in the ring",
        "",
        f"planned for a batch of {BATCH:,} pairs, assuming",
        "  a rank as fast as one of the two here (one core each), and alike at every size of its share",
        f"  {arguments.latency:g} us per message, {arguments.bandwidth:g} GB/s per rank between machines: not measured",
        "  no overlap of computing and messages (there is none), no stragglers",
        f"  AdamW, gradient caching in chunks of {CHUNK}; memory without Python, MPI's own and the data set",
        "",
        f"{'ranks':>6} {'rows per rank':>13} {' '.join(f'{part:>9}' for part in here)} {'step, s':>10} efficiency "
        f"{'MiB a rank':>10}",
    ]
    first = None
    for ranks in RANKS:
        parts = planned(two, BATCH, ranks, arguments.latency * 1e-6, arguments.bandwidth * 1e9)
        total = sum(parts.values())
        first = first or total
        cells = " ".join(f"{seconds:>9.3f}" for seconds in parts.values())
        lines.append(
            f"{ranks:>6} {BATCH // ranks:>13,} {cells} {total:>10.1f} {first / ranks / total:>10.1%} "
            f"{planned_bytes(two, BATCH, ranks) / MIB:>10,.0f}"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=128, help="pairs per rank in the measured step (128)")
    parser.add_argument("--width", type=int, default=128, help="width of the ViT (128)")
    parser.add_argument("--latency", type=float, default=5.0, help="assumed microseconds per message (5)")
    parser.add_argument("--bandwidth", type=float, default=10.0, help="assumed GB/s per rank (10)")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.rows, arguments.width)
        return
    load = os.getloadavg()[0]
    print(report({ranks: measured(ranks, arguments) for ranks in MEASURED}, load, arguments))


if __name__ == "__main__":
    main()
