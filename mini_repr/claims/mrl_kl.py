"""MRL: Gaussians retrieve better than points of the same width do, scored by an inner product either way.

Zamani, Bendersky 2023, arXiv 2304.14522: rows of 2K numbers as K means and K variances, scored by the negative KL,
against dense retrievers that score by the inner product. Here: words look for their definitions among 2,473 unseen ones
(WordNet), two towers of shared weights, 128 numbers a row, the contrastive loss from words to definitions at
temperature 1, the same start, batches and 3 epochs. *Cosines* (unit rows, temperature 0.1) are no baseline of the
paper. *Variance and rank*: the rank correlation of a word's mean log variance with the rank of its definition, by which
the paper predicts how hard a query is; a later study (see the page) finds no such thing.
"""

import numpy as np
from scipy.stats import spearmanr

from mini_repr.autograd import unit_rows
from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.trained import pair_rows, trained
from mini_repr.data import load
from mini_repr.losses.pairs.mrl_kl import document_vectors, query_vectors

POINTS = {"name": "infonce", "symmetric": False}
ARMS = {
    "Gaussians": ({"name": "mrl_kl"}, lambda a, b: query_vectors(a) @ document_vectors(b).T),
    "points": (POINTS | {"normalize": False, "temperature": 1.0}, lambda a, b: a @ b.T),
    "cosines": (POINTS | {"temperature": 0.1}, lambda a, b: unit_rows.on_arrays(a)[0] @ unit_rows.on_arrays(b)[0].T),
}


def measure(seed):
    data, arms = load("glosses", kind="word-definition"), {}
    for name, (loss, scores_of) in ARMS.items():
        a, b = pair_rows(trained(seed, data=data, loss=loss, train={"epochs": 3}), data.test)
        scores = scores_of(a, b)
        ranks = (scores >= np.diag(scores)[:, None]).sum(axis=1)
        arms[name] = {"MRR": (1 / ranks).mean(), "recall@10": (ranks <= 10).mean()}
        if name == "Gaussians":
            log_variance = query_vectors(a)[:, 1]  # up to a factor and a constant
            arms[name]["variance and rank"] = spearmanr(log_variance, ranks).statistic
    return arms


CLAIM = Claim(
    paper="056",
    says="Gaussians, scored by their divergence, retrieve better than points of the same width",
    measure=measure,
    expects=(higher("MRR", "Gaussians", "points"), higher("recall@10", "Gaussians", "points")),
    seeds=4,
)
