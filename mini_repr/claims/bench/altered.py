"""Data sets made harder for a claim: mislabelled, few, or unequally many training rows. The test part stays."""

from dataclasses import replace

import numpy as np


def mislabelled(data, share, rng):
    """A random ``share`` of the training rows get another class, all wrong ones alike."""
    labels = data.train.labels.copy()
    wrong = rng.choice(len(labels), round(share * len(labels)), replace=False)
    labels[wrong] += rng.integers(1, len(data.train.label_names), len(wrong))
    labels %= len(data.train.label_names)
    return replace(data, train=replace(data.train, labels=labels))


def at_most(data, counts, rng):
    """At most ``counts[k]`` random training rows of class k."""
    kept = [rng.permutation(np.flatnonzero(data.train.labels == k))[:count] for k, count in enumerate(counts)]
    return replace(data, train=data.train.take(np.sort(np.concatenate(kept))))


def classes_of(part, classes):
    """The rows of some classes."""
    return part.take(np.isin(part.labels, classes))
