"""LLaVE: weighing negatives by their hardness draws partners and hardest negatives apart, and retrieval gains.

Lan et al. 2025, arXiv 2503.04812: with InfoNCE the similarities of partners and of negatives overlap; weights e^{9 s}
on the negatives reduce that, and retrieval gets better. Here: words look for their definitions among 2,473 unseen ones
(WordNet), two towers of shared weights; the official temperature 0.02, the same start, batches and steps for both arms.
"""

from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.gloss_pairs import pair_scores
from mini_repr.claims.bench.trained import trained
from mini_repr.data import load

ARMS = {"InfoNCE": 0.0, "LLaVE": 9.0}


def measure(seed):
    data, arms = load("glosses", kind="word-definition"), {}
    for name, hardness in ARMS.items():
        run = trained(seed, data=data, loss={"name": "llave", "hardness": hardness}, train={"epochs": 6})
        arms[name] = pair_scores(run, data.test)
    return arms


CLAIM = Claim(
    paper="118",
    says="hardness-weighted negatives give a larger gap to the hardest negative and better retrieval",
    measure=measure,
    expects=(higher("gap", "LLaVE", "InfoNCE"), higher("MRR", "LLaVE", "InfoNCE")),
    seeds=4,
)
