"""Measure one side of a row in this process and print it as JSON: ``python -m bench_sides SIDE NAME REPETITIONS``."""

import json
import sys
from importlib import import_module

from bench_sides.common import LOSSES
from bench_sides.measuring import measure


def main(side, name, repetitions):
    if side == "ours":
        from mini_repr.backend import keep_large_blocks  # as the commands do

        keep_large_blocks()
    module = import_module("bench_sides.ours" if side == "ours" else f"bench_sides.in_{side}")
    if name in LOSSES:
        work = module.loss(name)
    elif name.endswith("_tiled"):
        work = module.tiled(name.removesuffix("_tiled"))
    else:
        work = getattr(module, name)()
    # What starts processes or imports what it measures has measured itself; what does not fit is None.
    print(json.dumps(measure(work, int(repetitions)) if callable(work) else work))


main(*sys.argv[1:])
