import numpy as np
import pytest

from mini_repr.backend import NumpyBackend
from mini_repr.metrics import knn_accuracy


def make_split(dtype="float64", train=60, test=25, classes=4, seed=0):
    generator = np.random.default_rng(seed)
    centres = 1.5 * generator.normal(size=(classes, 6))
    labels = [generator.integers(0, classes, size=n) * 10 - 5 for n in (train, test)]
    z = [(centres[(y + 5) // 10] + generator.normal(size=(len(y), 6))).astype(dtype) for y in labels]
    return z[0], labels[0], z[1], labels[1]


@pytest.mark.parametrize("k", [1, 4, 7, 60])
@pytest.mark.parametrize("temperature", [None, 0.07, 1.0])
def test_follows_the_naive_vote(k, temperature):
    split = make_split()
    expected = knn_accuracy.definition(*split, k=k, temperature=temperature)
    assert 0.0 < expected < 1.0
    assert knn_accuracy(*split, k=k, temperature=temperature) == expected


def test_tiles_change_nothing(monkeypatch):
    split = make_split()
    expected = knn_accuracy(*split, k=5)
    monkeypatch.setattr(NumpyBackend, "tile_bytes", 1)
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
        ({"k": 0}, "k: got 0, expected a whole number from 1"),
        ({"k": 61}, "k: got 61, expected 1 to 60, the training rows"),
        ({"temperature": 0.0}, "temperature: got 0, expected a number"),
        ({"train_z": np.ones((60, 6), int)}, "train_z: got dtype int64, expected float32 or float64"),
        ({"train_z": np.ones(60)}, r"train_z: got shape \(60,\), expected an array of shape \(N, D\)"),
        ({"train_z": [[1.0]]}, "train_z: got list, expected an array"),
        ({"test_z": np.ones((0, 6))}, r"test_z: got shape \(0, 6\), which is empty"),
        ({"test_z": np.full((25, 6), np.nan)}, "test_z: got a NaN"),
        ({"test_z": np.zeros((25, 6))}, "test_z: got a row of zeros"),
        ({"test_z": np.ones((25, 5))}, r"test_z: got shape \(25, 5\), expected shape \(M, D=6 as in train_z\)"),
        ({"train_labels": np.ones(59, int)}, r"train_labels: got shape \(59,\), expected shape \(N=60 as in train_z\)"),
        ({"test_labels": np.ones(25)}, "test_labels: got dtype float64, expected integers"),
    ],
)
def test_bad_arguments(change, message):
    arguments = dict(zip(("train_z", "train_labels", "test_z", "test_labels"), make_split(), strict=True))
    with pytest.raises(ValueError, match=f"knn_accuracy: {message}"):
        knn_accuracy(**arguments | change)
