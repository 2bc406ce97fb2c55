"""Softmax over the last axis, and its logarithm."""

from mini_repr.autograd.primitive import primitive
from mini_repr.backend import backend_of


@primitive
def softmax(x, /):
    """e ** x / sum e ** x over the last axis. Gradient p (g - p·g)."""
    backend = backend_of(x)
    p = backend.xp.exp(x - x.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)

    def backward(g):
        gradient = g - backend.row_dots(g, p)
        gradient *= p
        return gradient

    return p, backward


@primitive
def log_softmax(x, /):
    """x - log sum e ** x over the last axis. Gradient g - p sum(g)."""
    xp = backend_of(x).xp
    output = x - x.max(axis=-1, keepdims=True)
    output -= xp.log(xp.exp(output).sum(axis=-1, keepdims=True))
    return output, lambda g: g - xp.exp(output) * g.sum(axis=-1, keepdims=True)
