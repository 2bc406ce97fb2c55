"""State some losses need between steps: queues, averages, temperatures.

A page names such state as an argument. A ``LossState`` supplies the arrays before the loss is computed, and is updated
by the rows that were compared. All of it is buffers, so that a run that is resumed goes on with the same bits.
"""

import math
from functools import reduce

import numpy as np

from mini_repr.autograd import unit_rows
from mini_repr.backend import backend_of
from mini_repr.data import CaptionedSet, PairSet, TextSet
from mini_repr.kernels.log_sum_exp import similarity_logsumexp
from mini_repr.kernels.whitening import centred
from mini_repr.losses.pairs.corinfomax import moved_statistics
from mini_repr.losses.pairs.isogclr import anchor_estimates
from mini_repr.nn import Module, word_counts
from mini_repr.pages.rows import rows_of

NOISE_ROWS = 128


def states_for(objective, data, dimensions, rng):
    """All the state that the page of an objective's main loss names.

    Args:
        data: the run's data set. dimensions: columns of the rows that are compared.
    """
    loss = objective.loss
    settings = {parameter.name: parameter.default for parameter in loss.settings} | objective.settings
    named = {parameter.name for parameter in loss.arrays}
    return [state(settings, data, dimensions, rng) for state in STATES if named & set(state.gives)]


def queues_and_states(method, queue_size, dimensions, parts):
    """All the state that a method's loss asks for: first its queues, each of ``queue_size`` rows, then the rest."""
    loss = method.objective.loss
    names = [name for name in ("queue", "query_queue") if method.takes_queue and name in loss.parameters]
    queues = [Queue(name, queue_size, dimensions, parts.rng) for name in names]
    return [*queues, *states_for(method.objective, parts.data, dimensions, parts.rng)]


def fixed_rows(part):
    """Rows of both sides of a part's pairs by models that never change: pixels for images, counts of words for texts.

    Returns:
        two host arrays (N, E); both views of an image or of a single text have its own.
    """
    if isinstance(part, TextSet):
        return (word_counts(part.texts),) * 2
    if isinstance(part, PairSet):
        return word_counts(part.a), word_counts(part.b)
    images = part.images.reshape(len(part), -1)
    return (images, word_counts(part.texts)) if isinstance(part, CaptionedSet) else (images, images)


class LossState(Module):
    """Base of the states. ``gives``: names of the arguments it supplies."""

    gives = ()
    ranks = 1

    def add_up(self, own):
        """The sum over ranks of an array of sums over the own rows."""
        return own

    def share(self, world):
        """From now on the rows that come are the own ones of each rank of a world."""
        self.ranks, self.add_up = world.size, world.sum

    def arrays(self, a, b, batch):
        """{argument: array} for a batch whose plain rows are a and b (B, D)."""
        raise NotImplementedError

    def update(self, a, b, batch):
        """Move by the rows a and b, after the loss was computed on them."""


class Covariance(LossState):
    """TiCo's moving covariance of the rows a, from 0."""

    gives = ("covariance",)

    def __init__(self, settings, data, dimensions, rng):
        self.rule = {name: settings[name] for name in ("decay", "centre")}
        self.register_buffer("covariance", np.zeros((dimensions, dimensions), dtype=np.float32))

    def arrays(self, a, b, batch):
        return {"covariance": self.covariance.copy()}

    def update(self, a, b, batch):
        self.covariance[...] = updated_covariance(self.covariance, a, **self.rule, ranks=self.ranks, add_up=self.add_up)


class MovingStatistics(LossState):
    """CorInfoMax's moving means, from 0, and covariances, from I, of the rows a and b."""

    gives = ("covariance_a", "covariance_b", "mean_a", "mean_b")

    def __init__(self, settings, data, dimensions, rng):
        self.rule = {name: settings[name] for name in ("decay", "mean_decay", "normalize")}
        for side in "ab":
            self.register_buffer(f"covariance_{side}", np.eye(dimensions, dtype=np.float32))
            self.register_buffer(f"mean_{side}", np.zeros(dimensions, dtype=np.float32))

    def arrays(self, a, b, batch):
        return {name: getattr(self, name).copy() for name in self.gives}

    def update(self, a, b, batch):
        for side, rows in (("a", a), ("b", b)):
            mean, covariance = getattr(self, f"mean_{side}"), getattr(self, f"covariance_{side}")
            mean[...], covariance[...] = updated_statistics(
                rows, covariance, mean, **self.rule, ranks=self.ranks, add_up=self.add_up
            )


class SampleTemperatures(LossState):
    """iSogCLR's temperature and moving estimate of every training row."""

    gives = ("temperatures", "estimates")

    def __init__(self, settings, data, dimensions, rng):
        rule = ("estimate_rate", "radius", "estimate_of", "negatives", "symmetric")
        self.rule = {name: settings[name] for name in rule}
        for name, start in (("temperatures", settings["temperature"]), ("estimates", -np.inf), ("momenta", 0.0)):
            self.register_buffer(name, np.full(len(data.train), start, dtype=np.float32))

    def arrays(self, a, b, batch):
        return {"temperatures": self.temperatures[batch.index], "estimates": self.estimates[batch.index]}

    def update(self, a, b, batch):
        state = (self.temperatures, self.estimates, self.momenta)
        moved = updated_state(a, b, *(array[batch.index] for array in state), **self.rule)
        for array, new in zip(state, moved, strict=True):
            array[batch.index] = new


class Teacher(LossState):
    """The rows of a fixed model, to distil."""

    gives = ("teacher_a", "teacher_b")

    def __init__(self, settings, data, dimensions, rng):
        self._rows = fixed_rows(data.train)

    def arrays(self, a, b, batch):
        return dict(zip(self.gives, self._of(a, batch), strict=True))

    def _of(self, a, batch):
        index = backend_of(batch.index).to_numpy(batch.index)
        return [backend_of(a).asarray(rows[index], dtype=a.dtype) for rows in self._rows]


class PairWeights(Teacher):
    """DCLR's weights of pairs: 0 where a fixed, complementary model takes two rows for the same."""

    gives = ("weights",)

    def arrays(self, a, b, batch):
        return {"weights": instance_weights(*self._of(a, batch))}


def next_generator(draws):
    """A host generator from a buffer (2,) that holds a seed and how many were made of it; counts this one."""
    seed, count = backend_of(draws).to_numpy(draws)
    draws[1] += 1
    return np.random.default_rng([int(seed), int(count)])


class Drawn(LossState):
    """Base of the states that draw anew at each step, the same on every rank."""

    def __init__(self, settings, data, dimensions, rng):
        self.dimensions = dimensions
        self.settings = settings
        self.register_buffer("draws", np.array([rng.integers(2**31), 0]))

    def _generator(self):
        return next_generator(self.draws)


class Noise(Drawn):
    """DCLR's negatives: Gaussian noise, moved towards the rows of the batch."""

    gives = ("noise",)

    def arrays(self, a, b, batch):
        noise = self._generator().standard_normal((NOISE_ROWS, self.dimensions))
        noise = backend_of(a).asarray(noise, dtype=a.dtype)
        return {"noise": refine_noise(noise, a, b, self.settings["temperature"])}


class Order(Drawn):
    """W-MSE's random permutation of the batch, which makes its sub-batches."""

    gives = ("order",)

    def arrays(self, a, b, batch):
        return {"order": backend_of(a).asarray(self._generator().permutation(len(a)))}


class Queue(LossState):
    """Unit rows of the last steps, the oldest overwritten; it starts as random unit rows. MoCo's queue.

    Args:
        gives: "queue" for the rows b, the keys; "query_queue" for the rows a, the queries.
    """

    def __init__(self, gives, size, dimensions, rng):
        self.gives = (gives,)
        rows = rng.standard_normal((size, dimensions)).astype(np.float32)
        self.register_buffer("rows", rows / np.linalg.norm(rows, axis=1, keepdims=True))
        self.register_buffer("end", np.zeros((), dtype=np.int64))

    def arrays(self, a, b, batch):
        # A copy: the loss may read its queue again in its backward pass, after the new rows have come in.
        return {self.gives[0]: self.rows.copy()}

    def update(self, a, b, batch):
        unit, _ = unit_rows.on_arrays(b if self.gives == ("queue",) else a)
        xp = backend_of(unit).xp
        places = (xp.arange(len(unit)) + self.end) % len(self.rows)
        self.rows[places] = unit
        self.end[...] = (self.end + len(unit)) % len(self.rows)


STATES = (Covariance, MovingStatistics, SampleTemperatures, Teacher, PairWeights, Noise, Order)


# --- the papers' rules of updating


def updated_covariance(covariance, a, decay=0.9, centre=False, ranks=1, add_up=lambda own: own):
    """TiCo's covariance (D, D) after a batch a (B, D): what the next one is given. None starts from 0.

    ``ranks`` and ``add_up`` as ``moved_statistics`` of CorInfoMax; rows that are centred are those of one rank.
    """
    unit = unit_rows.on_arrays(centred(a)[0] if centre else a)[0]
    moved = add_up(unit.T @ unit)
    moved *= (1 - decay) / (len(unit) * ranks)
    return moved if covariance is None else moved + decay * covariance


def updated_statistics(
    x, covariance, mean, decay=0.01, mean_decay=0.01, normalize=False, ranks=1, add_up=lambda own: own
):
    """CorInfoMax's mean (D,) and covariance (D, D) of a side after a batch x (B, D): what the next one is given.

    ``ranks`` and ``add_up`` as ``moved_statistics``.
    """
    rows = rows_of(x, normalize)[0]
    _, mean, covariance = moved_statistics(rows, covariance, mean, decay, mean_decay, ranks, add_up)
    return mean, covariance


def updated_state(
    a,
    b,
    temperatures,
    estimates,
    momenta,
    estimate_rate=0.8,
    radius=0.4,
    estimate_of="differences",
    negatives="views",
    symmetric=True,
    step=0.03,
    momentum_rate=0.5,
    clip=3.0,
    bounds=(0.05, 1.0),
):
    """(temperatures, estimates, momenta) of the batch's samples after it, each (B,); before all, 0.1, -inf and 0.

    A temperature's gradient log m' + radius - sum_j w_ij h_ij / t, the mean over the sample's views, is clipped and
    averaged over visits at ``momentum_rate``; then the temperature takes a step against it, within ``bounds``.
    Settings: the official readme (0.03, 0.5) and code (3, 0.05, 1).
    """
    xp = backend_of(a).xp
    u, v = unit_rows.on_arrays(a)[0], unit_rows.on_arrays(b)[0]
    slopes, log_ms = [], []
    for own, other in ((u, v), (v, u)) if symmetric else ((u, v),):
        view = anchor_estimates(own, other, temperatures, estimates, estimate_rate, estimate_of, negatives)
        mean_h = view.mean_similarity(own) - (view.s if estimate_of == "differences" else 0)
        slopes.append(view.log_m + radius - view.mass * mean_h / temperatures)
        log_ms.append(view.log_m)
    slope = xp.clip(sum(slopes) / len(slopes), -clip, clip)
    momenta = (1 - momentum_rate) * momenta + momentum_rate * slope
    estimates = reduce(xp.logaddexp, log_ms) - math.log(len(log_ms))
    return xp.clip(temperatures - step * momenta, *bounds), estimates, momenta


def instance_weights(rows_a, rows_b, threshold=0.9):
    """Weights (B, B) from rows (B, E) of a fixed complementary model: 0 where its cosine reaches ``threshold``, else 1.

    The diagonal is 1. Paper: phi = 0.9 for its base models, 0.85 for some others; the official code keeps equality.
    """
    xp = backend_of(rows_a).xp
    cosine = unit_rows.on_arrays(rows_a)[0] @ unit_rows.on_arrays(rows_b)[0].T
    weights = (cosine < threshold).astype(rows_a.dtype)
    numbers = xp.arange(len(weights))
    weights[numbers, numbers] = 1
    return weights


def refine_noise(noise, a, b, temperature=0.05, steps=4, step_size=1e-3, tile=None):
    """Noise vectors (K, D) after ``steps`` of normalised gradient ascent: harder negatives for the rows a.

    As in the official code, what rises is the softmax cross-entropy of a over the rows b and the noise; each vector
    moves ``step_size`` a step along its own gradient's direction; one without a gradient stays.
    """
    xp = backend_of(noise).xp
    u, v = unit_rows.on_arrays(a)[0], unit_rows.on_arrays(b)[0]
    (over_batch, _), _ = similarity_logsumexp.on_arrays(u, v, 1 / temperature, tile=tile)
    for _ in range(steps):
        directions, to_noise = unit_rows.on_arrays(noise)
        (over_noise, _), back = similarity_logsumexp.on_arrays(u, directions, 1 / temperature, tile=tile)
        share = xp.exp(over_noise - xp.logaddexp(over_batch, over_noise))
        noise = noise + step_size * unit_rows.on_arrays(to_noise(back((share, None))[1]))[0]
    return noise
