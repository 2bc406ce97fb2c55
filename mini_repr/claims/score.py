"""SCoRe: with few large and many small classes, submodular losses keep the small ones better apart than SupCon.

Majee et al. 2023, arXiv 2310.00165, the experiments on long-tailed image sets: a linear classifier on rows trained with
the facility-location, graph-cut or log-determinant loss beats one on SupCon's. Digits, the training rows of class k cut
to 100 * 0.6^k, from 100 down to 1; the test set is even.
"""

import numpy as np

from mini_repr.claims.bench.altered import at_most
from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.trained import SMALL, rows_of, trained
from mini_repr.data import load
from mini_repr.metrics import knn_accuracy, linear_probe
from mini_repr.training.config import merge

ARMS = {
    "supcon": {"name": "supcon"},
    "facility location": {"name": "score_facility_location"},
    "graph cut": {"name": "score_graph_cut", "average": True},
    "log-determinant": {"name": "score_log_det"},
}
COUNTS = [max(1, round(100 * 0.6**k)) for k in range(10)]


def measure(seed):
    data = at_most(load("digits"), COUNTS, np.random.default_rng(seed))
    settings = merge(SMALL, {"train": {"epochs": 100, "batch_size": 120}})
    arms = {}
    for name, loss in ARMS.items():
        run = trained(seed, data=data, **merge(settings, {"loss": loss}))
        given = (rows_of(run, data.train), data.train.labels, rows_of(run, data.test), data.test.labels)
        arms[name] = {"probe": linear_probe(*given), "nearest": knn_accuracy(*given, k=1)}
    return arms


CLAIM = Claim(
    paper="090",
    says="submodular losses beat SupCon where classes differ much in size",
    measure=measure,
    expects=tuple(higher("probe", name, "supcon") for name in list(ARMS)[1:]),
)
