"""INLP: iterated null-space projection takes an attribute to chance and leaves the task.

Ravfogel et al. 2020, arXiv 2004.07667. Digits on which two gradients of random strength are laid: an attribute of two
values that shows along several directions. Rows: an MLP of 64 columns, InfoNCE, 30 epochs; probes are linear, on test
rows. *independent*: the attribute has nothing to do with the digit; 16 rounds of INLP, one round, and as many random
directions as 16 rounds remove. *correlated*: the task is whether the digit is below 5, and the attribute agrees with it
four times in five in training rows, half the time in test rows; *gap*: how far the true positive rates of the two
values are apart for the task's probe, the mean over both answers; INLP of 8 rounds, alone and within the task's classes
(*by task*).
"""

from dataclasses import replace

import numpy as np

from mini_repr.claims.bench.claim import Claim, higher, lower, no_worse
from mini_repr.claims.bench.trained import labelled_rows, trained
from mini_repr.data import load
from mini_repr.metrics import linear_probe
from mini_repr.metrics.linear_probe import logistic_regression
from mini_repr.posthoc.inlp import INLP
from mini_repr.posthoc.projections import nullspace_projection

SETTINGS = {"encoder": {"name": "mlp", "width": 64, "hidden": 256, "depth": 2}, "train": {"epochs": 30}}


def marked(part, attribute, rng):
    """Images with a gradient to the right (attribute 1) or downward (0), of random strength."""
    slope = np.linspace(0, 1, part.images.shape[-1], dtype=np.float32)
    patterns = np.where(attribute[:, None, None], slope[None, :], slope[:, None])
    strength = rng.uniform(0.2, 0.8, (len(part), 1, 1)).astype(np.float32)
    return replace(part, images=np.clip(part.images + (strength * patterns)[:, None], 0, 1).astype(np.float32))


def rows_of(attributes, seed):
    """(training rows, labels, test rows, labels) of marked digits."""
    data, rng = load("digits"), np.random.default_rng(seed)
    parts = [marked(part, a, rng) for part, a in zip((data.train, data.test), attributes, strict=True)]
    run = trained(seed, data=replace(data, train=parts[0], test=parts[1]), loss={"name": "infonce"}, **SETTINGS)
    return labelled_rows(run.method.encoder, run.data)


def independent(seed):
    data, rng = load("digits"), np.random.default_rng(100 + seed)
    train_a, test_a = (rng.integers(2, size=len(part)) for part in (data.train, data.test))
    train, labels, test, test_labels = rows_of((train_a, test_a), seed)
    found = INLP(16).fit(train, train_a)
    random = rng.normal(size=(len(found.directions_), train.shape[1]))
    projections = {
        "nothing": np.eye(train.shape[1]),
        "1 round": INLP(1).fit(train, train_a).projection_,
        "16 rounds": found.projection_,
        "random directions": nullspace_projection([random], train.shape[1]),
    }
    arms = {}
    for name, p in projections.items():
        x, y = train @ p, test @ p
        arms[name] = {
            "attribute": linear_probe(x, train_a, y, test_a),
            "digit": linear_probe(x, labels, y, test_labels),
        }
    return arms


def correlated(seed):
    data, rng = load("digits"), np.random.default_rng(200 + seed)
    tasks = [(part.labels < 5).astype(int) for part in (data.train, data.test)]
    attributes = [
        np.where(rng.random(len(task)) < share, task, 1 - task) for task, share in zip(tasks, (0.8, 0.5), strict=True)
    ]
    train, _, test, _ = rows_of(attributes, seed)
    projections = {
        "correlated, nothing": np.eye(train.shape[1]),
        "correlated, INLP": INLP(8).fit(train, attributes[0]).projection_,
        "correlated, by task": INLP(8).fit(train, attributes[0], tasks[0]).projection_,
    }
    arms = {}
    for name, p in projections.items():
        scale = (train @ p).std()
        weight, bias = logistic_regression(train @ p / scale, tasks[0], 2, 1.0)
        right = (test @ p / scale @ weight + bias).argmax(axis=1) == tasks[1]
        rates = [[right[(tasks[1] == t) & (attributes[1] == a)].mean() for a in (0, 1)] for t in (0, 1)]
        arms[name] = {"task": float(right.mean()), "gap": float(np.mean([abs(a - b) for a, b in rates]))}
    return arms


def measure(seed):
    return independent(seed) | correlated(seed)


CLAIM = Claim(
    paper="080",
    says="iterated null-space projection takes an attribute near chance and leaves the task; by task, gaps close",
    measure=measure,
    expects=(
        lower("attribute", "16 rounds", "1 round", by=0.1),
        lower("attribute", "16 rounds", "random directions", by=0.1),
        no_worse("digit", "16 rounds", "nothing", by=0.05),
        lower("gap", "correlated, by task", "correlated, nothing", by=0.05),
        higher("task", "correlated, by task", "correlated, INLP"),
    ),
)
