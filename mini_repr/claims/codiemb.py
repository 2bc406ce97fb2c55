"""CoDiEmb: each task by its own loss in batches of its own, graded similarity by its order, and fused checkpoints.

Zhang et al. 2025, arXiv 2508.11442: one model for retrieval and for graded similarity is better where batches hold one
task each and similarity is trained by losses of order (2 Pearson + 0.5 PRO + 5 KL of ranks) than where InfoNCE serves
both; fusing checkpoints by how far each moved is better than their average. Here: definitions look for their examples
(InfoNCE, MRR), and definitions are graded by WordNet's hypernyms (Spearman). One hashed-word encoder, 300 steps of
retrieval in every arm that has it, and as many of similarity: by CoDiEmb's losses, by CoSENT, or InfoNCE on the pairs
of similarity 0.75 and more. "Soup" and "fused": three models of other orders of batches, from one of 100 steps.
"""

import copy

import numpy as np

from mini_repr.autograd import unit_rows
from mini_repr.backend import CPU
from mini_repr.claims.bench.claim import Claim, higher, no_worse
from mini_repr.data import load
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.losses.scores.cosent import cosent
from mini_repr.losses.scores.pearson import pearson
from mini_repr.losses.scores.pro import pro
from mini_repr.losses.scores.rank_kl import rank_kl
from mini_repr.methods import encode
from mini_repr.metrics import mean_reciprocal_rank, rank_agreement
from mini_repr.nn import TextEncoder
from mini_repr.optim import AdamW, average_parameters, fuse_by_deviation

BATCH, STEPS = 64, 300


def of_order(a, b, similarity):
    cosines = (unit_rows(a) * unit_rows(b)).sum(axis=1)
    return 2 * pearson(cosines, similarity) + 0.5 * pro(cosines, similarity) + 5 * rank_kl(cosines, similarity)


def by_cosent(a, b, similarity):
    return cosent((unit_rows(a) * unit_rows(b)).sum(axis=1), similarity)


def as_pairs(a, b, similarity):
    near = np.flatnonzero(similarity >= 0.75)
    return infonce(a[near], b[near], temperature=0.05, symmetric=False)


def retrieval(a, b):
    return infonce(a, b, temperature=0.05, symmetric=False)


class Tasks:
    """Batches of both tasks, as words on the host."""

    def __init__(self, encoder):
        self.pairs, self.graded = load("glosses", kind="definition-example"), load("glosses", kind="graded")
        self.words = [
            [encoder.tokenise(side) for side in (part.a, part.b)] for part in (self.pairs.train, self.graded.train)
        ]

    def train(self, encoder, rng, of_similarity, with_retrieval=True, steps=STEPS):
        """``steps`` of each task in turn; ``of_similarity`` None leaves that task out."""
        optimizer = AdamW(encoder.named_parameters(), 1e-3, weight_decay=0.0)
        for _ in range(steps):
            for task, wanted in ((0, with_retrieval), (1, of_similarity)):
                if not wanted:
                    continue
                part = (self.pairs, self.graded)[task].train
                index = rng.choice(len(part), BATCH, replace=False)
                a, b = (encoder(ids[index], mask[index]).pooled for ids, mask in self.words[task])
                optimizer.zero_grad()
                (of_similarity(a, b, part.similarity[index]) if task else retrieval(a, b)).backward()
                optimizer.step()
        return encoder

    def scores(self, encoder):
        (a, b), (c, d) = (
            [encode(encoder, side, CPU) for side in (part.a, part.b)] for part in (self.pairs.test, self.graded.test)
        )
        mrr, agreement = mean_reciprocal_rank(a, b), rank_agreement(c, d, self.graded.test.similarity)
        return {"MRR": mrr, "Spearman": agreement, "mean": (mrr + agreement) / 2}


def measure(seed):
    fresh = TextEncoder(np.random.default_rng(seed))
    tasks, arms = Tasks(fresh), {}
    ways = {
        "retrieval alone": (None, True),
        "similarity alone": (of_order, False),
        "InfoNCE for both": (as_pairs, True),
        "CoSENT": (by_cosent, True),
        "CoDiEmb": (of_order, True),
    }
    for arm, (of_similarity, with_retrieval) in ways.items():
        encoder = tasks.train(copy.deepcopy(fresh), np.random.default_rng(seed), of_similarity, with_retrieval)
        arms[arm] = tasks.scores(encoder)
    start = tasks.train(copy.deepcopy(fresh), np.random.default_rng(seed), of_order, steps=100)
    orders = [
        tasks.train(copy.deepcopy(start), np.random.default_rng((seed, k)), of_order, steps=STEPS - 100)
        for k in range(3)
    ]
    models = [one.named_parameters() for one in orders]
    for arm, fused in {
        "soup": average_parameters(models),
        "fused": fuse_by_deviation(start.named_parameters(), models),
    }.items():
        encoder = copy.deepcopy(start)
        for name, parameter in encoder.named_parameters().items():
            parameter.data[...] = fused[name]
        arms[arm] = tasks.scores(encoder)
    each = [tasks.scores(one) for one in orders]
    arms["one of three"] = {name: float(np.mean([one[name] for one in each])) for name in each[0]}
    return arms


CLAIM = Claim(
    paper="115",
    says="one model serves retrieval and graded similarity better by losses of order in batches of their own",
    measure=measure,
    expects=(
        higher("Spearman", "CoDiEmb", "InfoNCE for both"),
        higher("Spearman", "CoDiEmb", "CoSENT"),
        no_worse("MRR", "CoDiEmb", "InfoNCE for both", by=0.002),
        higher("MRR", "CoDiEmb", "similarity alone"),
        higher("mean", "fused", "soup"),
    ),
    seeds=5,
)
