import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax

import mini_repr
from mini_repr.metrics import few_label_probe, linear_probe
from mini_repr.metrics.linear_probe import logistic_regression


def make_split(dtype="float64", train=80, test=50, classes=3, distance=1.5, seed=0):
    generator = np.random.default_rng(seed)
    centres = distance * generator.normal(size=(classes, 5))
    labels = [np.arange(n) % classes * 4 - 2 for n in (train, test)]
    z = [(centres[(y + 2) // 4] + generator.normal(size=(len(y), 5))).astype(dtype) for y in labels]
    return z[0], labels[0], z[1], labels[1]


def loss(flat, features, targets, classes, l2):
    weight, bias = flat[:-classes].reshape(-1, classes), flat[-classes:]
    log_p = log_softmax(features @ weight + bias, axis=1)
    return -log_p[np.arange(len(targets)), targets].sum() + 0.5 * l2 * (weight**2).sum()


@pytest.mark.parametrize("l2", [0.1, 1.0, 30.0])
def test_solution_is_the_optimum(l2):
    z, labels, _, _ = make_split()
    targets = (labels + 2) // 4
    weight, bias = logistic_regression(z, targets, 3, l2)
    flat = np.concatenate([weight.ravel(), bias])
    gradient = [
        (loss(flat + h, z, targets, 3, l2) - loss(flat - h, z, targets, 3, l2)) / 2e-5 for h in 1e-5 * np.eye(len(flat))
    ]
    assert np.abs(gradient).max() < 80 * 2e-5
    brute_force = minimize(loss, np.zeros_like(flat), (z, targets, 3, l2), method="BFGS")  # gradient by differences
    assert loss(flat, z, targets, 3, l2) <= brute_force.fun + 1e-5
    np.testing.assert_allclose(weight, brute_force.x[:-3].reshape(-1, 3), atol=1e-2)


def test_two_rows_have_a_known_optimum():
    """Rows +1 and -1 of two classes: w = (-c, c), and the stationary condition is l2 c = 2 sigmoid(-2c)."""
    weight, bias = logistic_regression(np.array([[-1.0], [1.0]]), np.array([0, 1]), 2, 0.5)
    c = weight[0, 1]
    assert weight[0, 0] == pytest.approx(-c)
    assert 0.5 * c == pytest.approx(2.0 / (1.0 + np.exp(2.0 * c)), abs=1e-4)
    np.testing.assert_allclose(bias, 0.0, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_perfect_separation(dtype):
    split = make_split(dtype, distance=30.0)
    assert linear_probe(*split) == 1.0
    assert few_label_probe(*split, per_class=3) == (1.0, 0.0)


def test_labels_independent_of_rows_are_at_chance():
    split = make_split(distance=0.0, train=600, test=600)
    assert 0.2 < linear_probe(*split) < 0.47


def test_scale_shift_and_order_change_nothing():
    train_z, train_labels, test_z, test_labels = make_split(distance=0.7)
    expected = linear_probe(train_z, train_labels, test_z, test_labels)
    assert expected < 1.0
    generator = np.random.default_rng(2)
    scale, shift = 10.0 ** generator.uniform(-3, 3, size=5), generator.normal(size=5)
    order = generator.permutation(len(train_z))
    moved = (train_z * scale + shift)[order], train_labels[order], test_z * scale + shift, test_labels
    assert linear_probe(*moved) == expected


def test_test_rows_do_not_reach_the_classifier():
    train_z, train_labels, test_z, test_labels = make_split(distance=0.7)
    together = linear_probe(train_z, train_labels, test_z, test_labels)
    alone = [linear_probe(train_z, train_labels, test_z[[i]], test_labels[[i]]) for i in range(len(test_z))]
    assert np.mean(alone) == pytest.approx(together)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_constant_column_is_ignored(dtype):
    train_z, train_labels, test_z, test_labels = make_split(dtype, distance=0.7)
    expected = linear_probe(train_z, train_labels, test_z, test_labels)
    padded = [np.concatenate([z, np.full((len(z), 1), 0.1, dtype)], axis=1) for z in (train_z, test_z)]
    padded[1][:, -1] = 5.0
    assert linear_probe(padded[0], train_labels, padded[1], test_labels) == expected


def test_the_mean_of_a_long_constant_column_is_not_exact():
    train_z, train_labels, test_z, test_labels = (np.tile(x, (50,) + (1,) * (x.ndim - 1)) for x in make_split())
    padded = [np.concatenate([z, np.full((len(z), 1), 0.1)], axis=1) for z in (train_z, test_z)]
    assert padded[0].mean(axis=0)[-1] != 0.1
    padded[1][:, -1] = 5.0
    expected = linear_probe(train_z, train_labels, test_z, test_labels)
    assert linear_probe(padded[0], train_labels, padded[1], test_labels) == expected


def test_collapsed_rows_give_chance():
    labels = np.arange(60) % 3
    z = np.full((60, 5), 0.3)
    assert linear_probe(z, labels, z, labels) == pytest.approx(1 / 3)


def test_draws_are_balanced_and_repeatable():
    split = make_split(distance=0.5)
    result = few_label_probe(*split, per_class=4, draws=6, seed=3)
    assert few_label_probe(*split, per_class=4, draws=6, seed=3) == result
    assert few_label_probe(*split, per_class=4, draws=6, seed=4) != result
    train_z, train_labels, test_z, test_labels = split
    generator = np.random.default_rng(3)
    accuracies = []
    for _ in range(6):
        rows = [generator.choice(np.flatnonzero(train_labels == y), 4, replace=False) for y in (-2, 2, 6)]
        rows = np.concatenate(rows)
        accuracies.append(linear_probe(train_z[rows], train_labels[rows], test_z, test_labels))
    assert result == (np.mean(accuracies), np.std(accuracies))


def test_draw_of_all_rows_is_the_full_probe():
    train_z, train_labels, test_z, test_labels = make_split(train=81, distance=0.7)
    mean, std = few_label_probe(train_z, train_labels, test_z, test_labels, per_class=27, draws=2)
    assert (mean, std) == (linear_probe(train_z, train_labels, test_z, test_labels), 0.0)


def test_digits():
    data = np.load(Path(mini_repr.__file__).parent / "data/embedded/digits.npz", allow_pickle=False)
    z, labels = data["images"].reshape(-1, 64).astype("float32"), data["labels"]
    split = z[:1437], labels[:1437], z[1437:], labels[1437:]
    assert linear_probe(*split) > 0.88
    mean, std = few_label_probe(*split)
    assert 0.75 < mean < 0.92
    assert 0.0 < std < 0.05


@pytest.mark.parametrize("probe", [linear_probe, few_label_probe])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"l2": 0.0}, "l2: got 0, expected a number"),
        ({"train_labels": np.full(80, 4)}, "train_labels: got only 4, expected at least two classes"),
        ({"train_labels": np.zeros(80)}, "train_labels: got dtype float64, expected integers"),
        ({"test_labels": np.zeros(49, int)}, r"test_labels: got shape \(49,\), expected shape \(M=50 as in test_z\)"),
        ({"train_z": np.full((80, 5), np.inf)}, "train_z: got a NaN or an infinity"),
        ({"test_z": np.ones((0, 5))}, r"test_z: got shape \(0, 5\), which is empty"),
        ({"test_z": np.ones((50, 6))}, r"test_z: got shape \(50, 6\), expected shape \(M, D=5 as in train_z\)"),
        ({"test_z": np.ones((50, 5), int)}, "test_z: got dtype int64, expected float32 or float64"),
    ],
)
def test_bad_arguments(probe, change, message):
    arguments = dict(zip(("train_z", "train_labels", "test_z", "test_labels"), make_split(), strict=True))
    with pytest.raises(ValueError, match=f"{probe.__name__}: {message}"):
        probe(**arguments | change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"per_class": 27}, "per_class: got 27, expected at most the 26 training rows of class 6"),
        ({"per_class": 0}, "per_class: got 0, expected a whole number from 1"),
        ({"draws": 0}, "draws: got 0, expected a whole number from 1"),
    ],
)
def test_bad_draws(change, message):
    with pytest.raises(ValueError, match=f"few_label_probe: {message}"):
        few_label_probe(*make_split(), **change)


def test_many_rows_are_in_float64_a_block_at_a_time(monkeypatch):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 3000)
    z = (rng.normal(size=(4, 64))[labels] + 4 * rng.normal(size=(3000, 64))).astype("float32")
    split = z[:2000], labels[:2000], z[2000:], labels[2000:]
    expected, whole = linear_probe(*split), logistic_regression(z.astype("float64"), labels, 4, 1.0)
    monkeypatch.setattr(sys.modules["mini_repr.metrics.linear_probe"], "BLOCK", 300)
    assert 0.5 < expected < 1
    assert linear_probe(*split) == pytest.approx(expected, abs=0.002)  # one row on the border, by rounding
    for found, wanted in zip(logistic_regression(z.astype("float64"), labels, 4, 1.0), whole, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4)
    tracemalloc.start()
    try:
        linear_probe(*split)
        assert tracemalloc.get_traced_memory()[1] < 2 * z[:2000].nbytes  # one copy in float64
    finally:
        tracemalloc.stop()
