"""Data sets altered for a claim: mislabelled, few, or unequally many training rows, or a part of them held out."""

from dataclasses import replace

import numpy as np


def held_out(data):
    """For choosing settings: every fifth training row is the test part, the others are the training part."""
    index = np.arange(len(data.train))
    return replace(data, train=data.train.take(index % 5 != 4), test=data.train.take(index % 5 == 4))


def mislabelled(data, share, rng):
    """A random ``share`` of the training rows get another class, all wrong ones alike. The test part stays."""
    labels = data.train.labels.copy()
    wrong = rng.choice(len(labels), round(share * len(labels)), replace=False)
    labels[wrong] += rng.integers(1, len(data.train.label_names), len(wrong))
    labels %= len(data.train.label_names)
    return replace(data, train=replace(data.train, labels=labels))


def at_most(data, counts, rng):
    """At most ``counts[k]`` random training rows of class k. The test part stays."""
    kept = [rng.permutation(np.flatnonzero(data.train.labels == k))[:count] for k, count in enumerate(counts)]
    return replace(data, train=data.train.take(np.sort(np.concatenate(kept))))


def classes_of(part, classes):
    """The rows of some classes."""
    return part.take(np.isin(part.labels, classes))
