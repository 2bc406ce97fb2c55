"""Energy distance: scipy's in one dimension, nothing between halves of one sample, rotations and scale."""

import numpy as np
from scipy.stats import energy_distance as of_scipy

from mini_repr.metrics import energy_distance


def test_in_one_dimension_it_is_scipys_up_to_the_pairs_of_a_row_with_itself():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(40), 0.5 + 2 * rng.standard_normal(30)
    # scipy returns the root and counts a row with itself: its means within a set are (N - 1) / N of ours.
    within = [np.abs(z[:, None] - z).sum() / (len(z) ** 2 * (len(z) - 1)) for z in (a, b)]
    np.testing.assert_allclose(energy_distance(a[:, None], b[:, None]), of_scipy(a, b) ** 2 - sum(within), rtol=1e-10)


def test_halves_of_one_sample_have_none_and_a_shift_has_more_the_farther():
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, 400, 5))
    assert abs(energy_distance(a, b)) < 0.02
    shifted = [energy_distance(a, b + step) for step in (0.2, 0.5, 1.0)]
    assert 0.02 < shifted[0] < shifted[1] < shifted[2]


def test_it_is_the_same_however_rows_are_turned_and_grows_with_them():
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((30, 4)), rng.random((20, 4))
    turn = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    found = energy_distance(a, b)
    np.testing.assert_allclose(energy_distance(b, a), found, rtol=1e-12)
    np.testing.assert_allclose(energy_distance(a @ turn + 3, b @ turn + 3), found, rtol=1e-10)
    np.testing.assert_allclose(energy_distance(2 * a, 2 * b), 2 * found, rtol=1e-12)
