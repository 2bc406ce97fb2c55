"""Multi-head scaled dot-product attention, fused: one primitive from projected rows to mixed rows.

Vaswani et al. 2017, arXiv 1706.03762, eq. 1. The work is done a block of the batch at a time (``row_blocks``), so that
a block's weights are still in the cache when they meet the values.
"""

from functools import partial
from math import sqrt

from mini_repr.autograd.primitive import primitive
from mini_repr.autograd.primitives.sparsemax import sparsemax
from mini_repr.backend import backend_of


@primitive
def attention(query, key, value, /, mask=None, heads=1, sparse=False):
    """softmax(q kᵀ / sqrt(D/heads)) v for each head.

    Args:
        query: (B, N, D). key, value: (B, M, D). D is a multiple of ``heads``; head h owns columns h*D/heads onward.
        mask: boolean, broadcastable to (B, heads, N, M); True where a query may look. A query that may look nowhere
            gives a zero row.
        sparse: sparsemax in place of softmax (Martins, Astudillo 2016, arXiv 1602.02068): most weights are exactly 0.
    Returns:
        (output (B, N, D), weights (B, heads, N, M)). The weights carry no gradient: they are for looking at.
    """
    outputs, back = _attend(query, key, value, mask, heads, sparse)
    xp = backend_of(query).xp

    def backward(gradients):
        g_query, g_key, g_value = xp.empty_like(query), xp.empty_like(key), xp.empty_like(value)
        back(gradients[0], g_query, g_key, g_value)
        return g_query, g_key, g_value

    return outputs, backward


@primitive
def self_attention(packed, /, mask=None, heads=1, sparse=False):
    """``attention`` of rows with themselves, from queries, keys and values side by side: packed (B, N, 3 D).

    The gradient is written into one array, where three slices would cost three more passes.
    """
    outputs, back = _attend(*thirds(packed), mask, heads, sparse)

    def backward(gradients):
        g_packed = backend_of(packed).xp.empty_like(packed)
        back(gradients[0], *thirds(g_packed))
        return g_packed

    return outputs, backward


def _attend(query, key, value, mask, heads, sparse):
    """((output, weights), back); ``back(g, g_query, g_key, g_value)`` fills the last three."""
    backend = backend_of(query)
    xp = backend.xp
    q, k, v = (heads_of(x, heads) for x in (query, key, value))
    dtype = xp.result_type(query, key, value)
    output = xp.empty(query.shape, dtype=dtype)
    weights = xp.empty(q.shape[:3] + k.shape[2:3], dtype=dtype)
    masks = () if mask is None else (xp.broadcast_to(mask, weights.shape),)
    backend.row_blocks(partial(attend_into, xp, sparse=sparse), q, k, v, weights, heads_of(output, heads), *masks)

    def back(g, g_query, g_key, g_value):
        split = [heads_of(x, heads) for x in (g, query, key, value, output, g_query, g_key, g_value)]
        backend.row_blocks(partial(attend_back_into, xp, sparse=sparse), *split[:4], weights, *split[4:])

    return (output, weights), back


def attend_into(xp, q, k, v, p, output, mask=None, sparse=False):
    """Fill the weights ``p`` (B, heads, N, M) and the mixed rows ``output`` from heads (B, heads, N or M, D/heads)."""
    xp.matmul(q, k.swapaxes(-1, -2), out=p)
    p *= 1 / sqrt(q.shape[-1])
    if mask is not None:
        xp.copyto(p, -xp.inf, where=~mask)
    top = p.max(axis=-1, keepdims=True)
    p -= top if mask is None else xp.where(xp.isfinite(top), top, 0)
    if sparse:
        # Nothing that lies 1 or more below the largest is in the support, so -2 stands for what is masked.
        p[...] = sparsemax.on_arrays(xp.where(p.real > -2, p, -2))[0]
        if mask is not None:
            p *= mask  # for rows that look nowhere
    else:
        xp.exp(p, out=p)
        total = p.sum(axis=-1, keepdims=True)
        p /= total if mask is None else xp.where(total == 0, 1, total)
    xp.matmul(p, v, out=output)


def attend_back_into(xp, g, q, k, v, p, output, g_q, g_k, g_v, sparse=False):
    """Fill the gradients of q, k and v from the gradient ``g`` of ``output``."""
    xp.matmul(p.swapaxes(-1, -2), g, out=g_v)
    g_p = g @ v.swapaxes(-1, -2)
    if sparse:
        # Sparsemax: on the support g_p less its mean over the support.
        support = p > 0
        g_p *= support
        size = xp.maximum(support.sum(axis=-1, keepdims=True, dtype=p.dtype), 1)
        g_p -= support * (g_p.sum(axis=-1, keepdims=True) / size)
    else:
        # Softmax: p (g_p - p·g_p), and p·g_p = g·output, a sum over D/heads elements in place of M.
        g_p -= (g * output).sum(axis=-1, keepdims=True)
        g_p *= p
    g_p *= 1 / sqrt(q.shape[-1])
    xp.matmul(g_p, k, out=g_q)
    xp.matmul(g_p.swapaxes(-1, -2), q, out=g_k)


def thirds(packed):
    """Queries, keys and values, views of a packed (..., 3 D)."""
    width = packed.shape[-1] // 3
    return packed[..., :width], packed[..., width : 2 * width], packed[..., 2 * width :]


def heads_of(x, heads):
    """(B, N, D) to (B, heads, N, D/heads), a view where the last axis is contiguous."""
    return x.reshape(x.shape[0], x.shape[1], heads, x.shape[2] // heads).swapaxes(1, 2)
