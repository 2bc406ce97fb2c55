"""Losses in the form that public code gives them, from which rewrites start too.

A page's definition is the paper's formula. Public code writes the same loss in other steps (one matrix of logits and
a target for each row, a covariance matrix, sorted scores), and a slip is one change of *those* steps. Each form here is
its page's loss exactly, under the settings that it knows; a test holds value and gradients against the page.
"""

from typing import NamedTuple

import numpy as np

from mini_repr.autograd import (
    cholesky,
    concatenate,
    diagonal,
    exp,
    inverse,
    log,
    log_softmax,
    logsumexp,
    off_diagonal,
    relu,
    softplus,
    sqrt,
    stop_gradient,
    take_along,
    unit_rows,
    where,
)
from mini_repr.kernels.triplets import PENALTY
from mini_repr.pages.rows import reduced


class AsWritten(NamedTuple):
    """``function`` of the page's arguments; ``knows``: {setting: values} under which it is the page's loss."""

    function: object
    knows: dict

    def covers(self, arguments):
        return all(_among(arguments[name], values) for name, values in self.knows.items())


def _among(value, values):
    """Whether a setting is one of these; an array is none."""
    return any(type(value) is type(one) and value == one for one in values)


FORMS = {}


def as_written(page, **knows):
    """Register a function as a form of the page of this name."""

    def register(function):
        FORMS.setdefault(page, []).append(AsWritten(function, knows))
        return function

    return register


def forms_of(page, arguments):
    """The functions that are the page's loss at complete ``arguments``."""
    return [form.function for form in FORMS.get(page.name, ()) if form.covers(arguments)]


# Pairs of views.


@as_written("infonce", hard_negatives=[None], negatives=["batch"], decoupled=[False])
def infonce_by_targets(a, b, temperature, queue, hard_negatives, negatives, symmetric, decoupled, normalize, reduction):
    u, v = (unit_rows(x) if normalize else x for x in (a, b))
    logits = u @ v.T / temperature
    target = np.arange(len(logits.data))
    rows = -log_softmax(logits)[target, target]
    columns = -log_softmax(logits.T)[target, target]
    return reduced((rows + columns) / 2 if symmetric else rows, reduction)


@as_written("infonce", hard_negatives=[None], negatives=["views"], decoupled=[False])
def nt_xent_by_targets(a, b, temperature, queue, hard_negatives, negatives, symmetric, decoupled, normalize, reduction):
    rows = a.shape[0]
    z = concatenate(a, b)
    u = unit_rows(z) if normalize else z
    itself = np.eye(2 * rows, dtype=bool)
    logits = where(itself, -np.inf, u @ u.T / temperature)
    target = np.roll(np.arange(2 * rows), rows)
    per_row = -log_softmax(logits)[np.arange(2 * rows), target]
    return reduced((per_row[:rows] + per_row[rows:]) / 2 if symmetric else per_row[:rows], reduction)


@as_written("infonce", hard_negatives=[None], negatives=["queue"], decoupled=[False], symmetric=[False])
def moco_by_targets(a, b, temperature, queue, hard_negatives, negatives, symmetric, decoupled, normalize, reduction):
    u, v, keys = (unit_rows(x) if normalize else x for x in (a, b, queue))
    positive = (u * v).sum(axis=1, keepdims=True)
    negative = u @ keys.T
    logits = concatenate(positive, negative, axis=1) / temperature
    return reduced(-log_softmax(logits)[:, 0], reduction)


@as_written("infonce", hard_negatives=[None], decoupled=[False])
def infonce_by_exponentials(
    a, b, temperature, queue, hard_negatives, negatives, symmetric, decoupled, normalize, reduction
):
    u, v, keys = (x if x is None or not normalize else unit_rows(x) for x in (a, b, queue))

    def over(x, y):
        positive = exp((x * y).sum(axis=1) / temperature)
        negative = exp((x @ keys.T if negatives == "queue" else off_diagonal(x @ y.T)) / temperature).sum(axis=1)
        if negatives == "views":
            negative = negative + exp(off_diagonal(x @ x.T) / temperature).sum(axis=1)
        return -log(positive / (positive + negative))

    return reduced((over(u, v) + over(v, u)) / 2 if symmetric else over(u, v), reduction)


@as_written("siglip")
def siglip_by_signs(a, b, log_scale, bias, per_row, normalize, reduction):
    u, v = (unit_rows(x) if normalize else x for x in (a, b))
    logits = u @ v.T * exp(log_scale) + bias
    partners = np.eye(a.shape[0], dtype=bool)
    labels = 2 * partners - 1
    per_anchor = softplus(-labels * logits).sum(axis=1)
    return reduced(per_anchor / a.shape[0] if per_row == "mean" else per_anchor, reduction)


@as_written("barlow_twins")
def barlow_twins_by_deviations(a, b, redundancy_weight, scale_loss, eps, unbiased):
    rows, width = a.shape

    def standardised(x):
        centred = x - x.mean(axis=0)
        deviation = sqrt((centred * centred).sum(axis=0) / (rows - unbiased) + eps)
        return centred / deviation

    correlation = standardised(a).T @ standardised(b) / rows
    difference = (correlation - np.eye(width)) ** 2
    weights = where(np.eye(width, dtype=bool), 1, redundancy_weight)
    return scale_loss * (difference * weights).sum()


@as_written("vicreg", unbiased=[True, False])
def vicreg_by_deviations(
    a,
    b,
    invariance_weight,
    variance_weight,
    covariance_weight,
    target_std,
    eps,
    invariance,
    variance_views,
    unbiased,
):
    rows, width = a.shape

    def deviation(x):
        gap = x - x.mean(axis=0)
        return sqrt((gap * gap).sum(axis=0) / (rows - unbiased) + eps)

    def covariance(x):
        centred = x - x.mean(axis=0)
        matrix = centred.T @ centred / (rows - unbiased)
        return ((matrix**2).sum() - (diagonal(matrix) ** 2).sum()) / width

    distances = ((a - b) ** 2).sum(axis=1).mean()
    variance = relu(target_std - deviation(a)).mean() + relu(target_std - deviation(b)).mean()
    return (
        invariance_weight * (distances / width if invariance == "elements" else distances)
        + variance_weight * variance / (2 if variance_views == "mean" else 1)
        + covariance_weight * (covariance(a) + covariance(b))
    )


@as_written("wmse", size=[None])
def wmse_by_cholesky(a, b, order, size, eps, normalize, reduction):
    rows, width = a.shape

    def white(x):
        centred = x - x.mean(axis=0)
        covariance = (1 - eps) * (centred.T @ centred) / (rows - 1) + eps * np.eye(width)
        return centred @ inverse(cholesky(covariance)).T

    u, v = white(a), white(b)
    if normalize:
        return reduced(2 - 2 * (unit_rows(u) * unit_rows(v)).sum(axis=1), reduction)
    return reduced(((u - v) ** 2).mean(axis=1), reduction)


# One set of rows, and rows with labels.


@as_written("uniformity", self_pairs=[False])
def uniformity_by_pairs(z, t, self_pairs, normalize):
    u = unit_rows(z) if normalize else z
    first, second = np.triu_indices(u.shape[0], 1)
    squares = ((u[first] - u[second]) ** 2).sum(axis=1)
    return log(exp(-t * squares).mean())


@as_written("supcon", form=["out"], base_temperature=[None])
def supcon_by_masks(z, labels, temperature, form, normalize, base_temperature, mean_over, reduction):
    u = unit_rows(z) if normalize else z
    others = ~np.eye(len(labels), dtype=bool)
    same = labels[:, None] == labels
    positive = same & others
    logits = u @ u.T / temperature
    total = logsumexp(where(others, logits, -np.inf), axis=1, keepdims=True)
    log_p = logits - total
    per_row = -(log_p * positive).sum(axis=1) / np.maximum(positive.sum(axis=1), 1)
    if reduction == "mean" and mean_over == "anchors":
        return per_row.sum() / positive.any(axis=1).sum()
    return reduced(per_row, reduction)


@as_written("triplet", mining=["hard"], reduction=["mean"])
def triplet_by_rows(z, labels, margin, mining, distance, penalty, normalize, reduction):
    u = unit_rows(z) if normalize else z
    difference = u[:, None, :] - u[None, :, :]
    d = (difference * difference).sum(axis=2)
    if distance == "euclidean":
        d = where(d.data > 0, sqrt(where(d.data > 0, d, 1)), 0)
    same = labels[:, None] == labels
    positive = same & ~np.eye(len(labels), dtype=bool)
    farthest = where(positive, d, -1.0).max(axis=1)
    nearest = where(same, 1e9, d).min(axis=1)
    anchors = positive.any(axis=1) & (~same).any(axis=1)
    cost = PENALTY[penalty](where(anchors, farthest, 0) - where(anchors, nearest, 0) + margin) * anchors
    return cost.sum() / np.maximum(anchors.sum(), 1)


# Scores.


@as_written("cross_entropy")
def cross_entropy_by_targets(scores, labels, temperature, label_smoothing, reduction):
    log_p = log_softmax(scores / temperature)
    own = -log_p[np.arange(len(labels)), labels]
    return reduced((1 - label_smoothing) * own - label_smoothing * log_p.mean(axis=1), reduction)


@as_written("sparsemax")
def sparsemax_by_sorting(scores, labels, reduction):
    falling = take_along(scores, np.argsort(-scores.data, axis=1), axis=1)
    ranks = np.arange(1, scores.shape[1] + 1)
    sums = falling @ np.triu(np.ones((scores.shape[1], scores.shape[1])))
    inside = 1 + ranks * falling.data > sums.data
    count = inside.sum(axis=1, keepdims=True)
    tau = ((falling * inside).sum(axis=1, keepdims=True) - 1) / count
    own = scores[np.arange(len(labels)), labels]
    quadratic = ((falling * falling - tau * tau) * inside).sum(axis=1)
    return reduced(0.5 * quadratic - own + 0.5, reduction)


@as_written("circle_scores", weighted=[False])
def am_softmax_by_targets(x, w, labels, margin, scale, weighted, reduction):
    cosines = unit_rows(x) @ unit_rows(w).T
    own = labels[:, None] == np.arange(w.shape[0])
    logits = scale * (cosines - (1 - 2 * margin) * own)
    return reduced(-log_softmax(logits)[np.arange(len(labels)), labels], reduction)


@as_written("negative_cosine", form=["squared"])
def byol_by_squares(p1, p2, z1, z2, form, views, reduction):
    def distance(p, z):
        u, v = unit_rows(p), unit_rows(stop_gradient(z))
        return ((u - v) ** 2).sum(axis=1)

    both = distance(p1, z2) + distance(p2, z1)
    return reduced(both / 2 if views == "mean" else both, reduction)
