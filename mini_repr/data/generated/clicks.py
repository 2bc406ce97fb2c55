"""A table of clicks whose answers are known to depend on single values, on pairs of them, and on a curve."""

from typing import NamedTuple

import numpy as np

from mini_repr.data.readers.table import table

SIZES = (5, 10, 20, 50, 100, 200, 20, 20)
NOISE_SIZES = (50,) * 4
PAIRS = ((0, 3), (1, 4), (2, 5))
PARITY = (6, 7)
WORLD_SEED = 43


class Clicks(NamedTuple):
    """codes (12, N) int64 of categories; numbers (2, N) float64; clicked (N,) bool."""

    codes: np.ndarray
    numbers: np.ndarray
    clicked: np.ndarray


def clicks(count, rng):
    """Rows of 12 categories and 2 numbers, and whether each was clicked.

    Categories c0 to c7 of 5 to 200 values and n0 to n3 of 50 values (Zipf's law with exponent 0.8); x0 and x1 are
    Gaussian. The logit of a click is

        a weight of each value of c0 ... c7 + 0.6 sum over three pairs of c0 ... c5 of u·v (3 columns for each value)
        + 1.5 sin(3 x0) + 1.2 (-1)^(c6 + c7) - 0.5

    so n0 to n3 and x1 tell nothing, c6 and c7 mostly together, x0 along a curve. The weights are always the same.
    Source: own. For row 043.
    """
    world = np.random.default_rng(WORLD_SEED)
    weights = [0.3 * world.standard_normal(size) for size in SIZES]
    vectors = [world.standard_normal((size, 3)) for size in SIZES]
    codes = np.stack([_zipf(rng, size, count) for size in (*SIZES, *NOISE_SIZES)])
    numbers = rng.standard_normal((2, count))
    logit = 1.5 * np.sin(3 * numbers[0]) - 0.5 + sum(w[c] for w, c in zip(weights, codes, strict=False))
    logit += 0.6 * sum((vectors[i][codes[i]] * vectors[j][codes[j]]).sum(axis=1) for i, j in PAIRS)
    logit += 1.2 * (-1.0) ** codes[list(PARITY)].sum(axis=0)
    return Clicks(codes, numbers, rng.random(count) < 1 / (1 + np.exp(-logit)))


def click_table(count=16000, seed=0, crosses=()):
    """The table of ``clicks``.

    Args:
        count: training rows; a quarter as many to test. seed: of the rows.
        crosses: pairs of categories that make a further one, as typed: ``c6*c7``.
    """
    drawn = clicks(count + max(2, count // 4), np.random.default_rng(seed))
    names = [*(f"c{k}" for k in range(len(SIZES))), *(f"n{k}" for k in range(len(NOISE_SIZES)))]
    columns = [[f"v{code}" for code in column] for column in drawn.codes.tolist()]
    numbers = (["x0", "x1"], drawn.numbers)
    return table("clicks", (names, columns), numbers, drawn.clicked.astype(np.int64), ("no", "yes"), crosses)


def _zipf(rng, size, count):
    shares = np.arange(1, size + 1) ** -0.8
    return rng.choice(size, size=count, p=shares / shares.sum())
