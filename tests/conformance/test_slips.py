"""Slips that no public thread reports, written as a user would: each is refused and named."""

import numpy as np
import pytest
from mutants import differentiated

from mini_repr import autograd as ops
from mini_repr.autograd import stop_gradient
from mini_repr.conformance.check import check


def unit(x):
    return ops.unit_rows(x)


def clip_over_the_wrong_axis(a, b, temperature):
    u, v = (x / ops.sqrt((x * x).sum(axis=0, keepdims=True)) for x in (a, b))
    logits = u @ v.T / temperature
    log_p = ops.diagonal(ops.log_softmax(logits)) + ops.diagonal(ops.log_softmax(logits.T))
    return -log_p.mean() / 2


def siglip_sign(a, b, log_scale, bias):
    count = a.shape[0]
    logits = unit(a) @ unit(b).T * ops.exp(log_scale) + bias
    signs = 2 * np.eye(count, dtype=a.dtype) - 1
    return ops.softplus(logits * signs).sum() / count


def simsiam_own_targets(p1, p2, z1, z2):
    pairs = (unit(p1) * unit(stop_gradient(z1))).sum(axis=1) + (unit(p2) * unit(stop_gradient(z2))).sum(axis=1)
    return -(pairs / 2).mean()


def barlow_diagonal_in_both(a, b, redundancy_weight):
    def standard(x):
        centred = x - x.mean(axis=0)
        return centred / ops.sqrt((centred * centred).mean(axis=0) + 1e-5)

    gap = standard(a).T @ standard(b) / a.shape[0] - np.eye(a.shape[1], dtype=a.dtype)
    return (ops.diagonal(gap) ** 2).sum() + redundancy_weight * (gap * gap).sum()


def vicreg_covariance_over_n(a, b):
    rows, width = a.shape

    def terms(x):
        centred = x - x.mean(axis=0)
        matrix = centred.T @ centred
        variance = ops.relu(1 - ops.sqrt(ops.diagonal(matrix) / (rows - 1) + 1e-4)).mean()
        return variance, ((ops.off_diagonal(matrix) / rows) ** 2).sum() / width

    (va, ca), (vb, cb) = terms(a), terms(b)
    return 25 * ((a - b) ** 2).mean() + 25 * (va + vb) / 2 + ca + cb


def uniformity_of_distances(z, t):
    u = unit(z)
    rows, width = u.shape
    apart = u.reshape(rows, 1, width) - u.reshape(1, rows, width)
    square = ops.off_diagonal((apart * apart).sum(axis=2))
    return ops.logsumexp(-t * ops.sqrt(square)) - np.log(rows * (rows - 1))


def align_smoothing_over_wrong_partners(a, b, temperature, label_smoothing):
    count = a.shape[0]
    logits, own = unit(a) @ unit(b).T / temperature, np.eye(count, dtype=a.dtype)
    q = own * (1 - label_smoothing) + (1 - own) * label_smoothing / (count - 1)
    return -(q * (ops.log_softmax(logits) + ops.log_softmax(logits.T))).sum() / count


@pytest.mark.parametrize(
    "function, loss, settings, named",
    [
        (clip_over_the_wrong_axis, "infonce", {}, "division of columns by their lengths"),
        (siglip_sign, "siglip", {}, "in per_anchor, the sign is left out"),
        (simsiam_own_targets, "negative_cosine", {}, "p1 and p2 exchanged"),
        (barlow_diagonal_in_both, "barlow_twins", {}, "the diagonal stands in the redundancy term too"),
        (
            vicreg_covariance_over_n,
            "vicreg",
            {"invariance": "elements", "variance_views": "mean"},
            "in matrix, the term 1 is left out",
        ),
        (uniformity_of_distances, "uniformity", {}, "the root of squares"),
        (align_smoothing_over_wrong_partners, "align", {}, "label smoothing is spread over the C-1 wrong classes only"),
    ],
)
def test_slip_is_refused_and_named(function, loss, settings, named):
    report = check(differentiated(function), loss, settings=settings)
    assert report.exit_code == 1 and named in report.verdict
