"""Class Gaussians: rows with noisy labels and unequal classes become clean, balanced samples of one Gaussian per class.

Rows come from training without labels, which the labels' noise and the classes' sizes have not bent. Per class:

1. Outliers go, most of which have a wrong label: the share ``outliers`` of its rows with the largest local outlier
   factor, how much sparser a row's surroundings are than those of its k neighbours,

       reach(i, j) = max(distance of j to its k-th neighbour, d_ij),      lrd_i = 1 / mean_j reach(i, j),
       LOF_i = mean_j lrd_j / lrd_i,                                      j over the k neighbours of i

2. Mean µ_k and covariance Σ_k of what is left.
3. A class with fewer rows than the mean class borrows from the ``heads`` nearest of the others, c, with weights
   ω_c = n_c / |µ_c - µ_k|² that are divided by their sum (n_c: rows of class c):

       µ'_k = (1 - β) µ_k + β sum_c ω_c µ_c,         Σ'_k = (1 - α) Σ_k + α sum_c ω_c Σ_c

   A class of fewer than three rows has no covariance of its own: α = 1.

A classifier then learns from samples of N(µ'_k, Σ'_k), equally many per class.

Source: Zhang et al. 2022, arXiv 2211.10955, representation calibration, distributional part. Confirmed is the order of
the steps; the weights ω, β, α and the number of heads are our reading. Local outlier factor: Breunig, Kriegel, Ng,
Sander 2000, doi 10.1145/342009.335388, definitions 5 to 7, with exactly k neighbours; compared with scikit-learn's.
"""

from typing import NamedTuple

import numpy as np

from mini_repr.pages.arguments import Count, Fraction, FractionBelowOne
from mini_repr.posthoc.estimator import Estimator, estimator, labels_of, rows_of

SMALLEST = 3  # rows that a covariance of its own takes


class Sampled(NamedTuple):
    """z (C * per_class, D) float64 and their labels, class by class."""

    z: np.ndarray
    labels: np.ndarray


@estimator("class_gaussians", paper="039")
class ClassGaussians(Estimator):
    """Balanced samples of calibrated class Gaussians: ``ClassGaussians().fit_resample(z, labels)``.

    After ``fit``: ``classes_`` (C,), ``means_`` (C, D), ``covariances_`` (C, D, D), ``kept_`` (N,) bool: no outliers.

    Args:
        per_class: samples of each class. outliers: share of each class that is dropped. neighbours: k of the factor.
        heads: classes that a smaller one borrows from; 0 borrows nothing. borrowed_mean, borrowed_covariance: β, α.
        seed: of the samples.
    """

    def __init__(
        self,
        per_class: Count() = 150,
        *,
        outliers: FractionBelowOne = 0.3,
        neighbours: Count() = 10,
        heads: Count(least=0) = 3,
        borrowed_mean: Fraction = 0.1,
        borrowed_covariance: Fraction = 0.5,
        seed: Count(least=0) = 0,
    ):
        self.per_class, self.outliers, self.neighbours, self.heads = per_class, outliers, neighbours, heads
        self.borrowed_mean, self.borrowed_covariance, self.seed = borrowed_mean, borrowed_covariance, seed

    def fit(self, z, labels):
        """Estimate the Gaussians from rows (N, D) and noisy labels (N,); returns the object."""
        settings = self.checked_settings()
        rows = rows_of("class_gaussians", "z", z)
        labels = labels_of("class_gaussians", "labels", labels, len(rows))
        classes = np.unique(labels)
        kept = np.zeros(len(rows), bool)
        for c in classes:
            own = np.flatnonzero(labels == c)
            drop = int(settings["outliers"] * len(own)) if len(own) > SMALLEST else 0
            factors = local_outlier_factor(rows[own], settings["neighbours"])
            kept[own[np.argsort(factors, kind="stable")[: len(own) - drop]]] = True
        parts = [rows[kept & (labels == c)] for c in classes]
        counts = np.array([len(part) for part in parts])
        means = np.stack([part.mean(axis=0) for part in parts])
        width = rows.shape[1]
        covariances = np.stack([np.cov(p, rowvar=False, ddof=0).reshape(width, width) for p in parts])
        self.classes_, self.kept_ = classes, kept
        self.means_, self.covariances_ = _borrowed(means, covariances, counts, settings)
        return self

    def fit_resample(self, z, labels):
        """``fit``, then ``sample`` by the settings."""
        return self.fit(z, labels).sample(self.per_class, np.random.default_rng(self.seed))

    def sample(self, per_class, rng):
        """``per_class`` rows of every class from its Gaussian."""
        self._require_fitted()
        drawn = []
        for mean, covariance in zip(self.means_, self.covariances_, strict=True):
            values, vectors = np.linalg.eigh(covariance)
            root = vectors * np.sqrt(np.maximum(values, 0))
            drawn.append(mean + rng.normal(size=(per_class, len(mean))) @ root.T)
        return Sampled(np.concatenate(drawn), np.repeat(self.classes_, per_class))


def local_outlier_factor(z, k):
    """LOF (N,) of rows (N, D): 1 where a row lies as densely as its k neighbours, above where it lies more sparsely.

    With k rows or fewer all others are neighbours; a row alone has factor 1. Rows that coincide with k others have no
    finite density: among themselves their factor is 1.
    """
    k = min(k, len(z) - 1)
    if k < 1:
        return np.ones(len(z))
    squares = (z**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * z @ z.T, 0))
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :k]
    own = np.take_along_axis(distances, nearest, axis=1)
    reach = np.maximum(own[:, -1][nearest], own)
    density = 1 / np.maximum(reach.mean(axis=1), 1e-10)
    return density[nearest].mean(axis=1) / density


def _borrowed(means, covariances, counts, settings):
    """(µ' (C, D), Σ' (C, D, D))."""
    made_means, made = means.copy(), covariances.copy()
    for k in range(len(means)):
        others = np.flatnonzero((counts > counts[k]) & (counts >= counts.mean()))
        small = counts[k] < SMALLEST
        if not settings["heads"] or counts[k] >= counts.mean() or not len(others):
            continue
        distances = ((means[others] - means[k]) ** 2).sum(axis=1)
        near = np.argsort(distances, kind="stable")[: settings["heads"]]
        weights = counts[others[near]] / np.maximum(distances[near], 1e-300)
        weights = weights / weights.sum()
        beta, alpha = settings["borrowed_mean"], 1.0 if small else settings["borrowed_covariance"]
        made_means[k] = (1 - beta) * means[k] + beta * weights @ means[others[near]]
        made[k] = (1 - alpha) * covariances[k] + alpha * np.tensordot(weights, covariances[others[near]], 1)
    return made_means, made
