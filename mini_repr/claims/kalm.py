"""KaLM: fine-tuning with focal weights and mixed hard negatives, and the average of several fine-tuned models.

Zhao et al. 2025, arXiv 2506.20923: focal-style reweighting and online hard-negative mixing make fine-tuning better, and
a model soup better again. Here: words look for their definitions among 2,473 unseen ones (WordNet). All arms go on from
the same 4 epochs of InfoNCE, for 3 epochs at a third of the learning rate; gamma = 0.5, 4 mixtures with shares from
Beta(2, 2), temperature 0.05. "Soup": the mean of three models that saw the batches in three orders; "focal, mixed":
those three, on average. Unlike the paper's, the negatives are those of the batch, 127 of them, not mined ones.
"""

import copy

import numpy as np

from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.gloss_pairs import fit_pairs, rows_of_pairs, scores
from mini_repr.data import load
from mini_repr.losses.pairs.kalm import kalm
from mini_repr.nn import TextEncoder
from mini_repr.optim.soup import average_parameters

INFONCE = {"gamma": 0.0, "mixed": 0}


def fine_tuned(start, part, seed, **settings):
    model, rng = copy.deepcopy(start), np.random.default_rng(seed)
    shares_rng = np.random.default_rng((seed, 1))

    def loss_of(a, b, index):
        shares = shares_rng.beta(2, 2, (len(index), 4)).astype(np.float32) if settings.get("mixed", 4) else None
        return kalm(a.pooled, b.pooled, shares=shares, **settings)

    fit_pairs(model, part, loss_of, rng, epochs=3, lr=1e-3)
    return model


def measure(seed):
    data = load("glosses", kind="word-definition")
    start, rng = TextEncoder(np.random.default_rng(seed)), np.random.default_rng(seed)
    fit_pairs(start, data.train, lambda a, b, _: kalm(a.pooled, b.pooled, **INFONCE), rng, epochs=4)

    def score(model):
        return scores(*rows_of_pairs(model, data.test))

    arms = {"InfoNCE": score(fine_tuned(start, data.train, seed, **INFONCE))}
    arms["focal"] = score(fine_tuned(start, data.train, seed, mixed=0))
    models = [fine_tuned(start, data.train, seed + 100 * k) for k in range(3)]
    each = [score(model) for model in models]
    arms["focal, mixed"] = {name: float(np.mean([one[name] for one in each])) for name in each[0]}
    soup = average_parameters([model.named_parameters() for model in models])
    for name, parameter in models[0].named_parameters().items():
        parameter.data[...] = soup[name]
    return {**arms, "soup": score(models[0])}


CLAIM = Claim(
    paper="091",
    says="focal weights and mixed hard negatives help fine-tuning, and a soup of models helps again",
    measure=measure,
    expects=(higher("MRR", "focal, mixed", "InfoNCE"), higher("MRR", "soup", "focal, mixed")),
    seeds=8,
)
