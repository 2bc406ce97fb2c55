"""A primitive is a function from arrays to ``(output, backward)``; this file makes one usable on tensors."""

import inspect
from functools import wraps

from mini_repr.autograd.tensor import Node, Tensor, is_recording


def primitive(function):
    """Lift ``function(*arrays, /, **settings) -> (output, backward)`` to tensors.

    The arrays that a gradient may belong to stand before the slash (or are all of ``*arrays``). ``output`` is an array,
    or a (named) tuple of arrays. ``backward(g)`` receives the gradient of the output (for a tuple: a tuple, ``None``
    for an output that nothing used) and returns a tuple with one gradient per array, ``None`` for a constant; for a
    single array the gradient alone. A gradient may have any shape that the array was broadcast to: the engine sums it.
    It may be ``g`` or a view of it, never an array that the caller can still see. A costly one may be given as a
    function that makes it: it is called only where the argument wants a gradient.

    The plain form stays reachable as ``name.on_arrays``: larger primitives are composed from it without recording.
    """
    kinds = [p.kind for p in inspect.signature(function).parameters.values()]
    count = None if inspect.Parameter.VAR_POSITIONAL in kinds else kinds.count(inspect.Parameter.POSITIONAL_ONLY)
    if count == 0:
        raise TypeError(f"primitive {function.__name__}: no array stands before a slash: def f(x, /, setting)")

    @wraps(function)
    def on_tensors(*args, **settings):
        output, backward = function(*map(value_of, args), **settings)
        return record(output, backward if count != 1 else lambda g: (backward(g),), args[:count])

    on_tensors.on_arrays = function
    return on_tensors


def value_of(argument):
    """The array under a tensor; anything else as it is."""
    return argument.data if isinstance(argument, Tensor) else argument


def record(output, backward, args):
    """Wrap ``output`` and, where recording and some argument wants a gradient, remember ``backward``.

    ``args``: those that a gradient may belong to; ``backward`` returns a tuple with one for each.
    """
    several = isinstance(output, tuple)
    wants_gradient = is_recording() and any(isinstance(a, Tensor) and a.requires_grad for a in args)
    node = Node(backward, args, len(output) if several else 1) if wants_gradient else None
    if several:
        parts = [part if part is None else Tensor.made_by(node, part, position) for position, part in enumerate(output)]
        return type(output)(*parts) if hasattr(output, "_fields") else tuple(parts)
    return Tensor.made_by(node, output, 0)
