"""Principal components: fewer columns that keep as much of the variance as that many can.

With the mean m of the rows and the eigenvectors e_1, e_2, ... of their covariance, largest eigenvalue first, a row z
becomes the coordinates e_1·(z - m), ..., e_k·(z - m). Of all linear maps to k columns this one loses least of the
squared distances from the mean. What is centred matters for cosines: they are taken about m afterwards. With as many
components as columns the centred rows are rotated and nothing is lost.

Attimonelli et al. 2025, arXiv 2507.05006, compress text embeddings for search and recommendation so: fine-tuned models
gain from it, as their variance lies in few directions. Components are fitted to items, never to queries of the test.

Source: Pearson 1901, "On lines and planes of closest fit to systems of points in space"; Hotelling 1933, "Analysis of a
complex of statistical variables into principal components".
"""

import numpy as np

from mini_repr.pages.arguments import Count
from mini_repr.posthoc.estimator import Estimator, estimator, rows_of
from mini_repr.posthoc.manners import Transformer


@estimator("pca", paper="097")
class PCA(Transformer, Estimator):
    """Rows (N, D) to their leading principal components: ``PCA(16).fit(z).transform(z)``.

    After ``fit``: ``mean_`` (D,); ``components_`` (k, D), orthonormal rows; ``shares_`` (k,), of the variance that each
    holds. A component's largest entry is positive.

    Args:
        components: k, at most as many as columns and one fewer than rows.
    """

    def __init__(self, components: Count() = 16):
        self.components = components

    def fit(self, z, y=None):
        """Find the components; returns the object.

        Args:
            z: rows (N, D). y: what scikit-learn passes on; not used.
        Raises:
            ValueError: rows that are none, more components than they have, or rows that are all equal.
        """
        count = self.checked_settings()["components"]
        rows = rows_of("pca", "z", z)
        most = min(len(rows) - 1, rows.shape[1])
        if count > most:
            raise ValueError(f"pca: components: got {count}, expected at most {most} for rows of shape {rows.shape}")
        mean = rows.mean(axis=0)
        _, sizes, directions = np.linalg.svd(rows - mean, full_matrices=False)
        total = (sizes * sizes).sum()
        if not total > 0:
            raise ValueError("pca: z: got rows that are all equal, expected some that differ")
        largest = np.abs(directions).argmax(axis=1)
        signs = np.sign(directions[np.arange(len(directions)), largest])
        self.mean_ = mean
        self.components_ = (directions * signs[:, None])[:count]
        self.shares_ = (sizes * sizes / total)[:count]
        return self

    def transform(self, z):
        """The rows' coordinates (M, k): float64."""
        self._require_fitted()
        return (rows_of("pca", "z", z, len(self.mean_)) - self.mean_) @ self.components_.T
