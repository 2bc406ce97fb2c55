"""Metrics of many rows: blocks change no number, and memory does not grow with the inputs."""

import tracemalloc

import numpy as np
import pytest

from mini_repr.backend import NumpyBackend
from mini_repr.kernels import singular_values, tiles
from mini_repr.metrics import (
    auc,
    effective_rank,
    isotropy,
    knn_accuracy,
    mean_reciprocal_rank,
    neighbour_overlap,
    rankme,
    recall_at_k,
    tolerance,
    uniformity,
)
from mini_repr.metrics.energy_distance import energy_distance

RNG = np.random.default_rng(0)
ROWS = RNG.standard_normal((2048, 128), dtype=np.float32)
NOISY = ROWS + RNG.standard_normal(ROWS.shape, dtype=np.float32)
LABELS = RNG.integers(0, 10, len(ROWS))
METRICS = {
    "knn_accuracy": lambda a, b, y: knn_accuracy(a, y, b, y, k=5),
    "knn_accuracy of a few": lambda a, b, y: knn_accuracy(a, y, b[:256], y[:256], k=5),
    "recall_at_k": lambda a, b, y: recall_at_k(a, b, k=3),
    "mean_reciprocal_rank": lambda a, b, y: mean_reciprocal_rank(a, b),
    "auc": lambda a, b, y: auc(a, b),
    "neighbour_overlap": lambda a, b, y: neighbour_overlap(a, b, k=5),
    "neighbour_overlap by distance": lambda a, b, y: neighbour_overlap(a, b, k=5, normalize=False),
}
SUMMED = {
    "effective_rank": lambda a, b, y: effective_rank(a),
    "rankme": lambda a, b, y: rankme(a),
    "isotropy": lambda a, b, y: isotropy(a, share=0.5),
    "tolerance": lambda a, b, y: tolerance(a, y),
}
COPYING = {
    "uniformity": lambda a, b, y: uniformity(a),
    "energy_distance": lambda a, b, y: energy_distance(a, b),
}


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(tiles, "COLUMNS", 128)
    monkeypatch.setattr(singular_values, "BLOCK", 128)
    monkeypatch.setattr(NumpyBackend, "tile_bytes", 2**15)


def peak(metric, rows):
    """Bytes that a metric of the first ``rows`` rows took at most beside them."""
    inputs = [x[:rows].copy() for x in (ROWS, NOISY, LABELS)]
    metric(*(x[:300] for x in inputs))  # what a first call loads
    tracemalloc.start()
    try:
        metric(*inputs)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", METRICS | SUMMED)
def test_memory_is_flat_in_the_number_of_rows(name, small_blocks):
    few, many = (peak((METRICS | SUMMED)[name], rows) for rows in (512, 2048))
    assert many < 1.5 * few  # threads: not to the byte
    assert many < ROWS.nbytes


@pytest.mark.parametrize("name", METRICS | SUMMED | COPYING)
def test_blocks_change_nothing(name, request):
    metric, inputs = (METRICS | SUMMED | COPYING)[name], (ROWS[:700], NOISY[:700], LABELS[:700])
    expected = metric(*inputs)
    request.getfixturevalue("small_blocks")
    assert metric(*inputs) == pytest.approx(expected, rel=1e-14 if name in METRICS else 1e-5)
