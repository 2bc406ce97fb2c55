"""Learned rejection: for a fixed predictor it covers more at the same risk than a threshold on confidence.

Mohri et al. 2023, arXiv 2301.09044: a rejector trained with the surrogate loss for a fixed predictor, against its
confidence; much more coverage where the error rate is halved. Here, two predictors of digits. "all": it learnt all ten
from 100 images. "eight": it learnt digits 0 to 7 from some 320 images and meets all ten, so it is sometimes sure and
wrong; the rejector has seen 8 and 9, an advantage that confidence cannot have. The rejector (an MLP on pixels and the
predictor's scores, that starts undecided) learns from the other training images whether the predictor was right on
them, for each cost of a rejection. Confidence is the largest softmax probability. *Coverage*: the largest with half the
predictor's error rate; *area* under the coverage-risk curve; *rejection loss*: accepted mistakes plus the cost of each
rejection, a test image: the rejector accepts above 0, confidence above the threshold that was best on the images that
the rejector learnt from.
"""

import numpy as np

from mini_repr.autograd import Tensor, no_grad, softmax
from mini_repr.claims.bench.claim import Claim, higher, lower
from mini_repr.claims.bench.fitting import fit
from mini_repr.data import load
from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.losses.scores.reject import reject
from mini_repr.metrics.coverage_risk import area_under_coverage_risk, coverage_at_risk
from mini_repr.nn import MLP

COSTS = (0.05, 0.1, 0.2)
PREDICTORS = {"all": (10, 100), "eight": (8, 400)}  # classes taught, images (of all classes) that may be taught


def predictor_of(x, labels, rng):
    """The scores (images (N, 64) to (N, 10)) of an MLP that was taught these."""
    net = MLP((64, 64, 10), rng)
    fit(net.named_parameters(), lambda i: cross_entropy(net(Tensor(x[i])), labels[i]), len(x), rng, steps=300)
    return evaluated(net)


def rejector_of(inputs, predictions, labels, cost, rng):
    net = MLP((inputs.shape[1], 64, 1), rng)
    net.linears[-1].weight.data[...] = 0

    def loss(i):
        return reject(net(Tensor(inputs[i])).reshape(-1), predictions[i], labels[i], cost)

    fit(net.named_parameters(), loss, len(inputs), rng, steps=800, lr=1e-3, weight_decay=0.01)
    return evaluated(net)


def evaluated(net):
    def scores(x):
        with no_grad():
            return net(Tensor(x)).data

    return scores


def rejection_loss(accepted, right, cost):
    return np.where(accepted, ~right, cost).mean()


def measure(seed):
    arms = {}
    for kind in PREDICTORS:
        arms |= arms_of(kind, seed)
    return arms


def arms_of(kind, seed):
    rng = np.random.default_rng(seed)
    data = load("digits")
    order = rng.permutation(len(data.train))
    x, labels = data.train.images.reshape(-1, 64)[order], data.train.labels[order]
    classes, count = PREDICTORS[kind]
    taught = np.flatnonzero(labels[:count] < classes)
    predict = predictor_of(x[taught], labels[taught], rng)
    parts = (x[count:], labels[count:]), (data.test.images.reshape(-1, 64), data.test.labels)
    scores = [predict(rows) for rows, _ in parts]
    center, spread = scores[0].mean(axis=0), scores[0].std(axis=0)
    inputs = [np.concatenate([rows, (s - center) / spread], axis=1) for (rows, _), s in zip(parts, scores, strict=True)]
    predictions = [s.argmax(axis=1) for s in scores]
    seen_right, right = (p == truth for p, (_, truth) in zip(predictions, parts, strict=True))
    seen_sure, sure = (softmax(Tensor(s)).data.max(axis=1) for s in scores)
    arms = {}
    for cost in COSTS:
        learned = rejector_of(inputs[0], predictions[0], parts[0][1], cost, rng)(inputs[1])[:, 0]
        least = min(np.sort(seen_sure), key=lambda t, cost=cost: rejection_loss(seen_sure > t, seen_right, cost))
        for name, score, accepted in (("rejector", learned, learned > 0), ("confidence", sure, sure > least)):
            arms[f"{kind}, {name}, cost {cost}"] = {
                "coverage": coverage_at_risk(score, right, (~right).mean() / 2),
                "area": area_under_coverage_risk(score, right),
                "rejection loss": rejection_loss(accepted, right, cost),
            }
    return arms


CLAIM = Claim(
    paper="065",
    says="a learned rejector covers more at half the error rate, and loses less, than a threshold on confidence",
    measure=measure,
    expects=tuple(
        compared(measured, f"{kind}, rejector, cost {cost}", f"{kind}, confidence, cost {cost}")
        for kind in PREDICTORS
        for measured, compared in (("coverage", higher), ("rejection loss", lower))
        for cost in COSTS
    ),
    seeds=8,
    designs=2,
)
