"""A check in your own test suite: is your implementation the loss that it claims to be, in value and gradient?

    pytest scripts/check_in_tests.py

Copy what follows beside your code. On a difference pytest prints what the code computes instead, where that has a name,
and the smallest failing case as arrays to paste. PyTorch, JAX and NumPy are told apart by the code's imports.
"""

import numpy as np
import pytest

from mini_repr.conformance import assert_matches


def uniformity(z, t=2.0):
    """An implementation to be tested: value and gradient, since NumPy derives none."""
    length = np.linalg.norm(z, axis=1, keepdims=True)
    u = z / length
    apart = u[:, None] - u[None]
    weights = np.exp(-t * (apart**2).sum(axis=2)) * ~np.eye(len(u), dtype=bool)
    share = weights / weights.sum()
    du = -4 * t * (share[:, :, None] * apart).sum(axis=1)
    dz = (du - u * (u * du).sum(axis=1, keepdims=True)) / length
    return np.log(weights.sum() / (len(u) * (len(u) - 1))), {"z": dz}


def forgets_to_normalise(z, t=2.0):
    """The same on rows as they are: a slip that public code has made."""
    apart = z[:, None] - z[None]
    weights = np.exp(-t * (apart**2).sum(axis=2)) * ~np.eye(len(z), dtype=bool)
    share = weights / weights.sum()
    return np.log(weights.sum() / (len(z) * (len(z) - 1))), {"z": -4 * t * (share[:, :, None] * apart).sum(axis=1)}


def test_uniformity():
    assert_matches(uniformity, "uniformity", strict=False)


def test_a_slip_is_found_and_named():
    with pytest.raises(AssertionError, match=r"raw_rows|not normalised"):
        assert_matches(forgets_to_normalise, "uniformity", strict=False)
