"""Definitions whose stop-gradients keep the values they have at one point.

Where a loss cuts a factor that depends on its inputs (a weight that is recomputed, but not learnt from), the gradient
is not the slope of the value. It is the slope of the definition with those factors held: that is what differences and
complex steps are taken of.
"""

from contextlib import contextmanager
from itertools import count

from mini_repr.autograd import Tensor, stop_gradient, value_of


@contextmanager
def held_constants(loss, arguments):
    """Inside, every ``stop_gradient`` of the loss's definition gives the value it has at ``arguments``.

    Yields whether one of them depends on an argument that takes a gradient.
    """
    page = loss.literal.__globals__
    values, cuts = [], []

    def keep(x):
        values.append(value_of(x))
        cuts.append(isinstance(x, Tensor) and x.requires_grad)
        return stop_gradient(x)

    if "stop_gradient" not in page:
        yield False
        return
    page["stop_gradient"] = keep
    try:
        given = {n: arguments[n] for n in loss.differentiable if arguments.get(n) is not None}
        loss.by_definition(**{**arguments, **{n: Tensor(x, requires_grad=True) for n, x in given.items()}})
        calls = count()  # every evaluation cuts in the same order
        page["stop_gradient"] = lambda x: Tensor(values[next(calls) % len(values)])
        yield any(cuts)
    finally:
        page["stop_gradient"] = stop_gradient
