"""iSogCLR: samples of rare classes end with smaller temperatures than those of frequent ones.

Qiu et al. 2023, arXiv 2305.11965: on imbalanced data, individual temperatures become large where semantics are frequent
and small where they are rare, and the rows are better for it. Here: digits of which five classes, drawn by the seed,
keep 12 images each; an MLP, 30 epochs, every temperature from 0.1, radius 0.4. For comparison the same classes in the
whole set, where nothing is rare; and one temperature for all, 0.1 (the same loss without radius or memory). *probe*:
accuracy on the test rows, whose classes are balanced.
"""

from dataclasses import replace

import numpy as np

from mini_repr.claims.bench.claim import Claim, Expectation, higher
from mini_repr.claims.bench.trained import SMALL, digit_scores, trained
from mini_repr.data import load
from mini_repr.training.config import merge

ONE_TEMPERATURE = {"name": "infonce", "negatives": "views", "decoupled": True, "temperature": 0.1}
INDIVIDUAL = {"name": "isogclr"}


def run_of(seed, data, loss):
    return trained(seed, data=data, **merge(SMALL, {"loss": loss, "train": {"epochs": 30}}))


def temperatures_of(run, classes):
    """Mean temperatures of the training rows of some classes, and of the others."""
    state = next(one for one in run.method.loss_states if "temperatures" in one.gives)
    chosen = np.isin(run.data.train.labels, classes)
    return {"rare": state.temperatures[chosen].mean(), "frequent": state.temperatures[~chosen].mean()}


def measure(seed):
    rng = np.random.default_rng(seed)
    whole = load("digits")
    labels, rare = whole.train.labels, rng.permutation(10)[:5]
    kept = [np.flatnonzero(labels == c)[: 12 if c in rare else None] for c in range(10)]
    imbalanced = replace(whole, train=whole.train.take(np.concatenate(kept)))
    run = run_of(seed, imbalanced, INDIVIDUAL)
    return {
        "imbalanced": {**temperatures_of(run, rare), **digit_scores(run)},
        "imbalanced, one temperature": digit_scores(run_of(seed, imbalanced, ONE_TEMPERATURE)),
        "balanced": temperatures_of(run_of(seed, whole, INDIVIDUAL), rare),
    }


def gap(arm):
    return arm["frequent"] - arm["rare"]


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
    seeds=10,
)
