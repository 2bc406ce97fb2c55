"""Accuracy of a linear classifier on frozen rows, with all labels or with a few per class.

The classifier is multinomial logistic regression on features standardised with the training rows' mean and deviation,
fitted in float64 on the host by L-BFGS, from zero: the same rows give the same classifier. It minimises

    sum_n -log softmax(x_n W + b)[y_n] + l2/2 ||W||²

with gradient Xᵀ(P - Y) + l2 W and, for the bias, the column sums of P - Y. The penalty is added to a sum, not a
mean: it is a Gaussian prior of variance 1/l2 on each weight, so that one default fits ten rows or ten thousand. It is
never chosen on test rows.

Source: Alain & Bengio 2016, arXiv 1610.01644, for probes; Chen et al. 2020 (SimCLR), arXiv 2002.05709, section 2.3, for
linear evaluation; appendix B.8 there for L-BFGS on fixed features.
"""

import math

import numpy as np
from scipy.optimize import minimize
from scipy.special import softmax

from mini_repr.backend import backend_of, blocks_of, single_threaded_products
from mini_repr.pages.arguments import Count, Labels, Positive, Rows
from mini_repr.pages.declare import metric
from mini_repr.pages.page import definition

# L-BFGS stops when no component of the gradient of the mean loss exceeds this: accuracies no longer move.
GRADIENT_TOLERANCE = 1e-5
MAX_ITERATIONS = 1000
# Rows that are in float64 at a time, where there are more.
BLOCK = 16384


@metric(sizes={"N": 12, "D": 3})
def linear_probe(
    train_z: Rows("N D"),
    train_labels: Labels("N"),
    test_z: Rows("M D"),
    test_labels: Labels("M"),
    l2: Positive = 1.0,
):
    """Accuracy of logistic regression on frozen rows.

    Test accuracy in [0, 1] of the classifier fitted on the training rows. A test label that no training row has is
    never predicted.

    Args:
        train_labels: at least two classes. l2: penalty.
    """
    return _accuracy(*_on_host("linear_probe", train_z, train_labels, test_z, test_labels), l2)


@definition(linear_probe)
def linear_probe_definition(train_z, train_labels, test_z, test_labels, l2):
    """The minimum by BFGS with gradients by differences."""
    train, labels, test, test_labels = _on_host("linear_probe", train_z, train_labels, test_z, test_labels)
    train, test = train.astype("float64"), test.astype("float64")
    x, test = ((rows - train.mean(axis=0)) / train.std(axis=0) for rows in (train, test))
    classes = sorted(set(labels.tolist()))

    def scores(flat, rows):
        theta = flat.reshape(-1, len(classes))
        return rows @ theta[:-1] + theta[-1]

    def objective(flat):
        p = softmax(scores(flat, x), axis=1)
        penalty = l2 / 2 * (flat[: -len(classes)] ** 2).sum()
        return penalty - sum(math.log(p[n, classes.index(label)]) for n, label in enumerate(labels))

    best = minimize(objective, np.zeros((x.shape[1] + 1) * len(classes)), method="BFGS").x
    found = zip(scores(best, test).argmax(axis=1), test_labels, strict=True)
    return sum(classes[k] == label for k, label in found) / len(test)


@metric(sizes={"N": 12, "D": 3})
def few_label_probe(
    train_z: Rows("N D"),
    train_labels: Labels("N"),
    test_z: Rows("M D"),
    test_labels: Labels("M"),
    per_class: Count() = 10,
    draws: Count() = 5,
    seed: Count(0) = 0,
    l2: Positive = 1.0,
):
    """Accuracy of linear_probe with 10 labels per class, mean and deviation over draws.

    Mean and population standard deviation of ``linear_probe`` over draws of ``per_class`` training rows per class. Each
    draw takes rows without replacement; the same seed gives the same draws.

    Returns:
        (mean, std), floats.
    Raises:
        ValueError: also for a class with fewer than ``per_class`` training rows.
    """
    train, train_labels, test, test_labels = _on_host("few_label_probe", train_z, train_labels, test_z, test_labels)
    classes, counts = np.unique(train_labels, return_counts=True)
    if counts.min() < per_class:
        fewest = f"the {counts.min()} training rows of class {classes[counts.argmin()]}"
        raise ValueError(f"few_label_probe: per_class: got {per_class}, expected at most {fewest}")
    members = [np.flatnonzero(train_labels == label) for label in classes]
    generator = np.random.default_rng(seed)
    accuracies = []
    for _ in range(draws):
        chosen = np.concatenate([generator.choice(rows, per_class, replace=False) for rows in members])
        accuracies.append(_accuracy(train[chosen], train_labels[chosen], test, test_labels, l2))
    return float(np.mean(accuracies)), float(np.std(accuracies))


@definition(few_label_probe)
def few_label_probe_definition(train_z, train_labels, test_z, test_labels, per_class, draws, seed, l2):
    train, labels, *test = _on_host("few_label_probe", train_z, train_labels, test_z, test_labels)
    rng, scores = np.random.default_rng(seed), []
    for _ in range(draws):
        members = ([n for n, label in enumerate(labels) if label == k] for k in sorted(set(labels.tolist())))
        chosen = np.concatenate([rng.choice(rows, per_class, replace=False) for rows in members])
        scores.append(linear_probe_definition(train[chosen], labels[chosen], *test, l2))
    mean = sum(scores) / draws
    return mean, math.sqrt(sum((score - mean) ** 2 for score in scores) / draws)


def logistic_regression(features, targets, classes, l2, prepared=None):
    """The optimal weight (D, C) and bias (C,) for features (N, D) and targets (N,) in 0..classes-1, all on the host.

    ``prepared(rows)``: the float64 features of some rows of ``features``; None for these themselves. Where there are
    more than ``BLOCK`` rows they are prepared anew, a block at a time, whenever they are needed.
    """
    rows, dimensions = features.shape
    blocks = blocks_of(rows, BLOCK)
    prepared = prepared or (lambda block: block)
    only = prepared(features) if len(blocks) == 1 else None

    def objective(flat):
        theta = flat.reshape(dimensions + 1, classes)
        weight, bias = theta[:-1], theta[-1]
        loss, gradient = 0.0, np.zeros_like(theta)
        for block in blocks:
            x = prepared(features[block]) if only is None else only
            here = np.arange(len(x)), targets[block]
            p = x @ weight
            p += bias
            p -= p.max(axis=1, keepdims=True)
            target_logits = p[here]
            np.exp(p, out=p)
            total = p.sum(axis=1, keepdims=True)
            loss += np.log(total).sum() - target_logits.sum()
            p /= total
            p[here] -= 1.0
            gradient[:-1] += x.T @ p
            gradient[-1] += p.sum(axis=0)
        loss += 0.5 * l2 * np.vdot(weight, weight)
        gradient[:-1] += l2 * weight
        gradient /= rows  # the mean loss: the stopping rule then means the same for any number of rows
        return loss / rows, gradient.ravel()

    options = {"gtol": GRADIENT_TOLERANCE, "ftol": 0.0, "maxiter": MAX_ITERATIONS, "maxfun": 2 * MAX_ITERATIONS}
    start = np.zeros((dimensions + 1) * classes)
    with single_threaded_products:  # the matrices are small: threads cost more than they bring
        theta = minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x.reshape(-1, classes)
    return theta[:-1], theta[-1]


def _accuracy(train, train_labels, test, test_labels, l2):
    blocks = blocks_of(len(train), BLOCK)
    mean = sum(train[block].astype("float64").sum(axis=0) for block in blocks) / len(train)
    deviation = np.sqrt(sum(((train[block] - mean) ** 2).sum(axis=0) for block in blocks) / len(train))
    # A constant column carries nothing; its deviation may be rounding noise, which must not be blown up.
    scale = np.where(train.max(axis=0) > train.min(axis=0), deviation, np.inf)
    classes, targets = np.unique(train_labels, return_inverse=True)

    def standardised(rows):
        return (rows - mean) / scale

    weight, bias = logistic_regression(train, targets, len(classes), l2, standardised)
    right = 0
    for block in blocks_of(len(test), BLOCK):
        predicted = classes[(standardised(test[block]) @ weight + bias).argmax(axis=1)]
        right += int((predicted == test_labels[block]).sum())
    return right / len(test)


def _on_host(name, train_z, train_labels, test_z, test_labels):
    """All four as host arrays."""
    arrays = [backend_of(array).to_numpy(array) for array in (train_z, train_labels, test_z, test_labels)]
    if (arrays[1] == arrays[1][0]).all():
        raise ValueError(f"{name}: train_labels: got only {arrays[1][0]}, expected at least two classes")
    return arrays
