"""MW loss: better area under the ROC curve than the contrastive loss, whose scores need no common threshold.

Sheikholeslami et al. 2025, arXiv 2510.00137: retrievers trained on all differences of positive and negative scores
against ones trained by the contrastive loss (InfoNCE from queries to passages). Here: the left half of a digit looks
for its right half among 360, an encoder each, 40 epochs, the same start and batches. Each loss has the temperature (of
three) and the learning rate (of two) that give the best AUC on a fifth of the training digits. AUC: partners against
all other pairs of the test digits. Words with their definitions, and definitions with examples (WordNet), where both
losses are near chance, were tried first, then halves of digits at set temperatures.
"""

from functools import partial

import numpy as np

from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.digit_halves import rows_of_halves
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.losses.pairs.mw_loss import mw_loss
from mini_repr.metrics import auc, mean_reciprocal_rank

LOSSES = {"InfoNCE": partial(infonce, symmetric=False), "MW": mw_loss}
GRID = [(t, lr) for t in (0.05, 0.1, 0.2) for lr in (1e-3, 3e-3)]


def rows(loss, temperature, lr, seed, **settings):
    return rows_of_halves(partial(loss, temperature=temperature), seed, epochs=40, lr=lr, **settings)


def measure(seed):
    arms = {}
    for name, loss in LOSSES.items():
        tried = [auc(*rows(loss, *settings, seed, choosing=True)) for settings in GRID]
        temperature, lr = GRID[int(np.argmax(tried))]
        found = rows(loss, temperature, lr, seed)
        arms[name] = {
            "AUC": auc(*found),
            "MRR": mean_reciprocal_rank(*found),
            "temperature": temperature,
            "learning rate": lr,
        }
    return arms


CLAIM = Claim(
    paper="113",
    says="all differences of scores, trained at once, give a larger area under the ROC curve than InfoNCE",
    measure=measure,
    expects=(higher("AUC", "MW", "InfoNCE", by=0.001),),
    seeds=5,
    designs=4,
)
