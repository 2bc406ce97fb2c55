"""LoReUn: weights by loss keep an ascent from forgetting more than it should.

Li et al. 2025, arXiv 2507.22499. A classifier of digits (MLP 64-256-128-10, 60 epochs) that has memorised: 400 training
rows, a tenth of their labels wrong; a random fifth is to be forgotten. *gap*: how far accuracy on forgotten, retained
and test rows and the share of forgotten rows judged to be no training rows are from those of a network trained on the
retained rows alone, their mean, in percent. Gradient ascent for 15 epochs, without weights, and with those of the
paper, static or dynamic, τ = 1; random labels likewise, and with a saliency mask that lets half of the weights move
(*masked*), without weights and dynamic. Learning rate (of three) and α (of three): for each arm those
of the smallest gap where a fifth of the training rows plays the test rows.
"""

from copy import deepcopy
from itertools import product

import numpy as np

from mini_repr.claims.bench.claim import Claim, lower
from mini_repr.claims.bench.fitting import fit
from mini_repr.data import load
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.nn import MLP
from mini_repr.posthoc.unlearning.loreun import unlearn
from mini_repr.posthoc.unlearning.scores import average_gap, unlearning_scores

ROWS, WRONG, FORGET, EPOCHS, BATCH = 400, 0.1, 0.2, 60, 64
RATES, ALPHAS = (1e-4, 3e-4, 1e-3), (0.1, 0.3, 1.0)
ARMS = {
    f"{base}, {weighting}": {"base": base, "weighting": weighting}
    for base in ("ascent", "random_labels")
    for weighting in ("none", "static", "dynamic")
} | {
    f"masked, {weighting}": {"base": "random_labels", "weighting": weighting, "moving": 0.5}
    for weighting in ("none", "dynamic")
}


def classifier(x, labels, seed):
    """A network that was trained on rows from scratch."""
    rng = np.random.default_rng(seed)
    net = MLP((x.shape[1], 256, 128, 10), rng)
    fit(
        net.named_parameters(),
        lambda index: cross_entropy(net(x[index]), labels[index]),
        len(x),
        rng,
        steps=EPOCHS * len(x) // BATCH,
        batch=BATCH,
        lr=1e-3,
    )
    return net


class Bench:
    """A network that has memorised, the parts of its rows, and the scores of one trained anew."""

    def __init__(self, x, labels, test, seed):
        forget = np.random.default_rng(seed).permutation(len(x)) < FORGET * len(x)
        self.forget, self.retain, self.test = (x[forget], labels[forget]), (x[~forget], labels[~forget]), test
        self.net, self.seed = classifier(x, labels, seed), seed
        self.wanted = self.scores(classifier(*self.retain, seed + 1000))

    def scores(self, net):
        return unlearning_scores(net, self.forget, self.retain, self.test)

    def unlearned(self, lr, alpha, **settings):
        return self.scores(
            unlearn(deepcopy(self.net), *self.forget, *self.retain, lr=lr, alpha=alpha, seed=self.seed, **settings)
        )


def measure(seed):
    data, rng = load("digits"), np.random.default_rng(seed)
    chosen = rng.permutation(len(data.train))[:ROWS]
    x, labels = data.train.images[chosen].reshape(ROWS, -1), data.train.labels[chosen].copy()
    wrong = rng.random(ROWS) < WRONG
    labels[wrong] = (labels[wrong] + rng.integers(1, 10, wrong.sum())) % 10
    cut = ROWS * 4 // 5
    inner = Bench(x[:cut], labels[:cut], (x[cut:], labels[cut:]), seed)
    outer = Bench(x, labels, (data.test.images.reshape(len(data.test), -1), data.test.labels), seed)

    def judged(scores):
        return {"gap": average_gap(scores, outer.wanted), **scores._asdict()}

    arms = {"before": judged(outer.scores(outer.net)), "trained anew": judged(outer.wanted)}
    for name, settings in ARMS.items():

        def gap(point, settings=settings):
            return average_gap(inner.unlearned(*point, **settings), inner.wanted)

        arms[name] = judged(outer.unlearned(*min(product(RATES, ALPHAS), key=gap), **settings))
    return arms


CLAIM = Claim(
    paper="038",
    says="weights by loss bring an unlearned network nearer to one trained anew",
    measure=measure,
    expects=(
        lower("gap", "ascent, dynamic", "ascent, none"),
        lower("gap", "ascent, static", "ascent, none"),
        lower("gap", "random_labels, dynamic", "random_labels, none"),
        lower("gap", "masked, dynamic", "masked, none"),
    ),
    seeds=8,
    designs=2,
)
