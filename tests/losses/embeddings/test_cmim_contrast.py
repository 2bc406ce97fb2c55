import math

import numpy as np
import pytest

from mini_repr.losses.embeddings.cmim_contrast import cmim_contrast


def loops(z, temperature, over, normalize):
    """The equation, row by row."""
    rows = [[float(c) for c in row] for row in z]
    if normalize:
        norms = [math.sqrt(sum(c * c for c in row)) for row in rows]
        rows = [[c / norm for c in row] for row, norm in zip(rows, norms, strict=True)]
    total = 0.0
    for i, row in enumerate(rows):
        own = sum(c * c for c in row)
        others = [
            math.exp((sum(p * q for p, q in zip(row, x, strict=True)) - own) / temperature)
            for j, x in enumerate(rows)
            if j != i
        ]
        total += math.log(1 + (sum(others) / len(others) if over == "mean" else sum(others)))
    return total / len(rows)


def test_copies_of_all_rows_change_the_mean_little_and_the_sum_by_log_2_at_most():
    z = np.random.default_rng(0).standard_normal((40, 16))
    twice = np.concatenate([z, z])
    once, doubled = (float(cmim_contrast(x, temperature=1.0).data) for x in (z, twice))
    assert 0 < doubled - once < 0.02
    once, doubled = (float(cmim_contrast(x, temperature=1.0, over="sum").data) for x in (z, twice))
    assert 0.6 < doubled - once < math.log(2) + 0.01


def test_the_gradient_is_orthogonal_to_the_rows_and_equal_rows_are_not_pushed():
    z = np.random.default_rng(1).standard_normal((9, 4))
    gradient = cmim_contrast.value_and_grad(z)[1]["z"]
    np.testing.assert_allclose((gradient * z).sum(axis=1), 0, atol=1e-14)
    assert np.abs(gradient).max() > 1e-3
    np.testing.assert_allclose(cmim_contrast.value_and_grad(np.ones((4, 3)))[1]["z"], 0, atol=1e-15)


def test_a_tiny_temperature_stays_finite():
    z = np.random.default_rng(2).standard_normal((5, 3)).astype(np.float32)
    value, gradients = cmim_contrast.value_and_grad(z, temperature=1e-4)
    assert np.isfinite(value) and np.isfinite(gradients["z"]).all()
    assert float(value) == pytest.approx(0, abs=1e-6)
