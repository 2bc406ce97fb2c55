"""Sparsemax: as good as softmax on images with several labels, with few probabilities above 0.

Martins, Astudillo 2016, arXiv 1602.02068, the experiments on multi-label sets: sparsemax and softmax losses reach
similar F1. One to three digits lie upon another in an image (the largest ink counts); its labels are their classes, the
target distribution uniform over them. Two equal MLPs see the same images. A label is predicted where its probability
passes the threshold that gives the best F1 on the training images.
"""

import numpy as np

from mini_repr.autograd import Tensor, log_softmax, no_grad, softmax, sparsemax
from mini_repr.claims.bench.claim import Claim, below, no_worse
from mini_repr.claims.bench.fitting import fit
from mini_repr.data import load
from mini_repr.losses.scores.sparsemax_multilabel import sparsemax_multilabel
from mini_repr.nn import MLP


def softmax_loss(scores, marks):
    return -(log_softmax(scores) * (marks / marks.sum(axis=1, keepdims=True))).sum(axis=1).mean()


ARMS = {"sparsemax": (sparsemax_multilabel, sparsemax), "softmax": (softmax_loss, softmax)}


def overlaid(part, count, rng):
    """(images (count, 64), marks (count, 10)): one to three digits of different classes each."""
    images, marks = np.zeros((count, 64), np.float32), np.zeros((count, 10), np.float32)
    for image, mark in zip(images, marks, strict=True):
        for label in rng.choice(10, rng.integers(1, 4), replace=False):
            chosen = rng.choice(np.flatnonzero(part.labels == label))
            np.maximum(image, part.images[chosen].ravel(), out=image)
            mark[label] = 1
    return images, marks


def f1(probabilities, marks, threshold):
    """Micro-averaged F1 of the labels above the threshold."""
    chosen = probabilities > threshold
    return 2 * (chosen * marks).sum() / (chosen.sum() + marks.sum())


def measure(seed):
    rng = np.random.default_rng(seed)
    data = load("digits")
    (x, marks), (test_x, test_marks) = overlaid(data.train, 4000, rng), overlaid(data.test, 1000, rng)
    scores = {}
    for name, (loss, probabilities) in ARMS.items():
        rng = np.random.default_rng(seed)
        net = MLP((64, 256, 128, 10), rng)
        fit(
            net.named_parameters(),
            lambda i, net=net, loss=loss: loss(net(Tensor(x[i])), marks[i]),
            4000,
            rng,
            steps=1500,
        )
        with no_grad():
            train, test = (probabilities(net(Tensor(part))).data for part in (x, test_x))
        threshold = max(np.arange(0.0, 0.5, 0.02), key=lambda t, train=train: f1(train, marks, t))
        scores[name] = {"F1": f1(test, test_marks, threshold), "labels above 0": (test > 0).sum(axis=1).mean()}
    return scores


CLAIM = Claim(
    paper="060",
    says="sparsemax reaches the F1 of softmax with fewer than half of the probabilities above 0",
    measure=measure,
    expects=(
        no_worse("F1", "sparsemax", "softmax", by=0.01),
        below("labels above 0", "sparsemax", 5),
    ),
    seeds=5,
)
