"""Pretext tasks: predicting one part of the input from the other learns the label where the label is what they share.

Rows come in two parts x1 and x2 with labels, y the label one-hot. All expectations are over the rows given; predictors
are linear with intercept. ψ(x1) is the best prediction of x2, and the label is then predicted from ψ(x1) alone.

    A = coefficients of x2 on x1,   B = of y on x1,   M (classes, columns of x2) = class means of x2, centred

Were the parts independent given the label, x1 would predict x2 only through it: A = B M. How far that is from true,

    ε² = E | x1 (A - B M) |²  =  | Σ11^{-1/2} (Σ12 - Σ1Y ΣYY⁺ ΣY2) |²,      centred covariances, squared Frobenius norm

bounds what ψ loses. With σ the smallest singular value of M that the C classes need, number C - 1 (0 where the class
means of x2 do not tell the classes apart, and the bound is infinite),

    risk of y from ψ(x1)  -  risk of y from x1   <=   ε² / σ²

since ψ M⁺ predicts y, and differs from the best prediction x1 B by x1 (A - B M) M⁺. With ε = 0 nothing is lost though ψ
has few columns, and fewer labels are enough: about one per column of ψ, not one per column of x1.

Source: Lee, Lei, Saunshi, Zhuo 2020, arXiv 2008.01064: exact and approximate conditional independence, and ψ by
nonlinear CCA, whose linear case is ``cca``. The constant of the bound is derived here, for the distribution of rows.
"""

from typing import NamedTuple

import numpy as np

from mini_repr.pages.arguments import Count, Labels, Rows
from mini_repr.pages.declare import theorem
from mini_repr.pages.page import definition

# Directions whose deviation is less than this share of the largest are none: constant pixels, copied columns.
NEGLIGIBLE = 1e-8


class ConditionalDependence(NamedTuple):
    """ε², E|x1 A|², σ; risks of y from x1 and from ψ(x1), their difference and what bounds it."""

    dependence: float
    predicted: float
    separation: float
    direct_risk: float
    pretext_risk: float
    loss: float
    bound: float


class CanonicalCorrelations(NamedTuple):
    """correlations (width,), falling; first (D1, width) and second (D2, width): maps of centred rows, deviation 1."""

    correlations: np.ndarray
    first: np.ndarray
    second: np.ndarray


@theorem(paper="105", sizes={"N": 14, "P": 3, "Q": 4})
def conditional_dependence(x1: Rows("N P", frozen=True), x2: Rows("N Q", frozen=True), labels: Labels("N")):
    """How much two parts of the input depend on each other beyond the label, and what a pretext task loses by it."""
    first, second = x1 - x1.mean(axis=0), x2 - x2.mean(axis=0)
    y = (labels[:, None] == np.unique(labels)).astype(np.float64)
    means = (y.T @ second) / y.sum(axis=0)[:, None]  # M; its rows, weighted by frequency, sum to 0
    y = y - y.mean(axis=0)
    pretext, direct = _projected(first, second), _projected(first, y)
    through_label = direct @ means
    dependence = float(((pretext - through_label) ** 2).sum() / len(x1))
    separation = float(np.linalg.svd(means - means.mean(axis=0), compute_uv=False)[y.shape[1] - 2 :][:1].sum())
    direct_risk = float(((y - direct) ** 2).sum() / len(x1))
    pretext_risk = float(((y - _projected(pretext, y, np.linalg.norm(second))) ** 2).sum() / len(x1))
    return ConditionalDependence(
        dependence=dependence,
        predicted=float((pretext**2).sum() / len(x1)),
        separation=separation,
        direct_risk=direct_risk,
        pretext_risk=pretext_risk,
        loss=pretext_risk - direct_risk,
        bound=dependence / separation**2 if separation > NEGLIGIBLE else float("inf"),
    )


@definition(conditional_dependence)
def conditional_dependence_definition(x1, x2, labels):
    """By covariance matrices."""
    y = (labels[:, None] == np.unique(labels)).astype(float)
    d1, d2 = x1.shape[1], x2.shape[1]
    covariance = np.cov(np.concatenate([x1, x2, y], axis=1), rowvar=False, ddof=0)
    one, two, label = slice(0, d1), slice(d1, d1 + d2), slice(d1 + d2, None)
    inverse = np.linalg.pinv(covariance[one, one])
    m = np.linalg.pinv(covariance[label, label]) @ covariance[label, two]
    difference = covariance[one, two] - covariance[one, label] @ m
    dependence = np.trace(difference.T @ inverse @ difference)
    a = inverse @ covariance[one, two]
    separation = np.linalg.svd(m)[1][: y.shape[1] - 1].min()

    def risk(coefficients):
        """Of y from x1 @ coefficients, by the normal equations."""
        inner = np.linalg.pinv(coefficients.T @ covariance[one, one] @ coefficients, rcond=1e-12, hermitian=True)
        explained = covariance[label, one] @ coefficients @ inner @ coefficients.T @ covariance[one, label]
        return np.trace(covariance[label, label] - explained)

    direct, pretext = float(risk(np.eye(d1))), float(risk(a))
    predicted = float(np.trace(a.T @ covariance[one, one] @ a))
    bound = float(dependence / separation**2)
    return ConditionalDependence(
        float(dependence), predicted, float(separation), direct, pretext, pretext - direct, bound
    )


@theorem(paper="105", sizes={"N": 14, "P": 4, "Q": 3})
def cca(x1: Rows("N P", frozen=True), x2: Rows("N Q", frozen=True), width: Count() = 2):
    """Canonical correlations: the directions of two parts that predict each other best, most correlated first.

    The maps ψ = x1 first and η = x2 second, each column times the root of its correlation, minimise
    -2 E ψ·η + tr(E ψψᵀ E ηηᵀ), the loss without constraints; its least value is minus the sum of squared correlations.
    A column's sign: its largest entry in ``first`` is positive.

    Raises:
        ValueError: a width above the number of directions of either part.
    """
    (u1, to_first), (u2, to_second) = _whitened(x1), _whitened(x2)
    if width > min(u1.shape[1], u2.shape[1]):
        most = min(u1.shape[1], u2.shape[1])
        raise ValueError(f"cca: width: got {width}, expected at most {most}, as many as the parts vary in")
    left, correlations, right = np.linalg.svd(u1.T @ u2)
    first, second = to_first @ left[:, :width], to_second @ right[:width].T
    signs = np.sign(np.take_along_axis(first, np.abs(first).argmax(axis=0)[None], axis=0))
    return CanonicalCorrelations(correlations[:width], first * signs, second * signs)


@definition(cca)
def cca_definition(x1, x2, width):
    """By the eigenvectors of Σ11⁻¹ Σ12 Σ22⁻¹ Σ21."""
    first, second = x1 - x1.mean(axis=0), x2 - x2.mean(axis=0)
    s11, s12, s22 = (p.T @ q / len(x1) for p, q in ((first, first), (first, second), (second, second)))
    values, vectors = np.linalg.eig(np.linalg.inv(s11) @ s12 @ np.linalg.inv(s22) @ s12.T)
    order = np.argsort(-values.real)[:width]
    correlations, maps = np.sqrt(values.real[order]), vectors.real[:, order]
    maps = maps / np.sqrt(np.diag(maps.T @ s11 @ maps))
    maps = maps * np.sign(maps[np.abs(maps).argmax(axis=0), range(width)])
    return CanonicalCorrelations(correlations, maps, np.linalg.inv(s22) @ s12.T @ maps / correlations)


def pretext_map(x1, x2, width):
    """(D1, width): the ``width`` leading directions of the best prediction ψ of x2 from x1, for centred rows x1."""
    first, second = x1 - x1.mean(axis=0), x2 - x2.mean(axis=0)
    coefficients = np.linalg.lstsq(first, second, rcond=NEGLIGIBLE)[0]
    return coefficients @ np.linalg.svd(first @ coefficients, full_matrices=False)[2][:width].T


def _projected(x, y, scale=None):
    """The best linear predictions of centred y from centred x."""
    u = _whitened(x, scale)[0]
    return u @ (u.T @ y)


def _whitened(x, scale=None):
    """(orthonormal columns that span the centred x, the map from x to them times √N: deviation 1).

    Directions much shorter than ``scale``, by default the longest of x, are left out.
    """
    u, s, v = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    kept = s > NEGLIGIBLE * (s[0] if scale is None else scale)
    return u[:, kept], v[kept].T / s[kept] * np.sqrt(len(x))
