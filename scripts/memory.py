"""Peak memory over batch size: a training step with and without gradient caching, InfoNCE, and metrics of many rows.

    python scripts/memory.py                 all tables (about twenty minutes on 2 cores)
    python scripts/memory.py --only metric   one of them: step, loss or metric
    python scripts/memory.py --out FILE      also as JSON

Each number comes from a process of its own: its peak resident set less that before the step (imports, parameters and
images, or the rows), in MiB. The step: 28x28 images, two views each, ViT (patch 4, width 128, depth 4, 4 heads),
projector to 128, InfoNCE, float32.
"""

import argparse
import json
import subprocess
import sys
import time

import numpy as np

CHUNK = 64
STEPS = [(batch, chunk) for batch in (64, 128, 256, 512, 1024, 2048) for chunk in (0, CHUNK) if chunk or batch <= 1024]
LOSSES = [4096, 16384, 65536]
DIMENSIONS = 256
# kNN of a few test rows among many, of all rows among all, and recall of all partners among all.
METRICS = [
    *[("knn", rows, 4096) for rows in (62_500, 250_000, 1_000_000)],
    *[(kind, rows, rows) for kind in ("knn", "recall") for rows in (50_000, 200_000)],
]
WIDTH = 128
MIB = 2**20


def step(batch, chunk):
    """One forward and backward pass over ``batch`` pairs, ``chunk`` of them at once (0: all)."""
    from mini_repr.autograd import split
    from mini_repr.losses.pairs.infonce import infonce
    from mini_repr.methods.method import Step
    from mini_repr.nn import Module, ProjectionHead, ViT
    from mini_repr.optim import backward_in_chunks

    rng = np.random.default_rng(0)

    class Network(Module):
        def __init__(self):
            self.encoder = ViT((1, 28, 28), rng, patch=4, width=128, depth=4, heads=4)
            self.projector = ProjectionHead(128, 256, 128, rng)

        def embed(self, first, second):
            rows = self.projector(self.encoder(np.concatenate([first, second])).pooled)
            return split(rows, (len(first), len(first)))

    network = Network()
    images = [rng.random((batch, 1, 28, 28), dtype=np.float32) for _ in range(2)]

    def work():
        if not chunk:
            infonce(*network.embed(*images)).backward()
            return
        backward_in_chunks(
            network, images, network.embed, lambda *_: (), lambda rows, _: Step(infonce(*rows), None), chunk
        )

    return work


def loss(batch):
    """Value and gradient of InfoNCE on ``batch`` pairs."""
    from mini_repr.losses.pairs.infonce import infonce

    a, b = np.random.default_rng(0).standard_normal((2, batch, DIMENSIONS), dtype=np.float32)
    return lambda: infonce.value_and_grad(a, b)


def knn(rows, queries):
    """kNN accuracy of ``queries`` rows among ``rows``."""
    from mini_repr.metrics import knn_accuracy

    rng = np.random.default_rng(0)
    train, test = (rng.standard_normal((count, WIDTH), dtype=np.float32) for count in (rows, queries))
    labels, wanted = rng.integers(0, 1000, rows), rng.integers(0, 1000, queries)
    return lambda: knn_accuracy(train, labels, test, wanted)


def recall(rows, _):
    """Recall of the partners of all rows."""
    from mini_repr.metrics import recall_at_k

    a, b = (np.random.default_rng(seed).standard_normal((rows, WIDTH), dtype=np.float32) for seed in (0, 1))
    return lambda: recall_at_k(a, b, k=10)


def measured(kind, *sizes):
    """{"bytes", "seconds"} of one piece of work in a fresh process."""
    done = subprocess.run(
        [sys.executable, __file__, "--measure", kind, *map(str, sizes)], capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def measure(kind, *sizes):
    from mini_repr.backend import CPU

    work = {"step": step, "loss": loss, "knn": knn, "recall": recall}[kind](*sizes)
    before, started = CPU.memory_used(), time.perf_counter()
    work()
    print(json.dumps({"bytes": CPU.memory_used() - before, "seconds": time.perf_counter() - started}))


def steps():
    """Print the table of training steps; return its rows."""
    found = []
    print(f"training step, MiB      whole batch   chunks of {CHUNK}   seconds: whole   chunks")
    for batch in sorted({batch for batch, _ in STEPS}):
        row = {chunk: measured("step", batch, chunk) for b, chunk in STEPS if b == batch}
        found += [{"batch": batch, "chunk": chunk, **numbers} for chunk, numbers in row.items()]
        memory, seconds = (
            [f"{row[c][k] / unit:.1f}" if c in row else "-" for c in (0, CHUNK)]
            for k, unit in (("bytes", MIB), ("seconds", 1))
        )
        print(f"{batch:>8} pairs {memory[0]:>20} {memory[1]:>14} {seconds[0]:>16} {seconds[1]:>8}", flush=True)
    return found


def losses():
    """The same for InfoNCE."""
    found = []
    print(f"\nInfoNCE, D = {DIMENSIONS}, MiB   in tiles   the matrix alone   seconds   ns a pair")
    for batch in LOSSES:
        row = measured("loss", batch)
        found.append({"batch": batch, **row})
        whole, pairs = batch**2 * 4 / MIB, row["seconds"] / batch**2 * 1e9
        print(
            f"{batch:>8} pairs {row['bytes'] / MIB:>19.1f} {whole:>18.0f} {row['seconds']:>9.1f} {pairs:>11.2f}",
            flush=True,
        )
    return found


def metrics():
    """The same for metrics of all rows against all."""
    found = []
    print(f"\nmetrics, D = {WIDTH}, float32, MiB    the rows   beside them   the matrix alone   seconds")
    for kind, rows, queries in METRICS:
        row = measured(kind, rows, queries)
        found.append({"metric": kind, "rows": rows, "queries": queries, **row})
        inputs, whole = (rows + queries) * WIDTH * 4 / MIB, rows * queries * 4 / MIB
        print(
            f"{kind:<7}{queries:>8,} x {rows:>9,} {inputs:>16.0f} {row['bytes'] / MIB:>13.1f} {whole:>18,.0f} "
            f"{row['seconds']:>9.0f}",
            flush=True,
        )
    return found


def main():
    tables = {"step": steps, "loss": losses, "metric": metrics}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", metavar="FILE", help="write the numbers as JSON")
    parser.add_argument("--only", choices=tables, help="one table")
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure[0], *map(int, arguments.measure[1:]))
        return
    results = {name: table() for name, table in tables.items() if arguments.only in (None, name)}
    if arguments.out:
        with open(arguments.out, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=2)


if __name__ == "__main__":
    main()
