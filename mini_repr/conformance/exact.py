"""Exact values: a page's definition and its gradient in 50-digit arithmetic.

The definition runs as it stands, on arrays whose elements are numbers of many digits that remember how they were made.
So the value has no float64 rounding in it, and the gradient comes from a scalar tape of its own: neither the
hand-derived backward nor the engine's takes part. Python's ``math`` and ``stop_gradient`` are replaced inside the
definition, the first because it rounds, the second because the tape must be cut there too.
"""

from typing import NamedTuple

import numpy as np

from mini_repr.autograd.primitive import value_of
from mini_repr.autograd.tensor import Tensor, no_grad
from mini_repr.conformance.exact_numbers import (
    ExactMath,
    Number,
    as_number,
    exact_array,
    gradient_of,
    precision,
    walk_back,
)
from mini_repr.pages.loss import evaluate_definition

DIGITS = 50


class Exact(NamedTuple):
    """A value and its gradients, as mpmath numbers (0-d value; object arrays shaped like the arguments)."""

    value: object
    gradients: dict

    def rounded(self):
        """(float, {name: float64 array}): the nearest float64 numbers."""
        return float(self.value), {n: g.astype(np.float64) for n, g in self.gradients.items()}


def exact_value_and_grad(loss, arguments, digits=DIGITS):
    """Value and gradients of a loss's definition.

    Args:
        loss: a registered loss. arguments: {name: host array or setting}; what is left out has its default.
        digits: decimal digits of all arithmetic.
    Returns:
        Exact, with a gradient for every differentiable argument given, learned scalars included.
    Raises:
        ValueError: mpmath is missing, the page refuses the arguments, or the value is not one number.
    """
    with precision(digits):
        leaves, given = _inputs(loss, arguments)
        output = _evaluate(loss, given)
        walk_back(output)
        return Exact(output.value, {name: gradient_of(leaf) for name, leaf in leaves.items()})


def exact_terms(loss, arguments, digits=DIGITS):
    """{name: mpmath number}: the named parts of the value, {} for a page that names none.

    Only the page itself knows them, so here the page runs in long arithmetic. (Constants that it takes from Python's
    ``math`` carry float64's rounding.)

    Raises:
        TypeError: the page uses an operation that long numbers do not have.
    """
    if not loss(**arguments).terms:
        return {}
    with precision(digits):
        _, given = _inputs(loss, arguments)
        with no_grad():
            try:
                _, _, terms = loss.thing(**{name: value_of(value) for name, value in given.items()})
            except ValueError as error:  # it ran on floats above; NumPy knows no machine limits of objects
                raise TypeError(f"{loss.name}: {error}") from error
        return {name: as_number(np.asarray(term).item()).value for name, term in terms.items()}


def central_difference(loss, arguments, directions, digits=DIGITS, step=1e-20):
    """The value's derivative along ``directions`` {name: array or number}, by differences: a second opinion.

    Both points are exact inputs of the definition and the difference keeps about 30 digits at 50. What a
    ``stop_gradient`` cuts keeps the value it has in the middle, as it does for the gradient.
    """
    with precision(digits) as mp:
        cuts, ends = [], []

        def cut_and_keep(tensor):
            cuts.append(_cut(tensor))
            return cuts[-1]

        _evaluate(loss, _inputs(loss, arguments)[1], cut_and_keep)
        for sign in (1, -1):
            leaves, given = _inputs(loss, arguments)
            for name, leaf in leaves.items():
                leaf += np.asarray(directions[name], dtype=object) * Number(sign * mp.mpf(step))
            kept = iter(cuts)  # every evaluation cuts in the same order
            ends.append(_evaluate(loss, given, lambda _, kept=kept: next(kept)).value)
        return (ends[0] - ends[1]) / (2 * mp.mpf(step))


def _inputs(loss, arguments):
    """({name: exact array of a differentiable argument}, {name: what the definition is given})."""
    leaves, given = {}, {}
    bound = loss.bind((), arguments)
    loss.checked(bound)
    for name, value in bound.items():
        annotation = loss.parameters[name].annotation
        if value is not None and annotation.differentiable:
            leaves[name] = exact_array(value, active=True)
            given[name] = Tensor(leaves[name])
        elif isinstance(value, np.ndarray):
            exact = exact_array(value, active=False)
            given[name] = exact  # an array, as in a real call: the definition may compare it, or ask for any()
        else:  # a number too, so that 1 - smoothing and the like do not round
            given[name] = Number(value) if isinstance(value, float) else value
    return leaves, given


def _evaluate(loss, given, cut=None):
    with no_grad():
        output = value_of(evaluate_definition(loss, given, {"math": ExactMath(), "stop_gradient": cut or _cut}))
    if output.ndim:
        raise ValueError(f"{loss.name}: reduction: got 'none', expected 'mean' or 'sum' for an exact value")
    return as_number(output.item())


def _cut(tensor):
    """``stop_gradient`` that cuts the tape."""
    return Tensor(exact_array(value_of(tensor), active=False))
