"""A primitive is a function from arrays to ``(output, backward)``; this file makes one usable on tensors."""

from functools import wraps

from mini_repr.autograd.tensor import Node, Tensor, is_recording


def primitive(function):
    """Lift ``function(*arrays, **params) -> (output, backward)`` to tensors.

    ``output`` is an array, or a tuple of arrays. ``backward(g)`` receives the gradient of the output (for a tuple: a
    tuple, ``None`` for an output that nothing used) and returns one gradient per positional argument, ``None`` where
    there is none (also for trailing arguments left at their defaults). A single one may be returned bare. A gradient
    may have any shape that the argument was broadcast to: the engine sums it back. It is a new array, or ``g`` itself
    or a view of ``g``; never an array that the caller can still see, and never the same new array for two arguments. A
    costly one may be given as a function that makes it: it is called only where the argument wants a gradient.

    The plain form stays reachable as ``name.on_arrays``: larger primitives are composed from it without recording.
    """

    @wraps(function)
    def on_tensors(*args, **params):
        output, backward = function(*map(value_of, args), **params)
        return record(output, backward, args)

    on_tensors.on_arrays = function
    return on_tensors


def value_of(argument):
    """The array under a tensor; anything else as it is."""
    return argument.data if isinstance(argument, Tensor) else argument


def record(output, backward, args):
    """Wrap ``output`` and, where recording and some argument wants a gradient, remember how to walk back."""
    several = isinstance(output, tuple)
    wants_gradient = is_recording() and any(isinstance(a, Tensor) and a.requires_grad for a in args)
    node = Node(backward, args, len(output) if several else 1) if wants_gradient else None
    if several:
        return tuple(Tensor.made_by(node, part, position) for position, part in enumerate(output))
    return Tensor.made_by(node, output, 0)
