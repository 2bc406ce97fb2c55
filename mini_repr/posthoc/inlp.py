"""Iterative null-space projection: remove from rows what a linear classifier can tell of an attribute.

Each round fits a linear classifier of the attribute to the rows x P (logistic regression, W (D, C), D columns, C
values); what it reads are the differences of its columns, which span B_i. P becomes the projection onto the null space
of all B_1, ..., B_i found so far, and the next classifier must find something else:

    P_i = I - U Uᵀ,   U an orthonormal basis of the range of sum_{j<=i} B_j B_jᵀ,    x <- x P_i

P² = P = Pᵀ, of rank D minus the number of directions removed; no classifier that was fitted can tell the attribute from
x P any more, and after enough rounds none can that is linear. Rounds end at ``rounds``, or when the accuracy on rows
held out is within ``tolerance`` of the share of the most frequent value; that last classifier is not removed.

Where the attribute is correlated with the task, removing all that tells it removes the task too. ``by``, the task's
labels, has each round learn from the rows of one task class alone, all classes in turn: only what tells the attribute
within a class goes.

Source: Ravfogel, Elazar, Gonen, Twiton, Goldberg 2020, arXiv 2004.07667, algorithm 1; github.com/shauli-ravfogel/
nullspace_projection, src/debias.py: projections by the same formula of Ben-Israel, any classifier, ``by_class`` with
classes drawn at random, a threshold ``min_accuracy`` below which a classifier is skipped and not the last.
"""

import numpy as np

from mini_repr.metrics.linear_probe import logistic_regression
from mini_repr.pages.arguments import Count, NonNegative, Positive
from mini_repr.posthoc.estimator import Estimator, estimator, labels_of, rows_of
from mini_repr.posthoc.projections import nullspace_projection, orthonormal_basis


@estimator("inlp", paper="080")
class INLP(Estimator):
    """Rows (N, D) without what linear classifiers tell of an attribute: ``INLP(16).fit(z, attribute).transform(z)``.

    After ``fit``: ``projection_`` (D, D); ``directions_`` (k, D), orthonormal, what was removed; ``accuracies_``, of
    each round's classifier on held-out rows, before its directions went; ``majority_``, what guessing gives. Of the
    rows every fifth is held out.

    Args:
        rounds: at most. tolerance: above the majority, at which rounds end; 0 runs until guessing is as good.
        l2: penalty of the classifiers on rows divided by one number, the root of their mean variance.
    """

    def __init__(self, rounds: Count() = 16, *, tolerance: NonNegative = 0.0, l2: Positive = 1.0):
        self.rounds, self.tolerance, self.l2 = rounds, tolerance, l2

    def fit(self, z, attribute, by=None):
        """Find the projection; returns the object.

        Args:
            z: rows (N, D). attribute: (N,) whole numbers. by: (N,) the task's labels.
        Raises:
            ValueError: rows or labels that are none, an attribute of one value, or a task class with one value alone.
        """
        settings = self.checked_settings()
        rows = rows_of("inlp", "z", z)
        attribute = labels_of("inlp", "attribute", attribute, len(rows))
        targets = np.unique(attribute, return_inverse=True)[1]
        if by is not None:
            by = labels_of("inlp", "by", by, len(rows), least=1)
        held = np.arange(len(rows)) % 5 == 4
        groups = [np.ones(len(rows), bool)] if by is None else [by == c for c in np.unique(by)]
        for group in groups:
            if any(len(np.unique(targets[part & group])) < 2 for part in (held, ~held)):
                where = "among every fifth row or the others" if by is None else f"in class {by[group][0]} of by"
                raise ValueError(f"inlp: attribute: got one value {where}, expected two or more")

        scale = np.sqrt(rows.var(axis=0).mean()) or 1.0
        found, accuracies, width = [], [], rows.shape[1]
        projection, quiet = np.eye(width), 0
        self.majority_ = max(float(np.bincount(targets[group]).max() / group.sum()) for group in groups)
        for number in range(settings["rounds"]):
            group = groups[number % len(groups)]
            x = rows @ projection / scale
            train, test = group & ~held, group & held
            kinds, kept = np.unique(targets[train], return_inverse=True)
            weight, bias = logistic_regression(x[train], kept, len(kinds), settings["l2"])
            accuracies.append(float((kinds[(x[test] @ weight + bias).argmax(axis=1)] == targets[test]).mean()))
            guessing = float(np.bincount(targets[test]).max() / test.sum())
            quiet = quiet + 1 if accuracies[-1] <= guessing + settings["tolerance"] else 0
            if quiet == len(groups):  # of every class of by in turn
                break
            if not quiet:
                found.append((weight - weight.mean(axis=1, keepdims=True)).T @ projection)
                projection = nullspace_projection(found, width)
        self.projection_, self.accuracies_ = projection, np.array(accuracies)
        self.directions_ = orthonormal_basis(np.eye(width) - projection).T
        return self

    def transform(self, z):
        """The rows (M, D) without the attribute: float64."""
        self._require_fitted()
        return rows_of("inlp", "z", z, len(self.projection_)) @ self.projection_

    def fit_transform(self, z, attribute, by=None):
        """``fit`` and ``transform`` of the same rows."""
        return self.fit(z, attribute, by).transform(z)
