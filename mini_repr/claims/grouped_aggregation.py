"""Grouped aggregation: a contrastive loss within groups of the batch trains about as well as over all of it.

Guo et al. 2024, arXiv 2401.15896 (M2-Encoder): the rows are gathered within groups of devices and not over all, which
takes less communication and memory at no loss of accuracy; their batches are of 100 thousand pairs and more. Here: two
copies of a definition (WordNet), each of which lost half of its words, look for each other among 600 after 10 epochs;
hashed words and an MLP; batches of 256 pairs in 1, 2, 4 and 8 groups. Each has the learning rate of three that
retrieves best on a fifth of the training pairs, over two seeds beyond those counted. *rows*: how many an anchor meets.
That groups of ranks give what one rank gives is a test; bilingual pairs of images and captions are not tried.
"""

import numpy as np

from mini_repr.claims.bench.altered import held_out
from mini_repr.claims.bench.claim import Claim, no_worse
from mini_repr.claims.bench.copies import pairs_of_copies
from mini_repr.claims.bench.trained import pair_rows, trained
from mini_repr.metrics import mean_reciprocal_rank
from mini_repr.training.config import merge

BATCH = 256
COMMON = {"loss": {"name": "infonce", "temperature": 0.1}, "train": {"epochs": 10, "batch_size": BATCH}}
RATES = {1: 3e-3, 2: 1e-3, 4: 1e-3, 8: 3e-3}  # by groups, of 3e-4, 1e-3 and 3e-3
ALIKE = 0.01


def retrieval(groups, seed, lr, choosing=False):
    """Mean reciprocal rank of the other copy among those of the test definitions."""
    data = pairs_of_copies(3000, 600, np.random.default_rng(seed), lost=0.5)
    settings = merge(COMMON, {"train": {"loss_groups": groups}, "optimizer": {"lr": lr}})
    run = trained(seed, data=held_out(data) if choosing else data, **settings)
    return mean_reciprocal_rank(*pair_rows(run, run.data.test))


def named(groups):
    return "whole batch" if groups == 1 else f"{groups} groups"


def measure(seed):
    return {
        named(groups): {"MRR": retrieval(groups, seed, lr), "rows": BATCH // groups} for groups, lr in RATES.items()
    }


CLAIM = Claim(
    paper="109",
    says="a contrastive loss within groups of the batch retrieves about as well as one over the whole",
    measure=measure,
    expects=tuple(no_worse("MRR", named(groups), "whole batch", by=ALIKE) for groups in (2, 4, 8)),
)
