"""Projections onto null spaces."""

import numpy as np

NEGLIGIBLE = 1e-10


def orthonormal_basis(rows):
    """(D, k): orthonormal columns that span the rows (m, D), k their rank."""
    _, s, v = np.linalg.svd(rows, full_matrices=False)
    return v[s > NEGLIGIBLE * max(s.max(initial=0), 1e-300)].T


def nullspace_projection(directions, width):
    """P (D, D), the orthogonal projection onto what is orthogonal to all rows of all ``directions`` [(m, D), ...].

    By the formula of Ben-Israel: the intersection of null spaces is the null space of the sum of the projections onto
    the row spaces, also where these are not orthogonal to each other.
    """
    bases = [orthonormal_basis(rows) for rows in directions]
    together = orthonormal_basis(sum((b @ b.T for b in bases), np.zeros((width, width))))
    return np.eye(width) - together @ together.T
