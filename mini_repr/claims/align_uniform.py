"""Alignment and uniformity: both fall while InfoNCE trains, and together they tell how good an encoder is.

Wang, Isola 2020, arXiv 2005.10242: over many encoders trained with different losses and weights, those good at both
measures classify best, and neither measure alone tells. Here: 13 short runs of an MLP on digits (10 epochs): InfoNCE at
six temperatures, and the loss ``align_uniform`` at seven pairs of weights, from alignment alone to uniformity alone.
Both measures are of the encoder's rows of the test images (two views each), accuracy that of a linear probe with 5
labels per class (with all labels these encoders hardly differ). The numbers of "sweep" are rank
correlations with that accuracy. The other arms are an InfoNCE run, at temperature 0.2, after its first and its last
epoch.
"""

from dataclasses import replace
from functools import partial

import numpy as np
from scipy.stats import spearmanr

from mini_repr.claims.bench.claim import Claim, Expectation, below, lower
from mini_repr.claims.bench.trained import SMALL, rows_of, trained
from mini_repr.data import DEFAULT_VIEWS, parse_views
from mini_repr.metrics import alignment, few_label_probe, uniformity
from mini_repr.training.config import merge

TEMPERATURES = (0.05, 0.1, 0.2, 0.5, 1.0, 3.0)
WEIGHTS = ((1.0, 0.0), (1.0, 0.1), (1.0, 0.5), (1.0, 1.0), (0.3, 1.0), (0.1, 1.0), (0.0, 1.0))
LOSSES = [{"name": "infonce", "temperature": t} for t in TEMPERATURES] + [
    {"name": "align_uniform", "alignment_weight": a, "uniformity_weight": u} for a, u in WEIGHTS
]


def measures(run, seed):
    rng, view, test = np.random.default_rng(seed), parse_views(DEFAULT_VIEWS), run.data.test
    a, b = (rows_of(run, replace(test, images=view(test.images, rng))) for _ in range(2))
    return {"alignment": alignment(a, b), "uniformity": (uniformity(a) + uniformity(b)) / 2}


def accuracy(run):
    train, test = run.data.train, run.data.test
    return few_label_probe(rows_of(run, train), train.labels, rows_of(run, test), test.labels, per_class=5, draws=10)[0]


def measure(seed):
    arms = {}
    runs = [trained(seed, **merge(SMALL, {"loss": loss, "train": {"epochs": 10}})) for loss in LOSSES]
    found, accuracies = [measures(run, seed) for run in runs], [accuracy(run) for run in runs]
    values = {name: np.array([one[name] for one in found]) for name in found[0]}
    values["both"] = values["alignment"] + values["uniformity"]
    arms["sweep"] = {name: spearmanr(value, accuracies).statistic for name, value in values.items()}

    def watch(run, record):
        if run.epoch in (1, 20):
            arms[f"InfoNCE, epoch {run.epoch}"] = measures(run, seed)

    trained(seed, watch, **merge(SMALL, {"loss": LOSSES[2]}))
    return arms


def gain(arms, one):
    return arms["sweep"][one] - arms["sweep"]["both"]


CLAIM = Claim(
    paper="001",
    says="alignment and uniformity fall while InfoNCE trains, and together go with accuracy over a sweep of runs",
    measure=measure,
    expects=(
        below("both", "sweep", 0),
        *(Expectation(f"sweep: both < {one} alone", partial(gain, one=one)) for one in ("alignment", "uniformity")),
        lower("alignment", "InfoNCE, epoch 20", "InfoNCE, epoch 1"),
        lower("uniformity", "InfoNCE, epoch 20", "InfoNCE, epoch 1"),
    ),
    seeds=5,
    designs=2,
)
