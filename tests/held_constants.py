"""Definitions whose stop-gradients keep the values they have at one point.

Where a loss cuts a factor that depends on its inputs (a weight that is recomputed, but not learnt from), the gradient
is not the slope of the value. It is the slope of the definition with those factors held: that is what differences and
complex steps are taken of.
"""

from itertools import count

from mini_repr.autograd import Tensor, stop_gradient, value_of
from mini_repr.pages.loss import evaluate_definition


def held_constants(loss, arguments):
    """(operations for ``evaluate_definition``, whether a stop-gradient depends on what takes a gradient).

    With these operations every ``stop_gradient`` gives the value that it has at ``arguments``, which are complete.
    """
    values, cuts = [], []

    def keep(x):
        values.append(value_of(x))
        cuts.append(isinstance(x, Tensor) and x.requires_grad)
        return stop_gradient(x)

    given = {n: arguments[n] for n in loss.differentiable if arguments.get(n) is not None}
    tensors = {n: Tensor(x, requires_grad=True) for n, x in given.items()}
    evaluate_definition(loss, {**arguments, **tensors}, {"stop_gradient": keep})
    calls = count()  # every evaluation cuts in the same order
    return {"stop_gradient": lambda x: Tensor(values[next(calls) % len(values)])}, any(cuts)
