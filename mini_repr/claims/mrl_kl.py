"""MRL: Gaussians retrieve better than points of the same width do.

Zamani, Bendersky 2023, arXiv 2304.14522: rows of 2K numbers as K means and K variances, scored by the negative KL,
against dense retrievers, whose rows are points. Here: the left half of a digit looks for its right half among 360, an
encoder each, 64 numbers a row, the contrastive loss from left to right, the same start, batches and 20 epochs. Points
are scored by the inner product, as the paper's, or by the cosine. Each arm has the temperature, of five, that retrieves
best on a fifth of the training digits; those of a score that is not bounded are tenfold. *Variance and rank*: the rank
correlation of a left half's mean log variance with the rank of its right half, by which the paper predicts how hard a
query is; a later study (see the page) finds no such thing. Words and their definitions (WordNet) were tried first: all
are near chance there.
"""

from functools import partial

import numpy as np
from scipy.stats import spearmanr

from mini_repr.autograd import unit_rows
from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.digit_halves import rows_of_halves
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.losses.pairs.mrl_kl import document_vectors, mrl_kl, query_vectors

TEMPERATURES = (0.03, 0.1, 0.3, 1.0, 3.0)
POINTS = partial(infonce, symmetric=False)
ARMS = {  # the loss, the scores of all pairs, the factor of the temperatures
    "Gaussians": (mrl_kl, lambda a, b: query_vectors(a) @ document_vectors(b).T, 10),
    "points": (partial(POINTS, normalize=False), lambda a, b: a @ b.T, 10),
    "cosines": (POINTS, lambda a, b: unit_rows.on_arrays(a)[0] @ unit_rows.on_arrays(b)[0].T, 1),
}


def ranks(scores):
    """Of the partners, from 1."""
    return (scores >= np.diag(scores)[:, None]).sum(axis=1)


def measure(seed):
    arms = {}
    for name, (loss, scores_of, factor) in ARMS.items():

        def rows(t, loss=loss, **settings):
            return rows_of_halves(partial(loss, temperature=t), seed, epochs=20, lr=3e-3, **settings)

        temperatures = [factor * t for t in TEMPERATURES]
        tried = [(1 / ranks(scores_of(*rows(t, choosing=True)))).mean() for t in temperatures]
        best = temperatures[int(np.argmax(tried))]
        a, b = rows(best)
        found = ranks(scores_of(a, b))
        arms[name] = {"MRR": (1 / found).mean(), "recall@10": (found <= 10).mean(), "temperature": best}
        if name == "Gaussians":
            log_variance = query_vectors(a)[:, 1]  # up to a factor and a constant
            arms[name]["variance and rank"] = spearmanr(log_variance, found).statistic
    return arms


CLAIM = Claim(
    paper="056",
    says="Gaussians, scored by their divergence, retrieve better than points of the same width",
    measure=measure,
    expects=(higher("MRR", "Gaussians", "points"), higher("MRR", "Gaussians", "cosines")),
    seeds=5,
    designs=2,
)
