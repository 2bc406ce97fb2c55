"""Primitives that move elements and compute nothing."""

import builtins
from itertools import pairwise

from mini_repr.autograd.primitive import primitive
from mini_repr.backend import backend_of


@primitive
def reshape(x, /, shape):
    """The same elements in another shape."""
    return x.reshape(shape), lambda g: g.reshape(x.shape)


@primitive
def transpose(x, /, axes=None):
    """Axes permuted (reversed for ``None``)."""
    back = None if axes is None else tuple(sorted(range(len(axes)), key=lambda i: axes[i] % len(axes)))
    return x.transpose(axes), lambda g: g.transpose(back)


@primitive
def broadcast_to(x, /, shape):
    """x repeated to ``shape`` by the broadcasting rules; the engine sums the gradient back."""
    return backend_of(x).xp.broadcast_to(x, shape), lambda g: g


@primitive
def concatenate(*parts, axis=0):
    """Arrays joined along an axis that they share."""
    ends = [0]
    for part in parts:
        ends.append(ends[-1] + part.shape[axis])

    def backward(g):
        return tuple(_slice(g, axis, start, stop) for start, stop in pairwise(ends))

    return backend_of(*parts).xp.concatenate(parts, axis=axis), backward


@primitive
def stack(*parts, axis=0):
    """Arrays of one shape along a new axis."""
    xp = backend_of(*parts).xp

    def backward(g):
        g = xp.moveaxis(g, axis, 0)
        return tuple(g[i] for i in range(len(parts)))

    return xp.stack(parts, axis=axis), backward


@primitive
def split(x, /, sizes, axis=0):
    """x cut along an axis into pieces of the given sizes: a tuple of tensors."""
    ends = [0]
    for size in sizes:
        ends.append(ends[-1] + size)
    if ends[-1] != x.shape[axis]:
        raise ValueError(f"split: sizes {tuple(sizes)} add up to {ends[-1]}, axis {axis} has {x.shape[axis]}")
    pieces = tuple(_slice(x, axis, start, stop) for start, stop in pairwise(ends))

    def backward(gradients):
        xp = backend_of(x).xp
        gradient = xp.zeros_like(x)
        for g, (start, stop) in zip(gradients, pairwise(ends), strict=True):
            if g is not None:
                _slice(gradient, axis, start, stop)[...] = g
        return gradient

    return pieces, backward


@primitive
def getitem(x, /, index):
    """x[index] for slices, integers, boolean masks and integer arrays; repeated positions add their gradients.

    A number out of range in an array is an IndexError on the host; CuPy wraps it round. Numbers from outside are
    checked where they come in (``Labels``, ``Embedding``, the patches of a ViT).
    """
    backend = backend_of(x)

    def backward(g):
        gradient = backend.xp.zeros_like(x)
        if _repeats(index):
            backend.scatter_add(gradient, index, g)
        else:
            gradient[index] = g
        return gradient

    return x[index], backward


@primitive
def take_along(x, /, indices, axis):
    """Elements picked along ``axis`` by an integer array of the same number of axes (``take_along_axis``).

    Numbers out of range: as for ``getitem``.
    """
    backend = backend_of(x)
    xp = backend.xp

    def backward(g):
        gradient = xp.zeros_like(x)
        places = [
            xp.arange(size).reshape([-1 if i == k else 1 for i in range(x.ndim)])
            for k, size in enumerate(indices.shape)
        ]
        places[axis] = indices
        backend.scatter_add(gradient, tuple(places), g)
        return gradient

    return xp.take_along_axis(x, indices, axis=axis), backward


@primitive
def off_diagonal(matrix, /):
    """The matrix (N, N) without its diagonal, as (N, N - 1)."""
    xp = backend_of(matrix).xp
    rows = xp.arange(len(matrix))[:, None]
    columns = xp.arange(len(matrix) - 1)[None, :]
    columns = columns + (columns >= rows)

    def backward(g):
        gradient = xp.zeros_like(matrix)
        gradient[rows, columns] = g
        return gradient

    return matrix[rows, columns], backward


@primitive
def scatter_rows(rows, /, index, count):
    """(N, ...) rows added into ``count`` rows of zeros at integer positions ``index`` (N,).

    Numbers out of range: as for ``getitem``.
    """
    backend = backend_of(rows)
    output = backend.xp.zeros((count,) + rows.shape[1:], dtype=rows.dtype)
    backend.scatter_add(output, index, rows)
    return output, lambda g: g[index]


def _slice(x, axis, start, stop):
    index = [builtins.slice(None)] * x.ndim
    index[axis] = builtins.slice(start, stop)
    return x[tuple(index)]


def _repeats(index):
    """Whether an index may name an element twice: only integer arrays can."""
    parts = index if isinstance(index, tuple) else (index,)
    return any((getattr(part, "ndim", 0) > 0 and part.dtype.kind in "iu") or isinstance(part, list) for part in parts)
