"""MAE on images and clips: much can be hidden, best without structure, and visible patches alone take little time.

Feichtenhofer et al. 2022, arXiv 2205.09113, find for clips what He et al. 2021 (arXiv 2111.06377) found for images:
the best share of hidden patches is high (0.9 for clips, 0.75 for images), as the data repeat themselves, and training
is several times faster as the encoder sees the visible patches alone. *Images*: digits, 16 patches of 2 x 2 pixels,
raw pixels rebuilt, 25 epochs for each ratio, the decoder as wide as the encoder; *few labels*: a linear probe with ten
labels a class. *Clips*: moving digits, 8 frames of 12 x 12 pixels, 36 tokens of 2 x 4 x 4, normalised targets, 600
steps, no augmentation; tokens hidden at random, at the same places in all frames, by whole frames (three of four) or in
blocks of 2 x 2 x 2 tokens; *digit*, *direction*: linear probes of the mean tokens for the digit's class, and for which
of eight ways it sets out; an encoder without training says how much of either is MAE's work. *seconds* (of the
processor, the least of three rounds): a step on 64 images of 16 x 16 pixels, 64 patches of which a share is hidden,
encoder 64 wide and 6 deep, decoder 32 wide and one deep; *mask tokens*: the same encoder on all 64 tokens, with a
linear head (SimMIM). Tried before, on clips and with one seed: 16 x 16 pixels; rows of a class token; raw targets; a
smaller learning rate; accuracy after fine-tuning.
"""

import math
from functools import partial

import numpy as np

from mini_repr.backend import CPU
from mini_repr.claims.bench.claim import Claim, Expectation, higher, no_worse
from mini_repr.claims.bench.cost import cpu_seconds
from mini_repr.claims.bench.trained import few_labels, labelled_rows, trained
from mini_repr.data import load
from mini_repr.metrics import linear_probe
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
CANVAS = 12
ON_CLIPS = {
    "loss": {"name": "masked_regression"},
    "encoder": {"name": "vit", "width": 48, "depth": 3, "patch": 4, "start": "zero", "pooling": "mean"},
    "method": {"decoder_width": 48, "views": ""},
    "optimizer": {"lr": 3e-3},
    "train": {"epochs": 26, "batch_size": 64},
}
MASKS = {
    "clips, random 0.9": {"ratio": 0.9},
    "clips, random 0.5": {"ratio": 0.5},
    "clips, space 0.9": {"ratio": 0.9, "mask": "space"},
    "clips, time 0.75": {"ratio": 0.75, "mask": "time"},
    "clips, block 0.9": {"ratio": 0.9, "mask": "block"},
}
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


def on_clips(seed):
    """{arm: {"digit", "direction"}} of moving digits."""
    digit, direction = (load("moving", canvas=CANVAS, seed=seed, label=label) for label in ("digit", "direction"))
    untrained = Run(*prepare(merge(ON_CLIPS, {"train": {"seed": seed}}), digit), CPU)
    runs = {"clips, untrained": untrained}
    runs |= {arm: trained(seed, data=digit, **merge(ON_CLIPS, {"method": own})) for arm, own in MASKS.items()}
    return {
        arm: {
            name: linear_probe(*labelled_rows(run.method.encoder, data))
            for name, data in (("digit", digit), ("direction", direction))
        }
        for arm, run in runs.items()
    }


def measure(seed):
    arms = {}
    for ratio in RATIOS:
        run = trained(seed, **merge(COMMON, {"method": {"ratio": ratio}}))
        arms[f"ratio {ratio}"] = {"few labels": few_labels(run.method.encoder, run.data)}
    arms |= on_clips(seed)
    return arms | {arm: {"seconds": seconds} for arm, seconds in seconds_a_step(seed).items()}


def faster(arm):
    return Expectation(
        f"seconds: {arm} takes less than 1/{FASTER:g} of mask tokens, 0.75",
        lambda arms: math.log(arms["mask tokens, 0.75"]["seconds"] / FASTER / arms[arm]["seconds"]),
    )


CLAIM = Claim(
    paper="096",
    says="much can be hidden, of clips best without structure, and visible patches alone take under half the time",
    measure=measure,
    expects=(
        higher("few labels", "ratio 0.75", "ratio 0.25"),
        no_worse("few labels", "ratio 0.75", "ratio 0.5", by=ALIKE),
        no_worse("few labels", "ratio 0.9", "ratio 0.5", by=ALIKE),
        no_worse("digit", "clips, random 0.9", "clips, random 0.5", by=ALIKE),
        no_worse("digit", "clips, random 0.9", "clips, space 0.9", by=ALIKE),
        higher("digit", "clips, random 0.9", "clips, time 0.75"),
        higher("digit", "clips, block 0.9", "clips, time 0.75"),
        faster("visible only, 0.75"),
        faster("visible only, 0.9"),
    ),
    designs=6,
)
