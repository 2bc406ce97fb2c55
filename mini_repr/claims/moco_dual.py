"""Dual-view MoCo: keys told from past queries too, and hard negatives only, against plain MoCo at equal epochs.

Hoang et al. 2025, arXiv 2501.16360: both parts improve on MoCo (linear evaluation on CIFAR). Digits, batches of 64,
queues of 128 rows, which is small against the data, momentum 0.99, 10 epochs; the encoder sees as many views in every
arm. Each arm has the temperature of three that gave the best ``few`` on a fifth of the training rows, over two seeds
beyond those counted. ``few``: linear evaluation with ten labels per class; ``MRR``: a view of a test digit looks for
another view of it among those of all test digits. A queue of most of the data was tried first: its hardest rows are
mostly of the query's class.
"""

from dataclasses import replace

import numpy as np

from mini_repr.claims.bench.bootstrap import probe_scores
from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.trained import SMALL, rows_of, trained
from mini_repr.data import DEFAULT_VIEWS, parse_views
from mini_repr.metrics import mean_reciprocal_rank
from mini_repr.training.config import merge

SETTINGS = {"method": {"name": "momentum", "queue_size": 128}, "train": {"epochs": 10, "batch_size": 64}}
ARMS = {
    "MoCo": {"hardest": 1.0, "key_weight": 0.0, "temperature": 0.5},
    "dual view": {"hardest": 1.0, "temperature": 0.1},
    "hard negatives": {"hardest": 0.5, "key_weight": 0.0, "temperature": 0.5},
    "dual view, hard negatives": {"hardest": 0.5, "temperature": 0.2},
}


def scores_of(seed, settings, data=None):
    """Of an arm, on the test part of the digits or of ``data``."""
    run = trained(seed, data=data, **merge(merge(SMALL, SETTINGS), {"loss": {"name": "moco_dual", **settings}}))
    rng, view, test = np.random.default_rng(seed), parse_views(DEFAULT_VIEWS), run.data.test
    views = [rows_of(run, replace(test, images=view(test.images, rng))) for _ in range(2)]
    return {**probe_scores(run.method.encoder, run.data), "MRR": mean_reciprocal_rank(*views)}


def measure(seed):
    return {arm: scores_of(seed, settings) for arm, settings in ARMS.items()}


CLAIM = Claim(
    paper="018",
    says="dual views and hard negatives make better rows than MoCo's after as many epochs",
    measure=measure,
    expects=(
        higher("few", "dual view, hard negatives", "MoCo"),
        higher("few", "dual view", "MoCo"),
        higher("few", "hard negatives", "MoCo"),
    ),
    seeds=5,
    designs=3,
)
