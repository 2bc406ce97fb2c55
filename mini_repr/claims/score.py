"""SCoRe: with few large and many small classes, submodular losses keep the small ones better apart than SupCon.

Majee et al. 2023, arXiv 2310.00165, the experiments on imbalanced image sets (step imbalance of ratio 10 among them): a
linear classifier on rows trained with the facility-location, graph-cut or log-determinant loss beats one on SupCon's.
Digits, five classes of 100 training rows and five of 10; the test set is even. Every loss has six settings of one grid,
three learning rates and two forms (SupCon: temperature 0.07 or 0.1; facility location: maximum or log-sum-exp, as its
total correlation and information differ by a constant; the others: total correlation or information), the best by
*probe* on a fifth of the training rows, cut before the others were made imbalanced, over two seeds beyond those
counted. Classes from 100 down to 1, at the pages' settings, were tried first.
"""

import numpy as np

from mini_repr.claims.bench.altered import at_most
from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.trained import SMALL, labelled_rows, trained
from mini_repr.data import load
from mini_repr.metrics import knn_accuracy, linear_probe
from mini_repr.training.config import merge

ARMS = {  # the loss, learning rate
    "supcon": ({"name": "supcon", "temperature": 0.1}, 1e-2),
    "facility location": ({"name": "score_facility_location", "smoothing": 0.1}, 1e-2),
    "graph cut": ({"name": "score_graph_cut", "average": True, "form": "information"}, 3e-3),
    "log-determinant": ({"name": "score_log_det", "form": "correlation"}, 1e-2),
}


def accuracies(seed, loss, lr, digits=None):
    data = at_most(digits or load("digits"), [100, 10] * 5, np.random.default_rng(seed))
    sections = {"loss": loss, "train": {"epochs": 60, "batch_size": 110}, "optimizer": {"lr": lr}}
    given = labelled_rows(trained(seed, data=data, **merge(SMALL, sections)).method.encoder, data)
    return {"probe": linear_probe(*given), "nearest": knn_accuracy(*given, k=1)}


def measure(seed):
    return {name: accuracies(seed, loss, lr) for name, (loss, lr) in ARMS.items()}


CLAIM = Claim(
    paper="090",
    says="submodular losses beat SupCon where classes differ much in size",
    measure=measure,
    expects=tuple(higher("probe", name, "supcon") for name in list(ARMS)[1:]),
    seeds=8,
    designs=3,
)
