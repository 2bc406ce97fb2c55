"""What must hold for a loss, declared on its page and checked by the table-driven test.

An invariant is data: its description, and a function that raises AssertionError where it does not hold. ``settings``
are the loss's parameters under which it is claimed; without any, the defaults. ``needs`` among them names optional
arrays to draw.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mini_repr.pages.samples import sample_inputs


class Invariant(NamedTuple):
    description: str
    check: Callable  # check(loss, rng)


def _same_value(description, change, settings):
    """The value stays when ``change(loss, inputs, rng)`` replaces some of the inputs."""

    needs = settings.pop("needs", ())

    def check(loss, rng):
        inputs = sample_inputs(loss, rng, needs)
        before = loss(**inputs, **settings).data
        after = loss(**{**inputs, **change(loss, inputs, rng)}, **settings).data
        np.testing.assert_allclose(np.sum(after), np.sum(before), rtol=1e-9, atol=1e-9, err_msg=description)

    return Invariant(description, check)


def permutation(letter, **settings):
    """Reordering all arrays together along ``letter`` leaves the value."""

    def change(loss, inputs, rng):
        order = None
        changed = {}
        for p in loss.arrays:
            for axis, name in enumerate(p.annotation.letters):
                if name == letter and inputs.get(p.name) is not None:
                    array = changed.get(p.name, inputs[p.name])
                    order = rng.permutation(array.shape[axis]) if order is None else order
                    changed[p.name] = np.take(array, order, axis=axis)
        return changed

    return _same_value(f"unchanged when {letter} is permuted", change, settings)


def rotation(letter, **settings):
    """One random orthogonal matrix applied to every array along ``letter`` leaves the value."""

    def change(loss, inputs, rng):
        matrix = None
        changed = {}
        for p in loss.arrays:
            if p.annotation.letters[-1] == letter and inputs.get(p.name) is not None:
                size = inputs[p.name].shape[-1]
                matrix = np.linalg.qr(rng.standard_normal((size, size)))[0] if matrix is None else matrix
                changed[p.name] = inputs[p.name] @ matrix
        return changed

    return _same_value(f"unchanged when {letter} is rotated", change, settings)


def row_scaling(*names, **settings):
    """Multiplying each row of the named arrays by its own positive factor leaves the value."""

    def change(loss, inputs, rng):
        return {name: inputs[name] * rng.uniform(0.1, 10, (*inputs[name].shape[:-1], 1)) for name in names}

    return _same_value(f"unchanged when rows of {', '.join(names)} are scaled", change, settings)


def scaling(*names, **settings):
    """Multiplying all the named arrays by one positive factor leaves the value."""

    def change(loss, inputs, rng):
        factor = rng.uniform(0.1, 10)
        return {name: factor * inputs[name] for name in names}

    return _same_value(f"unchanged when {', '.join(names)} are scaled by one factor", change, settings)


def translation(*names, shared=True, **settings):
    """Adding one vector to all rows of the named arrays (``shared``: the same one to each array) leaves the value."""

    def change(loss, inputs, rng):
        offset = rng.standard_normal(inputs[names[0]].shape[-1])
        return {
            name: inputs[name] + (offset if shared else rng.standard_normal(inputs[name].shape[-1])) for name in names
        }

    return _same_value(f"unchanged when {', '.join(names)} are shifted by one vector", change, settings)


def constant_shift(*names, **settings):
    """Adding its own constant to each row of the named arrays leaves the value."""

    def change(loss, inputs, rng):
        return {name: inputs[name] + rng.standard_normal((*inputs[name].shape[:-1], 1)) for name in names}

    return _same_value(f"unchanged when a constant is added to each row of {', '.join(names)}", change, settings)


def swap(first, second, **settings):
    """Exchanging two arrays leaves the value."""

    def change(loss, inputs, rng):
        return {first: inputs[second], second: inputs[first]}

    return _same_value(f"unchanged when {first} and {second} are exchanged", change, settings)


def relabelling(name="labels", **settings):
    """Renaming the classes of an integer array one to one leaves the value."""

    def change(loss, inputs, rng):
        return {name: rng.permutation(100)[inputs[name]]}

    return _same_value(f"unchanged when {name} are renamed", change, settings)


def at_least(low, **settings):
    """The value is never below ``low``."""
    return between(low, math.inf, **settings)


def between(low, high, **settings):
    """The value lies in [low, high] (up to round-off)."""
    description = f"between {low:g} and {high:g}" if math.isfinite(high) else f"at least {low:g}"
    needs = settings.pop("needs", ())

    def check(loss, rng):
        for scale in (1e-2, 1.0, 10.0):
            inputs = sample_inputs(loss, rng, needs)
            inputs = {n: x * scale if getattr(x, "dtype", None) == np.float64 else x for n, x in inputs.items()}
            value = loss(**inputs, **settings).data
            assert np.all(value >= low - 1e-9), f"{description}: got {value}"
            assert np.all(value <= high + 1e-9), f"{description}: got {value}"

    return Invariant(description, check)


def exact(description, value, **arguments):
    """At these arguments (nested lists for arrays) the loss has exactly this value (to 1e-12, relative above 1)."""

    def check(loss, rng):
        arrays = {p.name for p in loss.arrays}
        inputs = {n: np.asarray(v) if n in arrays and v is not None else v for n, v in arguments.items()}
        found = loss(**inputs).data
        np.testing.assert_allclose(found, value, rtol=1e-12, atol=1e-12, err_msg=description)

    return Invariant(description, check)
