"""Multi-head scaled dot-product attention, fused: one primitive from projected rows to mixed rows.

Vaswani et al. 2017, arXiv 1706.03762, eq. 1.
"""

from math import sqrt

from mini_repr.autograd.primitive import primitive
from mini_repr.backend import backend_of


@primitive
def attention(query, key, value, mask=None, heads=1):
    """softmax(q kᵀ / sqrt(D/heads)) v for each head.

    Args:
        query: (B, N, D). key, value: (B, M, D). D is a multiple of ``heads``; head h owns columns h*D/heads onward.
        mask: boolean, broadcastable to (B, heads, N, M); True where a query may look. A query that may look nowhere
            gives a zero row.
    Returns:
        (output (B, N, D), weights (B, heads, N, M)). The weights carry no gradient: they are for looking at.
    """
    xp = backend_of(query).xp
    q, k, v = (_heads(x, heads) for x in (query, key, value))
    scale = 1 / sqrt(q.shape[-1])
    p = _weights(xp, q, k, mask, scale)
    output = _rows(p @ v)

    def backward(gradients):
        g = _heads(gradients[0], heads)
        g_v = p.swapaxes(-1, -2) @ g
        g_p = g @ v.swapaxes(-1, -2)
        # Softmax: p (g_p - p·g_p), and p·g_p = g·output, a sum over D/heads elements in place of M.
        g_p -= (g * (p @ v)).sum(axis=-1, keepdims=True)
        g_p *= p
        g_p *= scale
        return _rows(g_p @ k), _rows(g_p.swapaxes(-1, -2) @ q), _rows(g_v), None

    return (output, p), backward


def _weights(xp, q, k, mask, scale):
    p = q @ k.swapaxes(-1, -2)
    p *= scale
    if mask is not None:
        p = xp.where(mask, p, -xp.inf)
    top = p.max(axis=-1, keepdims=True)
    p -= top if mask is None else xp.where(xp.isfinite(top), top, 0)
    xp.exp(p, out=p)
    total = p.sum(axis=-1, keepdims=True)
    p /= total if mask is None else xp.where(total == 0, 1, total)
    return p


def _heads(x, heads):
    """(B, N, D) to (B, heads, N, D/heads), a view."""
    return x.reshape(x.shape[0], x.shape[1], heads, -1).swapaxes(1, 2)


def _rows(x):
    """(B, heads, N, D/heads) to (B, N, D)."""
    x = x.swapaxes(1, 2)
    return x.reshape(x.shape[0], x.shape[1], -1)
