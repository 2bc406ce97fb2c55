"""iSogCLR: samples of rare classes end with smaller temperatures than those of frequent ones.

Qiu et al. 2023, arXiv 2305.11965: on imbalanced data, individual temperatures become large where semantics are frequent
and small where they are rare, and the rows are better for it. Here: digits of which five classes, drawn by the seed,
keep 12 images each; an MLP, 30 epochs. "imbalanced": every temperature from 0.1, the radius of four that was best;
"imbalanced, one temperature": one for all (the same loss without radius or memory), the best of four; both by *probe*
on a fifth of the training rows, cut before the others were made imbalanced, over two seeds beyond those counted. For
comparison the same classes in the whole set, where nothing is rare ("balanced"). *probe*: accuracy on the test rows,
whose classes are balanced; *rare*: that on the rare classes alone.
"""

from dataclasses import replace

import numpy as np

from mini_repr.claims.bench.claim import Claim, Expectation, higher
from mini_repr.claims.bench.trained import SMALL, labelled_rows, trained
from mini_repr.data import load
from mini_repr.metrics import linear_probe
from mini_repr.training.config import merge

ONE_TEMPERATURE = {"name": "infonce", "negatives": "views", "decoupled": True, "temperature": 0.05}
INDIVIDUAL = {"name": "isogclr", "radius": 0.1}


def run_of(seed, data, loss):
    return trained(seed, data=data, **merge(SMALL, {"loss": loss, "train": {"epochs": 30}}))


def imbalanced(data, rare):
    """At most 12 training rows of each rare class."""
    labels = data.train.labels
    kept = [np.flatnonzero(labels == c)[: 12 if c in rare else None] for c in range(10)]
    return replace(data, train=data.train.take(np.concatenate(kept)))


def accuracies(run, rare):
    rows, labels, test, truth = labelled_rows(run.method.encoder, run.data)
    among = np.isin(truth, rare)
    return {
        "probe": linear_probe(rows, labels, test, truth),
        "rare": linear_probe(rows, labels, test[among], truth[among]),
    }


def temperatures(run, rare):
    """Mean temperatures of the training rows of rare classes, and of the others."""
    state = next(one for one in run.method.loss_states if "temperatures" in one.gives)
    chosen = np.isin(run.data.train.labels, rare)
    return {"t, rare": state.temperatures[chosen].mean(), "t, frequent": state.temperatures[~chosen].mean()}


def measure(seed):
    whole, rare = load("digits"), np.random.default_rng(seed).permutation(10)[:5]
    data = imbalanced(whole, rare)
    individual, one = run_of(seed, data, INDIVIDUAL), run_of(seed, data, ONE_TEMPERATURE)
    return {
        "imbalanced": {**temperatures(individual, rare), **accuracies(individual, rare)},
        "imbalanced, one temperature": accuracies(one, rare),
        "balanced": temperatures(run_of(seed, whole, INDIVIDUAL), rare),
    }


def gap(arm):
    return arm["t, frequent"] - arm["t, rare"]


CLAIM = Claim(
    paper="075",
    says="rare classes get small temperatures and frequent ones large, and rows of imbalanced data are better for it",
    measure=measure,
    expects=(
        Expectation("imbalanced: temperature of frequent > rare", lambda arms: gap(arms["imbalanced"])),
        Expectation(
            "frequent less rare: imbalanced > balanced", lambda arms: gap(arms["imbalanced"]) - gap(arms["balanced"])
        ),
        higher("probe", "imbalanced", "imbalanced, one temperature"),
    ),
    seeds=8,
    designs=2,
)
