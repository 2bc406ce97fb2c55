"""Pretext tasks: predicting one part from the other saves labels while the parts share little beyond the label.

Lee et al. 2020, arXiv 2008.01064. Gaussian parts of 50 and 20 columns, 5 classes, 20,000 rows without labels
(two_parts); 10 directions of the first part enter the second with strength c. From few labels the class is predicted,
one-hot, by ridge regression on: the 5 leading directions of the best linear prediction ψ of the second part (*narrow
ψ*), all 20 columns of ψ, or the 50 columns of the first part as they are (*raw*). Ridge: for each the best of six on a
fifth of the labelled rows. *100*, *200*, *1000*: mean square error with so many labels, on 5,000 further rows.
*digits*: the upper half of an image predicts the lower by an MLP; accuracy of a linear probe with 5 labels per class on
9 directions of its predictions, on all of them, and on the upper half's pixels. With a linear ψ of digits, tried before
on one seed, the probe was worse than on pixels. *beyond*: the share of the (linearly) predicted variance of the second
part that the label does not explain, ε² / E|ψ|².
"""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.claims.bench.claim import Claim, higher, lower
from mini_repr.claims.bench.fitting import fit
from mini_repr.data import load
from mini_repr.data.generated.two_parts import two_parts
from mini_repr.metrics import few_label_probe
from mini_repr.metrics.theory import conditional_dependence
from mini_repr.metrics.theory.pretext import pretext_map
from mini_repr.nn import MLP

RIDGES = (0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0)
DEPENDENCES, LABELS, UNLABELLED, TEST = (0.0, 0.3, 1.0), (100, 200, 1000), 20000, 5000


def ridge(x, y, penalty):
    """Coefficients of centred y on centred x, and the intercept."""
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    centred = x - mean_x
    w = np.linalg.solve(centred.T @ centred + penalty * np.eye(x.shape[1]), centred.T @ (y - mean_y))
    return w, mean_y - mean_x @ w


def error(x, y, test_x, test_y):
    """Mean square error on test rows, the ridge chosen on the last fifth of the labelled ones."""

    def of(rows, labels, penalty, other, other_labels):
        w, b = ridge(rows, labels, penalty)
        return float(((other @ w + b - other_labels) ** 2).sum(axis=1).mean())

    cut = len(x) * 4 // 5
    best = min(RIDGES, key=lambda penalty: of(x[:cut], y[:cut], penalty, x[cut:], y[cut:]))
    return of(x, y, best, test_x, test_y)


def gaussian(dependence, seed):
    rows = two_parts(UNLABELLED + max(LABELS) + TEST, dependence, np.random.default_rng(seed))
    x1, x2 = rows.x1[:UNLABELLED], rows.x2[:UNLABELLED]
    deviation = x1.std()
    maps = {"narrow ψ": pretext_map(x1, x2, 5), "all of ψ": pretext_map(x1, x2, 20), "raw": np.eye(50)}
    y = np.eye(5)[rows.labels]
    bound = conditional_dependence(x1, x2, rows.labels[:UNLABELLED])
    beyond = bound.dependence / bound.predicted
    arms = {}
    for name, own in maps.items():
        features = rows.x1 @ own
        features *= deviation / features[:UNLABELLED].std()  # one grid of ridges for all
        test = features[-TEST:], y[-TEST:]
        found = {str(n): error(*(part[UNLABELLED : UNLABELLED + n] for part in (features, y)), *test) for n in LABELS}
        arms[f"{name}, c = {dependence:g}"] = found | {"beyond": beyond}
    return arms


def digits(seed):
    data, rng = load("digits"), np.random.default_rng(seed)
    train, test = (part.images.reshape(len(part), -1) for part in (data.train, data.test))
    upper, below = train[:, :32], train[:, 32:]
    net = MLP((32, 256, 256, 32), rng)
    fit(
        net.named_parameters(),
        lambda index: ((net(upper[index]) - below[index]) ** 2).mean(),
        len(upper),
        rng,
        steps=1500,
        lr=1e-3,
        weight_decay=0.1,
    )
    with no_grad():
        predicted, predicted_test = net(upper).data, net(test[:, :32]).data
    leading = np.linalg.svd(predicted - predicted.mean(axis=0), full_matrices=False)[2][:9].T
    features = {
        "narrow ψ": (predicted @ leading, predicted_test @ leading),
        "all of ψ": (predicted, predicted_test),
        "raw": (upper, test[:, :32]),
    }
    labels = data.train.labels, data.test.labels
    found = conditional_dependence(upper, below, labels[0])
    arms = {}
    for name, (x, y) in features.items():
        probe = few_label_probe(x, labels[0], y, labels[1], per_class=5, seed=seed)[0]
        arms[f"{name}, digits"] = {"5 labels": probe, "beyond": found.dependence / found.predicted}
    return arms


def measure(seed):
    arms = {}
    for dependence in DEPENDENCES:
        arms |= gaussian(dependence, seed)
    return arms | digits(seed)


CLAIM = Claim(
    paper="105",
    says="what predicts one part from the other needs fewer labels, while the parts share little beyond the label",
    measure=measure,
    expects=(
        lower("100", "narrow ψ, c = 0", "raw, c = 0", by=0.02),
        lower("200", "narrow ψ, c = 0", "raw, c = 0"),
        lower("1000", "raw, c = 1", "narrow ψ, c = 1", by=0.02),
        lower("1000", "narrow ψ, c = 0", "narrow ψ, c = 0.3", by=0.02),
        lower("1000", "narrow ψ, c = 0.3", "narrow ψ, c = 1", by=0.02),
        higher("5 labels", "narrow ψ, digits", "raw, digits"),
    ),
    seeds=8,
    designs=2,
)
