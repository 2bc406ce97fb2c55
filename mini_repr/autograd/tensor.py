"""The tensor and the backward pass: all that the engine itself does.

Every recorded call gets the next number. What a call used was made before it, so taking the largest number first is a
reverse topological order: no sorting, no recursion. A node forgets its saved arrays as soon as it has been visited.
"""

import heapq
from contextlib import contextmanager
from itertools import count
from typing import NamedTuple

import numpy as np

from mini_repr.backend import backend_of, is_array

_numbers = count()
_recording = True


def is_recording():
    return _recording


def no_grad():
    """Disable recording within this block; intermediate arrays are freed."""
    return _set_recording(False)


def enable_grad():
    """Record within this block, also where it stands in one of ``no_grad``: for a gradient that a forward pass uses."""
    return _set_recording(True)


@contextmanager
def _set_recording(on):
    global _recording
    before, _recording = _recording, on
    try:
        yield
    finally:
        _recording = before


class Node:
    """One recorded call: its number, its backward function, its arguments, and the gradients of its outputs so far.

    ``arguments`` holds, for each argument, a leaf tensor, the ``Origin`` of a computed one, or None for a constant. It
    never holds a computed tensor's array: what a primitive does not save for its backward is freed at once.
    """

    __slots__ = ("number", "backward", "arguments", "gradients")

    def __init__(self, backward, args, outputs):
        self.number = next(_numbers)
        self.backward = backward
        self.arguments = [a.origin or a if isinstance(a, Tensor) and a.requires_grad else None for a in args]
        self.gradients = [None] * outputs

    def __lt__(self, other):  # heapq pops the smallest: the latest call comes first
        return self.number > other.number

    def differentiate(self):
        """[(argument, its gradient)] from the gradients of the outputs; the node forgets all that it has saved."""
        if self.backward is None:
            raise RuntimeError("backward: this history was walked already; run the forward computation again")
        backward, arguments, g = self.backward, self.arguments, self.gradients
        self.backward = self.arguments = None
        self.gradients = [None] * len(g)
        found = backward(g[0] if len(g) == 1 else tuple(g))
        if len(found) != len(arguments):
            raise RuntimeError(f"backward returned {len(found)} gradients for {len(arguments)} arguments")
        wanted = [(a, one) for a, one in zip(arguments, found, strict=True) if a is not None and one is not None]
        return [(a, one() if callable(one) else one) for a, one in wanted]


class Origin(NamedTuple):
    """Where a computed tensor came from: output ``position`` of ``node``; and what its gradient must look like."""

    node: Node
    position: int
    shape: tuple
    dtype: object


class Tensor:
    """An array with a memory of how it was made.

    Args:
        data: array of a known library, nested lists or a number.
        requires_grad: whether ``backward`` leaves a gradient in ``.grad``. Needs floating-point data.
    """

    __slots__ = ("data", "requires_grad", "grad", "terms", "origin")
    __array_ufunc__ = None  # NumPy arrays defer to the operators below instead of looping over a tensor

    def __init__(self, data, requires_grad=False):
        if isinstance(data, Tensor):
            raise TypeError("Tensor: data is a Tensor already; use stop_gradient(tensor) for a detached one")
        self.data = data if is_array(data) else np.asarray(data)
        if requires_grad and self.data.dtype.kind not in "fc":
            raise TypeError(f"Tensor: requires_grad needs floating-point data, got dtype {self.data.dtype}")
        self.requires_grad = requires_grad
        self.grad = None
        self.terms = None  # a loss's named parts, as plain arrays, for logs and reports
        self.origin = None  # of a computed tensor; a leaf has none

    @classmethod
    def made_by(cls, node, data, position):
        """Output ``position`` of a recorded call (``node`` None: of a call that was not recorded)."""
        tensor = cls(data)
        if node is not None:
            tensor.requires_grad = True
            tensor.origin = Origin(node, position, tensor.shape, tensor.dtype)
        return tensor

    shape = property(lambda self: self.data.shape)
    ndim = property(lambda self: self.data.ndim)
    size = property(lambda self: self.data.size)
    dtype = property(lambda self: self.data.dtype)

    def __len__(self):
        return len(self.data)

    def __repr__(self):
        return f"Tensor({self.data!r}{', requires_grad=True' if self.requires_grad else ''})"

    def item(self):
        """The value of a one-element tensor as a Python number."""
        return self.data.item()

    def backward(self, gradient=None):
        """Add d(self)/d(leaf) to ``.grad`` of every leaf tensor that requires a gradient, then forget the history.

        Args:
            gradient: array of this tensor's shape, the gradient of what is differentiated with respect to this
                tensor; may be left out for a one-element tensor.
        Raises:
            RuntimeError: nothing was recorded, or the history was walked already.
            ValueError: ``gradient`` is missing or has another shape.
        """
        if not self.requires_grad:
            raise RuntimeError("backward: this tensor does not depend on any tensor with requires_grad=True")
        if gradient is None:
            if self.size != 1:
                raise ValueError(f"backward: a tensor of shape {self.shape} needs a gradient of the same shape")
            gradient = backend_of(self.data).xp.ones_like(self.data)
        elif gradient.shape != self.shape:
            raise ValueError(f"backward: gradient has shape {gradient.shape}, the tensor has {self.shape}")
        _backpropagate(self, gradient)

    # The operators (+, @, [], ...) are attached in autograd/operators.py, below which the primitives stand.


def stop_gradient(tensor):
    """The same values, cut from their history: a constant for everything that follows."""
    return Tensor(tensor.data) if isinstance(tensor, Tensor) else Tensor(tensor)


def _backpropagate(root, gradient):
    """Visit the recorded calls, the latest first, and add each gradient where it belongs."""
    waiting, lent = [], {id(gradient): None}
    _accumulate(root.origin or root, gradient, waiting, lent)
    while waiting:
        for argument, gradient in heapq.heappop(waiting).differentiate():
            _accumulate(argument, gradient, waiting, lent)


def _accumulate(argument, gradient, waiting, lent):
    """Add a gradient to those of a leaf tensor, or of a computed one by its Origin; its node then waits for a visit.

    A leaf keeps an array of its own: what it is given, or a copy of what others may see. ``lent``: {id: leaf} of arrays
    that were given during this walk, which calls that are still to be visited may have been given too (None: root).
    """
    gradient = unbroadcast(_as_array(gradient), argument.shape).astype(argument.dtype, copy=False)
    if isinstance(argument, Tensor):
        if argument.grad is None:
            # A view shares its memory, and two leaves may be given one array.
            shared = gradient.base is not None or id(gradient) in lent or not gradient.flags.c_contiguous
            argument.grad = gradient.copy() if shared else gradient
            if not shared:
                lent[id(gradient)] = argument
        elif lent.get(id(argument.grad)) is argument:
            argument.grad = _as_array(argument.grad + gradient)
        else:
            argument.grad += gradient
        return
    gradients, position = argument.node.gradients, argument.position
    if all(g is None for g in gradients):
        heapq.heappush(waiting, argument.node)
    gradients[position] = gradient if gradients[position] is None else _as_array(gradients[position] + gradient)


def _as_array(value):
    """NumPy turns results without axes into scalars, which have no place to write to."""
    return value if is_array(value) else backend_of(value).asarray(value)


def unbroadcast(gradient, shape):
    """Sum a gradient over the axes along which an argument of ``shape`` was broadcast."""
    if gradient.shape == shape:
        return gradient
    extra = gradient.ndim - len(shape)
    stretched = tuple(axis for axis, size in enumerate(shape) if size == 1 and gradient.shape[axis + extra] != 1)
    if not stretched:
        return backend_of(gradient).column_sums(gradient, extra).reshape(shape)
    axes = tuple(range(extra)) + tuple(axis + extra for axis in stretched)
    return gradient.sum(axis=axes, keepdims=True).reshape(shape)
