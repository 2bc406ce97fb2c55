"""Measure mini_repr against PyTorch eager, JAX and scikit-learn on this machine and print the ratios.

    python scripts/bench.py                    every row (about 15 minutes on 2 cores)
    python scripts/bench.py vit infonce        some of them
    python scripts/bench.py vit --record       also put them among the stored ones of this kind of machine
    python scripts/bench.py --table            measure nothing, write the tables of what is stored

Each row runs ours and its peers' in processes of their own, one after the other, several times in turn; a ratio is the
median of the paired ratios. Time is the median of repetitions inside a process. Memory is the peak resident set of the
process less that before the work (imports and inputs). float32, each library's own choice of threads. Peers are in the
extras ``test`` and ``crosscheck``; one that is not installed is left out. The rows themselves stand in
``bench_sides/``, a module a side.

What is recorded stands in mini_repr/book/speed.json; the tables in mini_repr/book/speed.md and a line in README.md are
written from it.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from bench_sides.common import LOSSES, TILED

from mini_repr.book import speed
from mini_repr.book.chapters import FOLDER, with_table

PAIRS = 3
DISTRIBUTIONS = {"torch": "torch", "jax": "jax", "sklearn": "scikit-learn"}  # of each peer's module
# The widest vector instructions that a processor says it has.
VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2"}
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "MINI_REPR_THREADS")


class Work(NamedTuple):
    """A row: what it is, the goals of its ratios, and the peers that have it; the goals are about the first."""

    what: str
    goal_time: float | None = None
    goal_memory: float | None = None
    peers: tuple = ("torch",)
    repetitions: int = 5
    pairs: int = PAIRS
    products: bool = False  # whether its matrix products are also made alone


def _step(what, memory=0.7, peers=("torch",), repetitions=5):
    return Work(what, 0.8, memory, peers, repetitions, products=True)


def _loss(name):
    peers = ("torch", "jax") if name in ("infonce", "supcon", "siglip", "barlow_twins", "vicreg") else ("torch",)
    goal = 0.25 if name == "infonce" else 0.5
    return Work(f"{name} value + gradient, B=4096, D=128", goal, 1.0, peers, products=True)


def _tiled(name):
    return Work(f"{name} value + gradient, B=16384, D=128", 0.5, 1.0, repetitions=1, pairs=1)


WORK = {
    "product": Work("product of two matrices, 2048 x 2048: NumPy's", peers=("torch", "jax")),
    "vit": _step("ViT-lite step, 28x28, width 128, depth 4, batch 2x256", peers=("torch", "jax")),
    "mlp": _step("MLP step, 784-512-512-128, batch 2x256", peers=("torch", "jax")),
    "sam": _step("SAM step, two passes of the ViT-lite step, batch 2x128"),
    "mae": _step("MAE step, 28x28, 3/4 of 49 patches hidden, width 128, depth 4, batch 512", None),
    "full": Work("the same with one patch hidden, alone", peers=(), pairs=1),
    "crate": _step("CRATE step, as the ViT-lite step", None),
    "flow": _step("flow matching step, 28x28, width 128, depth 4, batch 256", None),
    "mlm": _step("masked words step, 64 texts of 64 words, 10 hidden, width 128, depth 4, 8,192 words"),
    # PyTorch's second and third step take ten times as long as those from the fifth on: more steps for the median.
    "causal": _step("next word step, likewise", repetitions=11),
    "two_tower": _step("image-text step, the ViT and a text transformer alike, 256 captions of 16 words"),
    **{name: _loss(name) for name in LOSSES},
    "matryoshka": Work("infonce of 16, 32, 64 and 128 nested columns, B=4096", 0.25, 1.0),
    **{f"{name}_tiled": _tiled(name) for name in TILED},
    "large": Work("infonce, B=65536, D=256, alone", peers=(), pairs=1),
    "knn": Work("kNN, 20 of 10,000 rows, 5,000 queries, D=128, against scikit-learn", 1.0, 1.0, ("sklearn",)),
    "probe": Work("linear probe, 10,000 rows of 10 classes, D=128, against scikit-learn", 1.0, 1.0, ("sklearn",)),
    "start": Work("command line start / import torch", 0.15),
    "digits": Work("digits main job, 100 epochs", 0.8, pairs=1),
}


def in_process(module, *words, given=None):
    """What a module of the sides prints as JSON in a fresh process that reads ``given`` as JSON."""
    here = str(Path(__file__).resolve().parent)
    path = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", module, *words],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    if done.returncode:
        raise SystemExit(f"{module} {' '.join(words)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(name, pairs=None):
    """The row of a work, as it is stored: see ``mini_repr.book.speed``."""
    work = WORK[name]
    sides = ("ours", *filter(find_spec, work.peers))
    words = name, str(work.repetitions)
    turns = [
        {side: in_process("bench_sides", side, *words) for side in sides}  # None where that side's work does not fit
        for _ in range(pairs or work.pairs)
    ]
    row = {
        "what": work.what,
        "goal_time": work.goal_time,
        "goal_memory": work.goal_memory,
        "date": datetime.date.today().isoformat(),
        "versions": {
            one: version(one).partition("+")[0] for one in ("numpy", *(DISTRIBUTIONS[side] for side in sides[1:]))
        },
    }
    for side in sides:
        if all(turn[side] for turn in turns):
            row[side] = {
                "seconds": _short(statistics.median(turn[side]["seconds"] for turn in turns)),
                "mib": _short(statistics.median(turn[side]["bytes"] for turn in turns) / 2**20),
            }
        if side in row and side != "ours":
            ratios = (turn["ours"]["seconds"] / turn[side]["seconds"] for turn in turns)
            row[side]["time_ratio"] = _short(statistics.median(ratios))
            # Work that stays within what an import has left free grows no peak.
            row[side]["memory_ratio"] = _short(row["ours"]["mib"] / max(row[side]["mib"], 0.1))
    if "per_pair_over_small" in turns[0]["ours"]:
        row["per_pair_over_small"] = _short(turns[0]["ours"]["per_pair_over_small"])
    if work.products and "torch" in sides:
        ours = in_process("bench_sides.products", "ours", name)
        torch = in_process("bench_sides.products", "torch", given=ours["products"])
        row["products"] = {"gflop": ours["gflop"], "numpy_seconds": ours["seconds"], "torch_seconds": torch}
        row["products"] = {key: _short(number) for key, number in row["products"].items()}
    return row


def _short(number):
    """To four digits."""
    return float(f"{number:.4g}")


def machine():
    """What tells this kind of machine from others, as Linux names it."""
    with open("/proc/cpuinfo") as lines:
        facts = dict(line.split(":", 1) for line in lines if ":" in line)
    facts = {name.strip(): value.strip() for name, value in facts.items()}
    vectors = next((f", {name}" for flag, name in VECTORS.items() if flag in facts.get("flags", "").split()), "")
    return f"{len(os.sched_getaffinity(0))} cores, {facts.get('model name', platform.machine())}{vectors}"


def record(name, row):
    """Put a row among those of this machine, in the order of WORK."""
    kept = speed.stored()
    rows = kept.setdefault(machine(), {}) | {name: row}
    kept[machine()] = {name: rows[name] for name in WORK if name in rows}
    speed.FILE.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def write_tables():
    """The chapter's tables and the README's line."""
    readme = Path(__file__).resolve().parents[1] / "README.md"
    for path, lines in ((FOLDER / "speed.md", speed.tables()), (readme, speed.quoted())):
        path.write_text(with_table(path.read_text(encoding="utf-8"), lines, speed.SCRIPT), encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", nargs="*", metavar="WORK", help=f"of {', '.join(WORK)}; default: all")
    parser.add_argument("--pairs", type=int, help="paired runs a row")
    parser.add_argument("--record", action="store_true", help="store the rows, write the tables")
    parser.add_argument("--table", action="store_true", help="only write the tables")
    arguments = parser.parse_args()
    unknown = [w for w in arguments.work if w not in WORK]
    if unknown:
        parser.error(f"unknown work {unknown[0]!r}; known: {', '.join(WORK)}")
    if arguments.pairs is not None and arguments.pairs < 1:
        parser.error(f"--pairs: got {arguments.pairs}, expected 1 or more")
    limited = [name for name in THREADS if name in os.environ]
    if arguments.record and limited:
        parser.error(f"--record: {limited[0]} is set, expected each library's own choice of threads: unset it")
    if arguments.table:
        write_tables()
        return
    print(*speed.header(speed.COLUMNS), sep="\n")
    rows = []
    for name in arguments.work or WORK:
        rows.append(compare(name, arguments.pairs))
        print(speed.line(rows[-1]), flush=True)
        if arguments.record:
            record(name, rows[-1])
            write_tables()
    if any("products" in row for row in rows):
        print("", *speed.products_table(rows), sep="\n")


if __name__ == "__main__":
    main()
