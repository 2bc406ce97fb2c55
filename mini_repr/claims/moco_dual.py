"""Dual-view MoCo: keys told from past queries too, and hard negatives only, against plain MoCo at equal epochs.

Hoang et al. 2025, arXiv 2501.16360: both parts improve on MoCo (linear evaluation on CIFAR). Digits, queues of 1024,
temperature 0.2 and momentum 0.99 for all; the encoder sees as many views in every arm. ``few``: linear evaluation with
ten labels per class. *false* is the share of the kept negatives that have the query's class: what a filter by
similarity gathers when no label tells it better.
"""

import numpy as np

from mini_repr.claims.bench.bootstrap import probe_scores
from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.trained import SMALL, rows_of, trained
from mini_repr.training.config import merge

ARMS = {
    "MoCo": {"hardest": 1.0, "key_weight": 0.0},
    "dual view": {"hardest": 1.0},
    "hard negatives": {"hardest": 0.5, "key_weight": 0.0},
    "dual view, hard negatives": {"hardest": 0.5},
}


def measure(seed):
    arms = {}
    for arm, settings in ARMS.items():
        loss = {"name": "moco_dual", "temperature": 0.2, **settings}
        run = trained(seed, **merge(SMALL, {"loss": loss, "method": {"name": "momentum"}}))
        arms[arm] = {**probe_scores(run.method.encoder, run.data), "false": false_share(run, settings["hardest"])}
    return arms


def false_share(run, hardest):
    """Of the most similar other training rows (a share of all), how many have the row's own class."""
    rows, labels = rows_of(run, run.data.train), run.data.train.labels
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    similarities = rows @ rows.T
    np.fill_diagonal(similarities, -np.inf)
    kept = int(hardest * len(rows)) - (hardest == 1)
    nearest = np.argpartition(-similarities, kept - 1, axis=1)[:, :kept]
    return (labels[nearest] == labels[:, None]).mean()


CLAIM = Claim(
    paper="018",
    says="dual views and hard negatives make better rows than MoCo's after as many epochs",
    measure=measure,
    expects=(
        higher("few", "dual view, hard negatives", "MoCo"),
        higher("few", "dual view", "MoCo"),
        higher("few", "hard negatives", "MoCo"),
    ),
)
