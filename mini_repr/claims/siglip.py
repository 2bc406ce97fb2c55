"""SigLIP: at small batches the sigmoid loss does better than the softmax one (Zhai et al. 2023, arXiv 2303.15343).

4,000 definitions and examples of WordNet through one text encoder, batches of 16 pairs, the same epochs and optimiser
for both; each loss starts at its paper's temperature and learns it.
"""

from dataclasses import replace

import numpy as np

from mini_repr.claims.claim import Claim, higher
from mini_repr.claims.gloss_pairs import pair_scores
from mini_repr.claims.trained import trained
from mini_repr.data import load

LOSSES = {"sigmoid": {"name": "siglip"}, "softmax": {"name": "infonce", "temperature": 0.07, "learn": ["temperature"]}}


def measure(seed):
    """{loss: {"MRR", "recall@10", "gap"}} on test pairs."""
    data = load("glosses", kind="definition-example")
    data = replace(data, train=data.train.take(np.random.default_rng(seed).permutation(len(data.train))[:4000]))
    arms = {}
    for name, loss in LOSSES.items():
        sections = {"loss": loss, "train": {"epochs": 2, "batch_size": 16}, "optimizer": {"lr": 1e-3}}
        arms[name] = pair_scores(trained(seed, data=data, **sections), data.test)
    return arms


CLAIM = Claim(
    paper="009",
    says="at small batches the sigmoid loss retrieves better than the softmax loss",
    measure=measure,
    expects=(higher("MRR", "sigmoid", "softmax"),),
)
