"""Inputs and sizes that all sides of a row share."""

import numpy as np

ROWS, WIDTH = 4096, 128  # of a loss's inputs
LARGE_ROWS = 16384
LABELS = np.arange(ROWS) % 64
NESTED = (16, 32, 64, 128)
# The losses whose rows have the size above, and their settings.
LOSSES = {
    "infonce": {"temperature": 0.1},
    "nt_xent": {"temperature": 0.1, "negatives": "views"},
    "supcon": {},
    "siglip": {},
    "barlow_twins": {},
    "vicreg": {},
    "align_uniform": {},
    "wmse": {},
    "circle": {},
}
PAGE = {"nt_xent": "infonce"}  # of a loss that is a variant of another page
# Those that are measured again with more rows than whose matrices one would store.
TILED = ("supcon", "siglip", "circle")

HIDDEN = 37  # of 49 patches, three quarters
TEXTS, WORDS, VOCABULARY, CHOSEN = 64, 64, 8192, 10  # of a text's words as many are hidden as in BERT
CAPTION = 16  # words
RHO = 0.05  # of SAM


def images():
    """(512, 1, 28, 28)."""
    return np.random.default_rng(0).random((512, 1, 28, 28), dtype=np.float32)


def captions():
    """Numbers of words (256, CAPTION)."""
    return np.random.default_rng(1).integers(VOCABULARY, size=(256, CAPTION))


def rows(count=ROWS, width=WIDTH):
    """Two sets of rows, (2, count, width)."""
    return np.random.default_rng(0).standard_normal((2, count, width), dtype=np.float32)


def large_rows():
    """As ``rows`` of LARGE_ROWS, and a label for each."""
    return *rows(LARGE_ROWS), np.arange(LARGE_ROWS) % 64


def labelled_rows(train=10_000, test=5_000, width=WIDTH):
    """(rows, labels, test rows, test labels) of ten classes that overlap, as a run's table takes them."""
    rng = np.random.default_rng(0)
    labels = rng.integers(10, size=train + test)
    means = rng.standard_normal((10, width), dtype=np.float32)
    z = 0.4 * means[labels] + rng.standard_normal((train + test, width), dtype=np.float32)
    return z[:train], labels[:train], z[train:], labels[train:]
