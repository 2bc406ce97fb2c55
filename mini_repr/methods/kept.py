"""What a loss needs beyond its batch, kept from step to step: a page names it as an argument, a keeper supplies it.

A keeper gives arrays before the loss is computed and learns from the rows that were compared; the rules of its updates
stand on the pages. All it keeps are buffers, so that a run that is resumed goes on with the same bits.
"""

import numpy as np

from mini_repr.autograd import unit_rows
from mini_repr.backend import backend_of
from mini_repr.data import PairSet
from mini_repr.losses.pairs.dclr import instance_weights, refine_noise
from mini_repr.losses.pairs.isogclr import updated_state
from mini_repr.losses.pairs.tico import updated_covariance
from mini_repr.nn import Module, word_counts

NOISE_ROWS = 128


def keepers_for(loss, settings, data, dimensions, rng):
    """The keepers of all the state that a page names.

    Args:
        settings: of the loss. data: the run's data set. dimensions: columns of the rows that are compared.
    """
    settings = {parameter.name: parameter.default for parameter in loss.settings} | settings
    named = {name for name, parameter in loss.parameters.items() if parameter.annotation.is_array}
    return [keeper(settings, data, dimensions, rng) for keeper in KEEPERS if named & set(keeper.gives)]


def fixed_rows(part):
    """Rows of both sides of a part's pairs by models that never change: pixels for images, counts of words for texts.

    Returns:
        two host arrays (N, E); both views of an image have the image's.
    """
    if isinstance(part, PairSet):
        return word_counts(part.a), word_counts(part.b)
    return (part.images.reshape(len(part), -1),) * 2


class Keeper(Module):
    """Base of the keepers. ``gives``: names of the arguments it supplies."""

    gives = ()

    def give(self, a, b, batch):
        """{argument: array} for a batch whose plain rows are a and b (B, D)."""
        raise NotImplementedError

    def learn(self, a, b, batch):
        """Take in the rows after the loss was computed on them."""


class Covariance(Keeper):
    """TiCo's moving covariance of the rows a, from 0."""

    gives = ("covariance",)

    def __init__(self, settings, data, dimensions, rng):
        self.rule = {name: settings[name] for name in ("decay", "centre")}
        self.register_buffer("covariance", np.zeros((dimensions, dimensions), dtype=np.float32))

    def give(self, a, b, batch):
        return {"covariance": self.covariance.copy()}

    def learn(self, a, b, batch):
        self.covariance[...] = updated_covariance(self.covariance, a, **self.rule)


class SampleTemperatures(Keeper):
    """iSogCLR's temperature and moving estimate of every training row."""

    gives = ("temperatures", "estimates")

    def __init__(self, settings, data, dimensions, rng):
        rule = ("estimate_rate", "radius", "estimate_of", "negatives", "symmetric")
        self.rule = {name: settings[name] for name in rule}
        for name, start in (("temperatures", settings["temperature"]), ("estimates", -np.inf), ("momenta", 0.0)):
            self.register_buffer(name, np.full(len(data.train), start, dtype=np.float32))

    def give(self, a, b, batch):
        return {"temperatures": self.temperatures[batch.index], "estimates": self.estimates[batch.index]}

    def learn(self, a, b, batch):
        state = (self.temperatures, self.estimates, self.momenta)
        moved = updated_state(a, b, *(kept[batch.index] for kept in state), **self.rule)
        for kept, new in zip(state, moved, strict=True):
            kept[batch.index] = new


class Teacher(Keeper):
    """The rows of a fixed model, to distil."""

    gives = ("teacher_a", "teacher_b")

    def __init__(self, settings, data, dimensions, rng):
        self._rows = fixed_rows(data.train)

    def give(self, a, b, batch):
        return dict(zip(self.gives, self._of(a, batch), strict=True))

    def _of(self, a, batch):
        index = backend_of(batch.index).to_numpy(batch.index)
        return [backend_of(a).asarray(rows[index], dtype=a.dtype) for rows in self._rows]


class PairWeights(Teacher):
    """DCLR's weights of pairs: 0 where a fixed, complementary model takes two rows for the same."""

    gives = ("weights",)

    def give(self, a, b, batch):
        return {"weights": instance_weights(*self._of(a, batch))}


def next_generator(draws):
    """A host generator from a buffer (2,) that holds a seed and how many were made of it; counts this one."""
    seed, count = backend_of(draws).to_numpy(draws)
    draws[1] += 1
    return np.random.default_rng([int(seed), int(count)])


class Drawn(Keeper):
    """Base of the keepers that draw anew at each step, the same on every rank."""

    def __init__(self, settings, data, dimensions, rng):
        self.dimensions = dimensions
        self.settings = settings
        self.register_buffer("draws", np.array([rng.integers(2**31), 0]))

    def _generator(self):
        return next_generator(self.draws)


class Noise(Drawn):
    """DCLR's negatives: Gaussian noise, refined against the rows of the batch."""

    gives = ("noise",)

    def give(self, a, b, batch):
        noise = self._generator().standard_normal((NOISE_ROWS, self.dimensions))
        noise = backend_of(a).asarray(noise, dtype=a.dtype)
        return {"noise": refine_noise(noise, a, b, self.settings["temperature"])}


class Order(Drawn):
    """W-MSE's random permutation of the batch, which makes its sub-batches."""

    gives = ("order",)

    def give(self, a, b, batch):
        return {"order": backend_of(a).asarray(self._generator().permutation(len(a)))}


class Queue(Keeper):
    """Unit rows of the last steps, the oldest overwritten; it starts as random unit rows. MoCo's queue.

    Args:
        gives: "queue" for the rows b, the keys; "query_queue" for the rows a, the queries.
    """

    def __init__(self, gives, size, dimensions, rng):
        self.gives = (gives,)
        rows = rng.standard_normal((size, dimensions)).astype(np.float32)
        self.register_buffer("rows", rows / np.linalg.norm(rows, axis=1, keepdims=True))
        self.register_buffer("end", np.zeros((), dtype=np.int64))

    def give(self, a, b, batch):
        # A copy: the loss may read its queue again on the way back, after the new rows have come in.
        return {self.gives[0]: self.rows.copy()}

    def learn(self, a, b, batch):
        unit, _ = unit_rows.on_arrays(b if self.gives == ("queue",) else a)
        xp = backend_of(unit).xp
        end = int(self.end)
        places = (xp.arange(len(unit)) + end) % len(self.rows)
        self.rows[places] = unit
        self.end[...] = (end + len(unit)) % len(self.rows)


KEEPERS = (Covariance, SampleTemperatures, Teacher, PairWeights, Noise, Order)
