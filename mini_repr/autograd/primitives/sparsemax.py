"""Sparsemax over the last axis: the point of the probability simplex that lies nearest to x.

Martins, Astudillo 2016, arXiv 1602.02068, section 2.
"""

from mini_repr.autograd.primitive import primitive
from mini_repr.backend import backend_of


@primitive
def sparsemax(x, /):
    """max(x - tau, 0) with the threshold tau that makes it sum to 1.

    With x sorted downwards, the support holds the k largest elements, k the last place where 1 + k x_(k) exceeds the
    sum of the first k. Gradient: on the support g - mean of g over the support, elsewhere 0. An element that equals
    tau is outside the support; equal elements get equal shares.
    """
    xp = backend_of(x).xp
    x = x - x.real.max(axis=-1, keepdims=True)  # moves every element and tau alike, and saves digits
    ordered = xp.sort(x.real, axis=-1)[..., ::-1]
    sums = xp.cumsum(ordered, axis=-1)
    places = xp.arange(1, x.shape[-1] + 1, dtype=ordered.dtype)
    last = (1 + places * ordered > sums).sum(axis=-1, keepdims=True) - 1
    support = x.real >= xp.take_along_axis(ordered, last, axis=-1)
    size = support.sum(axis=-1, keepdims=True, dtype=ordered.dtype)
    tau = ((x * support).sum(axis=-1, keepdims=True) - 1) / size
    support &= x.real > tau.real  # round-off in the sums may let in an element at tau itself
    p = xp.where(support, x - tau, 0)

    def backward(g):
        gradient = g * support
        gradient -= support * (gradient.sum(axis=-1, keepdims=True) / size)
        return gradient

    return p, backward
