"""Where frameworks' own functions are known to round otherwise: faithful code that calls them conforms, with a note."""

from typing import NamedTuple

from mini_repr import autograd as ops
from mini_repr.conformance.compare import compare
from mini_repr.conformance.rewrites.evaluate import compiled, outcome_at
from mini_repr.conformance.rewrites.folding import formula_of


class Rounding(NamedTuple):
    """In a framework, ``function`` is what the engine's ``operation`` is called by name."""

    framework: str
    operation: str
    function: object
    text: str


def _straight_above_20(x):
    value = x.data if isinstance(x, ops.Tensor) else x
    return ops.where(value > 20, x, ops.softplus(x))


ROUNDINGS = [Rounding("torch", "softplus", _straight_above_20, "torch's softplus is a straight line above 20")]


def known_rounding(loss, arguments, outcome, allowed, framework):
    """What is known to round otherwise, where the formula with the framework's function is what came out; else None.

    Args:
        arguments: complete ones, in float64. allowed: the absolute errors that the case allows.
    """
    for rounding in ROUNDINGS:
        if rounding.framework != framework:
            continue
        formula = formula_of(loss, arguments)
        if rounding.operation not in formula.called:
            continue
        formula.names[rounding.operation] = rounding.function
        names = [n for n in outcome.gradients or () if arguments[n] is not None]
        theirs = outcome_at(compiled(formula), loss, arguments, names)
        if theirs and compare(theirs, outcome, allowed).agrees:
            return rounding.text
    return None
