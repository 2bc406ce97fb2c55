import math

import numpy as np
import pytest

from mini_repr.metrics import knn_accuracy, rows


def make_split(dtype="float64", train=60, test=25, classes=4, seed=0):
    generator = np.random.default_rng(seed)
    centres = 1.5 * generator.normal(size=(classes, 6))
    labels = [generator.integers(0, classes, size=n) * 10 - 5 for n in (train, test)]
    z = [(centres[(y + 5) // 10] + generator.normal(size=(len(y), 6))).astype(dtype) for y in labels]
    return z[0], labels[0], z[1], labels[1]


def naive_knn(train_z, train_labels, test_z, test_labels, k, temperature):
    correct = 0
    for x, y in zip(test_z, test_labels, strict=True):
        similarity = [float(x @ t / np.linalg.norm(x) / np.linalg.norm(t)) for t in train_z]
        votes = dict.fromkeys(sorted(set(train_labels.tolist())), 0.0)
        for i in sorted(range(len(train_z)), key=lambda i: -similarity[i])[:k]:
            votes[train_labels[i]] += 1.0 if temperature is None else math.exp(similarity[i] / temperature)
        correct += max(votes, key=votes.get) == y  # the first of equal votes: the smallest label
    return correct / len(test_z)


@pytest.mark.parametrize("k", [1, 4, 7, 60])
@pytest.mark.parametrize("temperature", [None, 0.07, 1.0])
def test_follows_the_naive_vote(k, temperature):
    split = make_split()
    expected = naive_knn(*split, k, temperature)
    assert 0.0 < expected < 1.0
    assert knn_accuracy(*split, k=k, temperature=temperature) == expected


def test_tiles_change_nothing(monkeypatch):
    split = make_split()
    expected = knn_accuracy(*split, k=5)
    monkeypatch.setattr(rows, "TILE_BYTES", 60 * 8 * 4)
    assert knn_accuracy(*split, k=5) == expected


def test_equal_votes_go_to_the_smallest_label():
    train = np.array([[1.0, 0.1], [1.0, -0.1]])
    assert knn_accuracy(train, np.array([7, 3]), np.array([[1.0, 0.0]]), np.array([3]), k=2, temperature=None) == 1.0


def test_nearest_of_itself_is_itself():
    z, labels, _, _ = make_split("float32")
    assert knn_accuracy(z, labels, z, labels, k=1) == 1.0


def test_very_small_temperature_is_the_nearest_neighbour():
    split = make_split("float32")
    assert knn_accuracy(*split, k=9, temperature=1e-6) == knn_accuracy(*split, k=1)


def test_scale_rotation_and_order_change_nothing():
    train_z, train_labels, test_z, test_labels = make_split()
    expected = knn_accuracy(train_z, train_labels, test_z, test_labels, k=7)
    generator = np.random.default_rng(1)
    rotation = np.linalg.qr(generator.normal(size=(6, 6)))[0]
    order = generator.permutation(len(train_z))
    scale = generator.uniform(0.1, 10.0, size=(len(train_z), 1))
    turned = (scale * train_z @ rotation)[order], train_labels[order], 1e3 * test_z @ rotation, test_labels
    assert knn_accuracy(*turned, k=7) == expected


def test_label_without_training_rows_is_never_predicted():
    z = np.eye(3)
    assert knn_accuracy(z, np.array([0, 1, 2]), z, np.array([0, 1, 9]), k=1) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 0}, r"k must lie in \[1, 60 training rows\], got 0"),
        ({"k": 61}, "k must lie in .* got 61"),
        ({"temperature": 0.0}, "temperature must be above 0 or None, got 0.0"),
        ({"train_z": np.ones((60, 6), int)}, r"train_z must be float32 or float64 rows .* got int64 \(60, 6\)"),
        ({"train_z": np.ones(60)}, r"train_z must be .* got float64 \(60,\)"),
        ({"train_z": [[1.0]]}, "train_z must be .* got list"),
        ({"test_z": np.ones((0, 6))}, "test_z is empty"),
        ({"test_z": np.full((25, 6), np.nan)}, "test_z has values that are not finite"),
        ({"test_z": np.zeros((25, 6))}, "test_z has a zero row"),
        ({"test_z": np.ones((25, 5))}, "train_z has 6 dimensions, test_z has 5"),
        ({"train_labels": np.ones(59, int)}, r"train_labels must be 60 integer labels, one a row, got int64 \(59,\)"),
        ({"test_labels": np.ones(25)}, "test_labels must be 25 integer labels.* got float64"),
    ],
)
def test_bad_arguments(change, message):
    arguments = dict(zip(("train_z", "train_labels", "test_z", "test_labels"), make_split(), strict=True))
    with pytest.raises(ValueError, match=f"knn_accuracy: {message}"):
        knn_accuracy(**arguments | change)
