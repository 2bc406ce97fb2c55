"""TLDR on plain rows: what its map does, that it follows the seed, and what it refuses."""

import numpy as np
import pytest
from device_double import DOUBLE, DoubleArray

from mini_repr.data import load
from mini_repr.methods.neighbours import nearest_rows
from mini_repr.posthoc.tldr import TLDR

DIGITS = load("digits").train.images.reshape(-1, 64)
ROWS, OTHERS = DIGITS[:300], DIGITS[300:340]
SHORT = {"epochs": 5, "hidden": 16, "projected": 8, "batch_size": 100}


def disagreement(rows, fitted):
    """1 less the mean over columns of the correlation between rows and their nearest neighbours' rows."""
    standard = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    return 1 - (standard * standard[nearest_rows(fitted, 1)[:, 0]]).mean()


def test_neighbours_agree_more_than_in_principal_components():
    _, _, directions = np.linalg.svd(ROWS - ROWS.mean(axis=0), full_matrices=False)
    components = (ROWS - ROWS.mean(axis=0)) @ directions[:8].T
    untrained, trained = (TLDR(8, epochs=n, batch_size=150, lr=lr).fit(ROWS) for n, lr in ((1, 1e-9), (60, 0.01)))
    ours = disagreement(trained.transform(ROWS), ROWS)
    assert ours < 0.8 * disagreement(components, ROWS)
    assert ours < 0.5 * disagreement(untrained.transform(ROWS), ROWS)


def test_the_map_is_linear_and_centred_on_the_fitted_rows():
    tldr = TLDR(5, **SHORT).fit(ROWS)
    z = tldr.transform(OTHERS)
    assert z.shape == (40, 5) and z.dtype == np.float32 and tldr.dimensions == 5
    np.testing.assert_allclose(tldr.transform((OTHERS[:20] + OTHERS[20:]) / 2), (z[:20] + z[20:]) / 2, atol=1e-5)
    np.testing.assert_allclose(tldr.transform(ROWS).mean(axis=0), 0, atol=1e-5)
    assert z.std(axis=0).min() > 0.1


def test_neither_shift_nor_scale_of_the_rows_matters():
    plain = TLDR(4, **SHORT).fit(ROWS.astype(np.float64)).transform(OTHERS.astype(np.float64))
    moved = TLDR(4, **SHORT).fit(1e-3 * ROWS.astype(np.float64) + 50).transform(1e-3 * OTHERS.astype(np.float64) + 50)
    np.testing.assert_allclose(moved, plain, rtol=1e-2, atol=1e-2)


def test_the_seed_decides_to_the_bit():
    one, same, other = (TLDR(4, seed=seed, **SHORT).fit(ROWS).transform(OTHERS) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.1


def test_few_rows_make_one_batch():
    assert TLDR(2, neighbours=2, **SHORT).fit(ROWS[:3]).transform(OTHERS).shape == (40, 2)


def test_on_a_device_as_on_the_host():
    host = TLDR(4, **{**SHORT, "epochs": 1}).fit(ROWS).transform(OTHERS)
    device = TLDR(4, **{**SHORT, "epochs": 1}).fit(DOUBLE.asarray(ROWS)).transform(DOUBLE.asarray(OTHERS))
    assert type(device) is DoubleArray
    np.testing.assert_allclose(device.get(), host, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"dimensions": 0}, "TLDR: dimensions: got 0, expected a whole number from 1"),
        ({"dimensions": 2.5}, "TLDR: dimensions: got 2.5"),
        ({"neighbours": 0}, "TLDR: neighbours: got 0"),
        ({"epochs": 0}, "TLDR: epochs: got 0"),
        ({"batch_size": 1}, "TLDR: batch_size: got 1, expected a whole number from 2"),
        ({"lr": float("nan")}, "TLDR: lr: got nan"),
        ({"redundancy_weight": -1.0}, "TLDR: redundancy_weight"),
    ],
)
def test_settings_out_of_range_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        TLDR(**settings).fit(ROWS)


@pytest.mark.parametrize(
    "rows, message",
    [
        (ROWS[:3], r"tldr: z: got 3 rows, expected more rows than the 3 neighbours of each"),
        (ROWS[0], r"tldr: z: got float32 of shape \(64,\), expected float32 or float64 \(N, D\)"),
        (ROWS[:0], r"tldr: z: got float32 of shape \(0, 64\)"),
        ((ROWS * 16).astype(int), "tldr: z: got int64"),
        (ROWS.tolist(), "tldr: z: got list"),
        (np.where(ROWS > 0.9, np.nan, ROWS), "tldr: z: got NaN or infinity"),
        (np.ones((10, 4)), "tldr: z: got a standard deviation of 0.0, expected rows that differ"),
    ],
)
def test_rows_that_cannot_be_fitted_are_named(rows, message):
    with pytest.raises(ValueError, match=message):
        TLDR(2, **SHORT).fit(rows)


@pytest.mark.filterwarnings("ignore:(overflow|invalid value):RuntimeWarning")
def test_a_training_that_diverges_gives_no_map():
    tldr = TLDR(2, lr=1e38, **SHORT)
    with pytest.raises(ValueError, match=r"tldr: lr: got 1e\+38"):
        tldr.fit(ROWS)
    with pytest.raises(ValueError, match="before fit"):
        tldr.transform(ROWS)


def test_rows_that_cannot_be_transformed_are_named():
    with pytest.raises(ValueError, match=r"tldr: got rows before fit, expected fit first"):
        TLDR(2).transform(ROWS)
    tldr = TLDR(2, **SHORT).fit(ROWS)
    with pytest.raises(ValueError, match=r"tldr: z: got shape \(300, 5\), expected \(M, 64\)"):
        tldr.transform(ROWS[:, :5])
    with pytest.raises(ValueError, match=r"tldr: z: got NaN or infinity"):
        tldr.transform(np.full((2, 64), np.inf))
