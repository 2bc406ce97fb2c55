"""Accuracy of the k nearest training rows as a classifier: what a representation knows without any training on it."""

from mini_repr.backend import backend_of
from mini_repr.metrics.rows import checked_labels, row_tiles, unit_rows


def knn_accuracy(train_z, train_labels, test_z, test_labels, k=20, temperature=0.07):
    """Share of test rows whose class wins the vote of their k nearest training rows by cosine similarity s.

    A neighbour's vote weighs exp(s / temperature), or 1 with ``temperature=None``. Equal votes go to the smallest
    label. Which of several equally similar rows takes the k-th place is left to the array library. A test label that no
    training row has is never predicted. Similarities stand one tile of test rows at a time: O(tile * N) memory.

    Source: Wu, Xiong, Yu & Lin 2018, arXiv 1805.01978, section 3.4 (there k = 200, temperature 0.07).

    Args:
        train_z: (N, D), labels (N,). test_z: (M, D), labels (M,).
        k: 1 to N.
        temperature: above 0, or None for a plain majority.
    Returns:
        float in [0, 1].
    Raises:
        ValueError: shapes, label types, empty sets, values that are not finite, zero rows, or k or temperature out of
            range.
    """
    xp = backend_of(train_z).xp
    train, test = unit_rows("knn_accuracy", "train_z", train_z), unit_rows("knn_accuracy", "test_z", test_z)
    checked_labels("knn_accuracy", "train_labels", train_labels, train)
    checked_labels("knn_accuracy", "test_labels", test_labels, test)
    rows = train.shape[0]
    if train.shape[1] != test.shape[1]:
        raise ValueError(f"knn_accuracy: train_z has {train.shape[1]} dimensions, test_z has {test.shape[1]}")
    if not 1 <= k <= rows:
        raise ValueError(f"knn_accuracy: k must lie in [1, {rows} training rows], got {k}")
    if temperature is not None and not temperature > 0.0:
        raise ValueError(f"knn_accuracy: temperature must be above 0 or None, got {temperature}")

    classes, train_class = xp.unique(train_labels, return_inverse=True)
    correct = 0
    for tile in row_tiles(test.shape[0], rows, train.itemsize):
        similarity = test[tile] @ train.T
        nearest = xp.argpartition(similarity, rows - k, axis=1)[:, rows - k :]
        if temperature is None:
            weights = xp.ones(nearest.shape, dtype=train.dtype)
        else:
            weights = xp.take_along_axis(similarity, nearest, axis=1)
            weights -= weights.max(axis=1, keepdims=True)  # a factor for the whole row: the vote is unchanged
            weights /= temperature
            xp.exp(weights, out=weights)
        votes = xp.zeros((nearest.shape[0], classes.shape[0]), dtype=train.dtype)
        row = xp.arange(nearest.shape[0])[:, None]
        backend_of(votes).scatter_add(votes, (row, train_class[nearest]), weights)
        correct += int((classes[votes.argmax(axis=1)] == test_labels[tile]).sum())
    return correct / test.shape[0]
