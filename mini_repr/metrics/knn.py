"""Accuracy of the k nearest training rows as a classifier: what a representation knows without any training on it."""

import math

from mini_repr.backend import backend_of
from mini_repr.kernels.nearest import most_similar
from mini_repr.kernels.tiles import column_blocks, row_tiles
from mini_repr.pages.arguments import Count, Labels, Optional, Positive, Rows
from mini_repr.pages.declare import metric
from mini_repr.pages.page import definition


@metric(aliases=("knn",), sizes={"N": 24, "M": 9})
def knn_accuracy(
    train_z: Rows("N D", no_zero_row=True),
    train_labels: Labels("N"),
    test_z: Rows("M D", no_zero_row=True),
    test_labels: Labels("M"),
    k: Count() = 20,
    temperature: Optional(Positive) = 0.07,
):
    """Accuracy of the vote of the k nearest training rows.

    The share of test rows whose class wins the vote of their k nearest training rows by cosine similarity s. A
    neighbour's vote weighs exp(s / temperature), or 1 with ``temperature=None``. Equal votes go to the smallest label,
    and of equally similar rows the one of the smallest number takes the k-th place. A test label that no training row
    has is never predicted. Rows on both sides are taken a block at a time: no memory of the size of the inputs.

    Source: Wu, Xiong, Yu & Lin 2018, arXiv 1805.01978, section 3.4 (there k = 200, temperature 0.07).

    Args:
        k: 1 to N.
    Returns:
        float in [0, 1].
    """
    xp = backend_of(train_z).xp
    if k > len(train_z):
        raise ValueError(f"knn_accuracy: k: got {k}, expected 1 to {len(train_z)}, the training rows")
    classes = xp.unique(train_labels)
    correct = 0
    for block in column_blocks(test_z):
        test, labels = test_z[block], test_labels[block]
        similar, nearest = most_similar(test, train_z, k, skip_diagonal=False, normalize=True)
        # Divided by the largest of each row, which leaves its vote unchanged.
        weights = xp.ones_like(similar) if temperature is None else xp.exp((similar - similar[:, :1]) / temperature)
        for rows in row_tiles(test, len(classes)):
            votes = xp.zeros((rows.stop - rows.start, len(classes)), dtype=weights.dtype)
            voters = (xp.arange(len(votes))[:, None], xp.searchsorted(classes, train_labels[nearest[rows]]))
            backend_of(votes).scatter_add(votes, voters, weights[rows])
            correct += int((classes[votes.argmax(axis=1)] == labels[rows]).sum())
    return correct / len(test_z)


@definition(knn_accuracy)
def knn_accuracy_definition(train_z, train_labels, test_z, test_labels, k, temperature):
    norm = backend_of(train_z).xp.linalg.norm
    correct = 0
    for x, label in zip(test_z, test_labels, strict=True):
        similarity = [float(x @ y / norm(x) / norm(y)) for y in train_z]
        votes = dict.fromkeys(sorted(map(int, train_labels)), 0.0)
        for i in sorted(range(len(train_z)), key=lambda i: -similarity[i])[:k]:
            votes[int(train_labels[i])] += 1.0 if temperature is None else math.exp(similarity[i] / temperature)
        correct += max(votes, key=votes.get) == int(label)  # the first of equal votes: the smallest label
    return correct / len(test_z)
