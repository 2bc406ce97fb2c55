"""Damaged jigsaw puzzles: ordering, filling in and colouring one damaged image beats each task alone.

Kim et al. 2018, arXiv 1802.01880. Coloured digits of 3 x 3 tiles, 32 orders, a perceptron shared by the tiles, 1,080
steps for each arm: the damaged puzzle; its three tasks on images of their own, each with its own damage (*side by
side*); each task alone; no training. The weight of both tasks of pixels is 1 or 10, by the better *few labels* on a
fifth of the training images, which no arm trains on. *few labels*: a linear probe of intact images, with ten labels a
class.
"""

from mini_repr.backend import CPU
from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.trained import few_labels, trained
from mini_repr.data import Dataset, load, split
from mini_repr.training.config import merge
from mini_repr.training.run import Run
from mini_repr.training.session import prepare

COMMON = {
    "loss": {"name": "cross_entropy"},
    "encoder": {"name": "tiles"},
    "method": {"name": "jigsaw", "views": ""},
    "train": {"epochs": 60, "batch_size": 128},
}
WEIGHTS = (1.0, 10.0)
TASKS = ("jigsaw", "inpainting", "colour")
ARMS = {
    "damaged": {},
    "side by side": {"damage": "separate"},
    **{f"{task} alone": {"damage": "separate", **{other: 0.0 for other in TASKS if other != task}} for task in TASKS},
}


def measure(seed):
    data = load("coloured", count=3000, seed=seed)
    inner = split(data.train)  # a fifth to choose by
    tested = Dataset(data.name, inner.train, data.test)
    untrained = Run(*prepare(merge(COMMON, {"train": {"seed": seed}}), inner), CPU)
    found = {"untrained": {"few labels": few_labels(untrained.method.encoder, tested)}}
    for arm, own in ARMS.items():
        runs = []
        for weight in WEIGHTS:
            weights = {task: own.get(task, weight) for task in ("inpainting", "colour")}
            runs.append(trained(seed, data=inner, **merge(COMMON, {"method": {**own, **weights}})))
        best = max(runs, key=lambda run: few_labels(run.method.encoder, inner))
        found[arm] = {"few labels": few_labels(best.method.encoder, tested)}
    return found


CLAIM = Claim(
    paper="081",
    says="a puzzle of damaged tiles teaches better rows than each of its three tasks, and than all side by side",
    measure=measure,
    expects=(
        higher("few labels", "damaged", "side by side"),
        *(higher("few labels", "damaged", f"{task} alone") for task in TASKS),
    ),
)
