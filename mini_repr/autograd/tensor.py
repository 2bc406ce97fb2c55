"""The tensor and the walk back: all that the engine itself does.

Every recorded call gets the next number. What a call used was made before it, so taking the largest number first is a
reverse topological order: no sorting, no recursion. A node forgets its saved arrays as soon as it has been walked.
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


@contextmanager
def no_grad():
    """Within this block nothing is recorded: outputs have no history and ask for no memory beyond themselves."""
    global _recording
    before, _recording = _recording, False
    try:
        yield
    finally:
        _recording = before


class Node:
    """One recorded call: its number, how to go back, where its arguments came from, and the gradients that arrived.

    ``parents`` holds, for each argument, a leaf tensor, the ``Origin`` of a computed one, or None for a constant. It
    never holds a computed tensor's array: what a primitive does not save for its backward is freed at once.
    """

    __slots__ = ("number", "backward", "parents", "arrived")

    def __init__(self, backward, args, outputs):
        self.number = next(_numbers)
        self.backward = backward
        self.parents = [a.origin or a if isinstance(a, Tensor) and a.requires_grad else None for a in args]
        self.arrived = [None] * outputs

    def __lt__(self, other):  # heapq pops the smallest: the latest call comes first
        return self.number > other.number


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
        _walk_back(self, gradient)

    # The operators (+, @, [], ...) are attached in autograd/operators.py, below which the primitives stand.


def stop_gradient(tensor):
    """The same values, cut from their history: a constant for everything that follows."""
    return Tensor(tensor.data) if isinstance(tensor, Tensor) else Tensor(tensor)


def _walk_back(root, gradient):
    waiting = []
    _deliver(root.origin or root, gradient, False, waiting)
    while waiting:
        node = heapq.heappop(waiting)
        backward, parents, arrived = node.backward, node.parents, node.arrived
        if backward is None:
            raise RuntimeError("backward: this history was walked already; run the forward computation again")
        node.backward = node.parents = None
        node.arrived = [None] * len(arrived)
        g = arrived[0][0] if len(arrived) == 1 else tuple(a and a[0] for a in arrived)
        gradients = backward(g)
        del backward, arrived  # saved arrays go before the next node allocates
        if not isinstance(gradients, tuple):
            gradients = (gradients,)
        # Settings may stand among the arguments (x.sum(0)) or at their defaults: the counts may differ, but not in
        # what wants or brings a gradient.
        without, beyond = parents[len(gradients) :], gradients[len(parents) :]
        if any(one is not None for one in (*without, *beyond)):
            raise RuntimeError(f"backward returned {len(gradients)} gradients for {len(parents)} arguments")
        incoming = g if isinstance(g, tuple) else (g,)
        for parent, gradient in zip(parents, gradients, strict=False):
            if gradient is not None and parent is not None:
                if callable(gradient):
                    gradient = gradient()
                # Ours to write into only if no one else can hold it: not g, and not a view of something.
                owned = gradient.base is None and not any(gradient is one for one in incoming)
                summed = unbroadcast(gradient, parent.shape)
                _deliver(parent, summed, owned or summed is not gradient, waiting)


def _deliver(place, gradient, owned, waiting):
    """Add a gradient to what has arrived for ``place``, a leaf tensor or an Origin.

    ``owned``: no one else holds the array, so that later gradients may be added into it.
    """
    if not is_array(gradient):  # NumPy turns results without axes into scalars, which cannot be written into
        gradient = backend_of(gradient).asarray(gradient)
    if gradient.dtype != place.dtype:
        gradient, owned = gradient.astype(place.dtype), True
    if isinstance(place, Tensor):
        if place.grad is None:
            place.grad = gradient if owned else gradient.copy()
        else:
            place.grad += gradient
        return
    node, position = place.node, place.position
    before = node.arrived[position]
    if before is None:
        if all(a is None for a in node.arrived):
            heapq.heappush(waiting, node)
        node.arrived[position] = (gradient, owned)
    elif before[1]:
        total = before[0]
        total += gradient
    else:
        node.arrived[position] = (before[0] + gradient, True)


def unbroadcast(gradient, shape):
    """Sum a gradient over the axes along which an argument of ``shape`` was broadcast."""
    if gradient.shape == shape:
        return gradient
    extra = gradient.ndim - len(shape)
    stretched = tuple(axis for axis, size in enumerate(shape) if size == 1 and gradient.shape[axis + extra] != 1)
    axes = tuple(range(extra)) + tuple(axis + extra for axis in stretched)
    return gradient.sum(axis=axes, keepdims=True).reshape(shape)
