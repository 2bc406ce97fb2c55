"""Which rows make up each batch: shuffled, class-balanced or bound to some rows, and resumable to the very batch.

The order of epoch e is a pure function of (settings, seed, e). A position is one number, the batches given so far, so a
checkpoint stores that number and nothing of the random generator.
"""

import zlib

import numpy as np


class _Epochs:
    """Endless batches, epoch after epoch, with a position. Subclasses give ``epoch_batches(epoch)``."""

    def __init__(self, batch_size, per_epoch, settings):
        self.batch_size = batch_size
        self.per_epoch = per_epoch
        self.step = 0  # batches given so far
        self._settings = settings
        self._current = (None, None)

    @property
    def epoch(self):
        """The epoch of the next batch, from 0."""
        return self.step // self.per_epoch

    def __iter__(self):
        return self

    def __next__(self):
        epoch, place = divmod(self.step, self.per_epoch)
        if self._current[0] != epoch:
            self._current = (epoch, self.epoch_batches(epoch))
        self.step += 1
        return self._current[1][place]

    def state(self):
        """The position and the settings it belongs to, as plain values for a checkpoint."""
        return {"step": self.step, **self._settings}

    def restore(self, state):
        """Go on after the batch at which ``state()`` was taken.

        Raises:
            ValueError: the state belongs to other settings or other data, or is no state.
        """
        name = type(self).__name__
        if not isinstance(state, dict) or state.keys() != self.state().keys():
            raise ValueError(f"{name}: state {state!r:.80}, expected a dict of {', '.join(self.state())}")
        for key, value in self._settings.items():
            if state[key] != value:
                raise ValueError(f"{name}: state has {key} {state[key]!r}, expected {value!r}")
        self.step = _whole(name, "step", state["step"], 0)


class Batches(_Epochs):
    """Endless shuffled batches of row indexes; every row comes once an epoch.

    Iterating gives int64 arrays (batch_size,), epoch after epoch.

    Args:
        count: number of rows.
        batch_size: rows per batch.
        seed: non-negative int.
        drop_last: leave out the rows that do not fill a last batch (others each epoch). If False that batch is smaller.
    Raises:
        ValueError: sizes that are not positive ints, a negative seed, a batch larger than the data.
    """

    def __init__(self, count, batch_size, seed=0, drop_last=True):
        count = _whole("Batches", "count", count, 1)
        batch_size = _whole("Batches", "batch_size", batch_size, 1)
        seed = _whole("Batches", "seed", seed, 0)
        if batch_size > count:
            raise ValueError(f"Batches: batch_size is {batch_size}, expected at most the {count} rows of the data")
        per_epoch = count // batch_size if drop_last else -(-count // batch_size)
        settings = {"count": count, "batch_size": batch_size, "seed": seed, "drop_last": bool(drop_last)}
        super().__init__(batch_size, per_epoch, settings)

    def epoch_batches(self, epoch):
        """All batches of one epoch, a list of int64 arrays."""
        order = np.random.default_rng([self._settings["seed"], epoch]).permutation(self._settings["count"])
        return [order[k * self.batch_size : (k + 1) * self.batch_size] for k in range(self.per_epoch)]


class BalancedBatches(_Epochs):
    """Endless batches of ``classes`` x ``samples`` rows in which every row has ``samples`` - 1 positives.

    In an epoch each class's shuffled rows are dealt out in groups of ``samples``, no row twice; each batch takes one
    group of the classes that have the most left, ties by lot. The epoch ends when fewer than ``classes`` have a group
    left: where classes differ much in size, some rows of the large ones wait for another epoch. The rows of a batch
    stand class by class.

    Args:
        labels: (N,) integer class of every row (host array).
        classes, samples: classes per batch and rows per class, at least 2 each.
        seed: non-negative int.
    Raises:
        ValueError: bad sizes, fewer classes than asked for, a class with fewer rows than ``samples``.
    """

    def __init__(self, labels, classes, samples, seed=0):
        name = "BalancedBatches"
        labels = _labels(name, labels)
        classes = _whole(name, "classes", classes, 2)
        samples = _whole(name, "samples", samples, 2)
        seed = _whole(name, "seed", seed, 0)
        values, counts = np.unique(labels, return_counts=True)
        if classes > len(values):
            raise ValueError(f"{name}: classes is {classes}, expected at most the {len(values)} classes of the labels")
        if counts.min() < samples:
            few = f"class {values[counts.argmin()]} has {counts.min()} rows"
            raise ValueError(f"{name}: {few}, expected at least samples={samples} in every class")
        self._rows = [np.flatnonzero(labels == value) for value in values]
        self._groups = counts // samples
        settings = {
            "count": len(labels),
            "classes": classes,
            "samples": samples,
            "seed": seed,
            "labels": _fingerprint(labels),
        }
        super().__init__(classes * samples, 0, settings)
        # How many groups are left in how many classes does not depend on the lots: neither does an epoch's length.
        self.per_epoch = len(self.epoch_batches(0))

    def epoch_batches(self, epoch):
        """All batches of one epoch, a list of int64 arrays (classes * samples,)."""
        classes, samples = self._settings["classes"], self._settings["samples"]
        rng = np.random.default_rng([self._settings["seed"], epoch])
        shuffled = [rng.permutation(rows) for rows in self._rows]
        left = self._groups.copy()
        batches = []
        while np.count_nonzero(left) >= classes:
            chosen = np.lexsort((rng.random(len(left)), -left))[:classes]
            left[chosen] -= 1
            groups = [shuffled[c][left[c] * samples : (left[c] + 1) * samples] for c in chosen]
            batches.append(np.concatenate(groups))
        return batches


class TaskBatches(_Epochs):
    """Endless batches that hold rows of one task each; the batches of all tasks come in random order.

    In an epoch each task's shuffled rows are cut into batches. Rows that do not fill one are left out, others each
    epoch.

    Source: Zhang et al. 2025, arXiv 2508.11442 (CoDiEmb), whose code's sampler cuts and mixes data sets so.

    Args:
        tasks: (N,) integer task of every row (host array). batch_size: rows per batch. seed: non-negative int.
    Raises:
        ValueError: bad sizes, or a task with fewer rows than a batch.
    """

    def __init__(self, tasks, batch_size, seed=0):
        name = "TaskBatches"
        tasks = _labels(name, tasks)
        batch_size = _whole(name, "batch_size", batch_size, 1)
        seed = _whole(name, "seed", seed, 0)
        self._rows = [np.flatnonzero(tasks == task) for task in np.unique(tasks)]
        fewest = min(map(len, self._rows))
        if fewest < batch_size:
            raise ValueError(f"{name}: batch_size is {batch_size}, expected at most {fewest}, the rows of a task")
        settings = {"count": len(tasks), "batch_size": batch_size, "seed": seed, "tasks": _fingerprint(tasks)}
        super().__init__(batch_size, sum(len(rows) // batch_size for rows in self._rows), settings)

    def epoch_batches(self, epoch):
        """All batches of one epoch, a list of int64 arrays (batch_size,)."""
        rng = np.random.default_rng([self._settings["seed"], epoch])
        batches = []
        for rows in self._rows:
            order, size = rng.permutation(rows), self.batch_size
            batches += [order[k * size : (k + 1) * size] for k in range(len(rows) // size)]
        return [batches[k] for k in rng.permutation(len(batches))]


class BoundBatches(_Epochs):
    """Endless shuffled batches that all end with the same rows, one per class: batch-binding.

    The bound rows are drawn once, by the seed. Every other row comes once an epoch, as in ``Batches``. So each batch
    holds each class, and the batches of an epoch share rows that tie their geometry together.

    Source: Kini et al. 2023, arXiv 2306.07960, section 5.2.

    Args:
        labels: (N,) integer class of every row (host array).
        batch_size: rows per batch, the bound ones included: at least one more than the classes.
        seed: non-negative int.
        drop_last: leave out the rows that do not fill a last batch (others each epoch). If False that batch is smaller.
    Raises:
        ValueError: bad sizes, a batch too small for one row per class and another, or larger than the data.
    """

    def __init__(self, labels, batch_size, seed=0, drop_last=True):
        name = "BoundBatches"
        labels = _labels(name, labels)
        batch_size = _whole(name, "batch_size", batch_size, 1)
        seed = _whole(name, "seed", seed, 0)
        values = np.unique(labels)
        if not len(values) < batch_size <= len(labels):
            expected = f"{len(values) + 1} (one more than the classes) to {len(labels)} (the rows of the data)"
            raise ValueError(f"{name}: batch_size is {batch_size}, expected {expected}")
        rng = np.random.default_rng(seed)
        self.bound = np.array([rng.choice(np.flatnonzero(labels == value)) for value in values])
        self._others = np.delete(np.arange(len(labels)), self.bound)
        self._step = batch_size - len(values)  # other rows per batch
        per_epoch = len(self._others) // self._step if drop_last else -(-len(self._others) // self._step)
        settings = {
            "count": len(labels),
            "batch_size": batch_size,
            "seed": seed,
            "drop_last": bool(drop_last),
            "labels": _fingerprint(labels),
        }
        super().__init__(batch_size, per_epoch, settings)

    def epoch_batches(self, epoch):
        """All batches of one epoch, a list of int64 arrays; the bound rows stand last."""
        order = np.random.default_rng([self._settings["seed"], epoch]).permutation(self._others)
        parts = (order[k * self._step : (k + 1) * self._step] for k in range(self.per_epoch))
        return [np.concatenate([part, self.bound]) for part in parts]


def _labels(owner, labels):
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not labels.size:
        raise ValueError(f"{owner}: labels are {labels.dtype} of shape {labels.shape}, expected integers (N,)")
    return labels


def _fingerprint(labels):
    """Other labels give other batches: a resumed run must notice."""
    return zlib.crc32(labels.astype("<i8").tobytes())


def _whole(owner, name, value, least):
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{owner}: {name} is {value!r}, expected an int of at least {least}")
    return int(value)
