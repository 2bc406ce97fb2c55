"""MAE on images: much can be hidden, and an encoder that never sees what is hidden takes a fraction of the time.

Feichtenhofer et al. 2022, arXiv 2205.09113, find for clips what He et al. 2021 (arXiv 2111.06377) found for images:
the best share of hidden patches is high (0.9 for clips, 0.75 for images), as the data repeat themselves, and training
is several times faster as the encoder sees the visible patches alone. Here images: digits, 16 patches of 2 x 2 pixels,
raw pixels rebuilt, 25 epochs for each ratio, the decoder as wide as the encoder; *few labels*: a linear probe with ten
labels a class. *seconds* (of the processor, the least of three rounds): a step on 64 images of 16 x 16 pixels, 64
patches of which a share is hidden, encoder 64 wide and 6 deep, decoder 32 wide and one deep; *mask tokens*: the same
encoder on all 64 tokens, with a linear head (SimMIM). Clips, on which the paper's other findings rest, are not tried.
"""

import math
from functools import partial

import numpy as np

from mini_repr.backend import CPU
from mini_repr.claims.bench.claim import Claim, Expectation, higher, no_worse
from mini_repr.claims.bench.cost import cpu_seconds
from mini_repr.claims.bench.trained import few_labels, trained
from mini_repr.training.config import merge
from mini_repr.training.run import Run
from mini_repr.training.session import prepare

LOSS = {"name": "masked_regression", "normalize_target": False}
COMMON = {
    "loss": LOSS,
    "encoder": {"name": "vit", "width": 48, "depth": 3},
    "train": {"epochs": 25, "batch_size": 64},
    "method": {"decoder_width": 48},
}
RATIOS = (0.25, 0.5, 0.75, 0.9)
ALIKE, FASTER = 0.02, 2.0
LONG = {
    "data": {"name": "wandering", "count": 320},
    "loss": LOSS,
    "encoder": {"name": "vit", "width": 64, "depth": 6, "patch": 2},
    "train": {"batch_size": 64},
}
STEPS = {
    "mask tokens, 0.75": {"style": "simmim", "ratio": 0.75},
    "visible only, 0.75": {"ratio": 0.75, "decoder_width": 32},
    "visible only, 0.9": {"ratio": 0.9, "decoder_width": 32},
}


def seconds_a_step(seed):
    works = []
    for method in STEPS.values():
        run = Run(*prepare(merge(LONG, {"method": method, "train": {"seed": seed}})), CPU)
        works.append(partial(run.train_step, np.arange(64)))
    return dict(zip(STEPS, cpu_seconds(*works), strict=True))


def measure(seed):
    arms = {}
    for ratio in RATIOS:
        run = trained(seed, **merge(COMMON, {"method": {"ratio": ratio}}))
        arms[f"ratio {ratio}"] = {"few labels": few_labels(run.method.encoder, run.data)}
    return arms | {arm: {"seconds": seconds} for arm, seconds in seconds_a_step(seed).items()}


def faster(arm):
    return Expectation(
        f"seconds: {arm} takes less than 1/{FASTER:g} of mask tokens, 0.75",
        lambda arms: math.log(arms["mask tokens, 0.75"]["seconds"] / FASTER / arms[arm]["seconds"]),
    )


CLAIM = Claim(
    paper="096",
    says="three quarters hidden is best, a high share costs little, and visible patches alone take under half the time",
    measure=measure,
    expects=(
        higher("few labels", "ratio 0.75", "ratio 0.25"),
        no_worse("few labels", "ratio 0.75", "ratio 0.5", by=ALIKE),
        no_worse("few labels", "ratio 0.9", "ratio 0.5", by=ALIKE),
        faster("visible only, 0.75"),
        faster("visible only, 0.9"),
    ),
)
