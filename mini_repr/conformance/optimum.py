"""Inputs near the optimum of a loss: partners that nearly coincide, classes apart, own scores ahead.

There the terms act that random rows hide: a softplus far below zero, a hinge that is met, a term that nearly vanishes.
"""

import numpy as np

from mini_repr.pages.arguments import Labels, Rows

NOISE = 0.05  # of a row's numbers, which are about 1
LEAD = 6.0  # of the own score


def near_optimum(loss, inputs, rng):
    """``inputs`` {name: host array} with free rows and scores moved near what the loss rewards; the rest as it is."""
    moved = dict(inputs)
    free = [p for p in loss.arrays if p.name in inputs and _is_free(p.annotation.bare)]
    if not free:
        return moved
    first = free[0]
    rows = inputs[first.name]
    labels = next((p for p in loss.arrays if isinstance(p.annotation.bare, Labels) and p.name in inputs), None)
    if labels is not None and len(inputs[labels.name]) == len(rows) and rows.ndim == 2:
        moved[first.name] = rows = _by_class(free, inputs, labels, rng)
    for p in free[1:]:
        alike = inputs[p.name].shape == rows.shape
        if alike:
            moved[p.name] = rows + NOISE * rng.standard_normal(rows.shape)
    return moved


def _is_free(annotation):
    return isinstance(annotation, Rows) and len(annotation.letters) > 1 and annotation.least == annotation.above


def _by_class(free, inputs, labels, rng):
    """The first array's rows, each near its class; or scores, each row's own ahead."""
    rows, own = inputs[free[0].name], inputs[labels.name]
    classes = labels.annotation.bare.classes
    noise = NOISE * rng.standard_normal(rows.shape)
    if classes and free[0].annotation.bare.letters[-1] == classes:
        return rows + LEAD * (own[:, None] == np.arange(rows.shape[1]))
    if classes:  # the second array has a row for each class
        prototypes = next((inputs[p.name] for p in free[1:] if p.annotation.bare.letters[0] == classes), None)
        if prototypes is None:
            return rows
        # Several rows a class: the mean of them.
        return prototypes.mean(axis=tuple(range(1, prototypes.ndim - 1)))[own] + noise
    kinds, place = np.unique(own, return_inverse=True)
    return rng.standard_normal((len(kinds), rows.shape[1]))[place] + noise
