"""Reductions over one axis, several or all (``axis=None``)."""

import builtins

from mini_repr.autograd.primitive import primitive
from mini_repr.backend import backend_of


def _restore(g, x, axis, keepdims):
    """Put back the reduced axes of ``g`` with length 1, so that it broadcasts against ``x``."""
    if keepdims:
        return g
    if axis is None:
        return g.reshape((1,) * x.ndim)
    return backend_of(x).xp.expand_dims(g, axis)


@primitive
def sum(x, /, axis=None, keepdims=False):
    """Sum of the elements."""
    xp = backend_of(x).xp

    def backward(g):
        return xp.broadcast_to(_restore(g, x, axis, keepdims), x.shape)

    return x.sum(axis=axis, keepdims=keepdims), backward


@primitive
def mean(x, /, axis=None, keepdims=False):
    """Mean of the elements."""
    xp = backend_of(x).xp
    output = x.mean(axis=axis, keepdims=keepdims)

    def backward(g):
        return xp.broadcast_to(_restore(g * (output.size / builtins.max(x.size, 1)), x, axis, keepdims), x.shape)

    return output, backward


@primitive
def max(x, /, axis=None, keepdims=False):
    """Largest element; equal ones share the gradient evenly."""
    return _extreme(x, axis, keepdims, "max")


@primitive
def min(x, /, axis=None, keepdims=False):
    """Smallest element; equal ones share the gradient evenly."""
    return _extreme(x, axis, keepdims, "min")


def _extreme(x, axis, keepdims, method):
    best = getattr(x.real, method)(axis=axis, keepdims=True)
    hits = x.real == best
    share = hits / hits.sum(axis=axis, keepdims=True, dtype=best.dtype)
    output = (x * share).sum(axis=axis, keepdims=keepdims)

    def backward(g):
        return (_restore(g, x, axis, keepdims) * share).astype(g.dtype)

    return output.astype(x.dtype), backward


@primitive
def logsumexp(x, /, axis=None, keepdims=False):
    """log sum e ** x, shifted by the largest element. A slice that is all -inf gives -inf and a zero gradient."""
    xp = backend_of(x).xp
    top = x.real.max(axis=axis, keepdims=True)
    top = xp.where(xp.isfinite(top), top, 0)
    shares = xp.exp(x - top)
    total = shares.sum(axis=axis, keepdims=True)
    empty = total == 0
    output = xp.where(empty, -xp.inf, xp.log(xp.where(empty, 1, total)) + top)
    shares /= xp.where(empty, 1, total)
    if not keepdims:
        output = output.reshape(()) if axis is None else xp.squeeze(output, axis)

    def backward(g):
        return _restore(g, x, axis, keepdims) * shares

    return output.astype(x.dtype), backward
