"""Multi-head scaled dot-product attention, fused: one primitive from projected rows to mixed rows.

Vaswani et al. 2017, arXiv 1706.03762, eq. 1. The work is done a block of the batch at a time (``row_blocks``), so that
a block's weights are still in the cache when they meet the values.
"""

from functools import partial
from math import sqrt

from mini_repr.autograd.primitive import primitive
from mini_repr.autograd.primitives.sparsemax import sparsemax
from mini_repr.backend import backend_of
from mini_repr.fused import by_rows


@primitive
def attention(query, key, value, /, mask=None, heads=1, sparse=False):
    """softmax(q kᵀ / sqrt(D/heads)) v for each head.

    Args:
        query: (B, N, D). key, value: (B, M, D). D is a multiple of ``heads``; head h owns columns h*D/heads onward.
        mask: boolean, broadcastable to (B, heads, N, M); True where a query may look. A query that may look nowhere
            gives a zero row.
        sparse: sparsemax in place of softmax (Martins, Astudillo 2016, arXiv 1602.02068): most weights are exactly 0.
    Returns:
        (output (B, N, D), weights (B, heads, N, M)). Both carry gradients.
    """
    outputs, back = _attend(query, key, value, mask, heads, sparse)
    xp = backend_of(query).xp

    def backward(gradients):
        g_query, g_key, g_value = xp.empty_like(query), xp.empty_like(key), xp.empty_like(value)
        back(gradients, g_query, g_key, g_value)
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
        back(gradients, *thirds(g_packed))
        return g_packed

    return outputs, backward


def _attend(query, key, value, mask, heads, sparse):
    """((output, weights), back); ``back(gradients of both, g_query, g_key, g_value)`` fills the last three."""
    backend = backend_of(query)
    xp = backend.xp
    q, k, v = (heads_of(x, heads) for x in (query, key, value))
    dtype = xp.result_type(query, key, value)
    output = xp.empty(query.shape, dtype=dtype)
    weights = xp.empty(q.shape[:3] + k.shape[2:3], dtype=dtype)
    masks = () if mask is None else (xp.broadcast_to(mask, weights.shape),)
    backend.row_blocks(partial(attend_into, backend, sparse=sparse), q, k, v, weights, heads_of(output, heads), *masks)

    def back(gradients, g_query, g_key, g_value):
        g, g_weights = gradients
        g = xp.zeros_like(output) if g is None else g
        split = [heads_of(x, heads) for x in (g, query, key, value, output, g_query, g_key, g_value)]
        looked_at = () if g_weights is None else (g_weights,)
        kernel = partial(attend_back_into, backend, sparse=sparse)
        backend.row_blocks(kernel, *split[:4], weights, *split[4:], *looked_at)

    return (output, weights), back


def attend_into(backend, q, k, v, p, output, mask=None, sparse=False):
    """Fill the weights ``p`` (B, heads, N, M) and the mixed rows ``output`` from heads (B, heads, N or M, D/heads)."""
    backend.matmul(q, k.swapaxes(-1, -2), out=p)
    if sparse:
        _shift(backend.xp, 1 / sqrt(q.shape[-1]), mask, p)
        # Nothing that lies 1 or more below the largest is in the support, so -2 stands for what is masked.
        p[...] = sparsemax.on_arrays(backend.xp.where(p.real > -2, p, -2))[0]
        if mask is not None:
            p *= mask  # for rows that look nowhere
    else:
        scaled_softmax(backend, 1 / sqrt(q.shape[-1]), mask, p)
    backend.matmul(p, v, out=output)


@by_rows(
    "number scale, bool mask",
    "T p",
    """
    const int HELD = 4;  // elements of a lane that stay in registers; of longer rows the rest comes from memory again
    T held[HELD], top = -INFINITY, total = 0;
    #define LOGIT(c) (GIVEN(c) ? p[row * width + c] * scale : -INFINITY)
    #ifdef WITH_MASK
        #define GIVEN(c) (c < width && mask[row * width + c])
    #else
        #define GIVEN(c) (c < width)
    #endif
    #pragma unroll
    for (int k = 0; k < HELD; ++k) {
        held[k] = LOGIT(lane + 32 * k);
        top = fmax(top, held[k]);
    }
    for (long long c = lane + 32 * HELD; c < width; c += 32) top = fmax(top, LOGIT(c));
    top = warp_max(top);
    if (!isfinite(top)) top = 0;
    #pragma unroll
    for (int k = 0; k < HELD; ++k) {
        held[k] = exp(held[k] - top);
        total += held[k];
    }
    for (long long c = lane + 32 * HELD; c < width; c += 32) {
        p[row * width + c] = exp(LOGIT(c) - top);
        total += p[row * width + c];
    }
    total = warp_sum(total);
    if (total == 0) total = 1;
    #pragma unroll
    for (int k = 0; k < HELD; ++k) {
        if (lane + 32 * k < width) p[row * width + lane + 32 * k] = held[k] / total;
    }
    for (long long c = lane + 32 * HELD; c < width; c += 32) p[row * width + c] /= total;
    #undef LOGIT
    #undef GIVEN
    """,
)
def scaled_softmax(backend, scale, mask, p):
    """Turn products ``p`` (..., M) into softmax(scale p), 0 where ``mask`` is False (None: nowhere), in place."""
    xp = backend.xp
    _shift(xp, scale, mask, p)
    xp.exp(p, out=p)
    # A product with ones is three times as fast as a sum of short rows.
    total = (p.reshape(-1, p.shape[-1]) @ xp.ones((p.shape[-1], 1), p.dtype)).reshape(*p.shape[:-1], 1)
    p /= total if mask is None else xp.where(total == 0, 1, total)


def _shift(xp, scale, mask, p):
    """Scale ``p``, set what is masked to -inf, and subtract each row's largest."""
    p *= scale
    if mask is not None:
        xp.copyto(p, -xp.inf, where=~mask)
    top = p.max(axis=-1, keepdims=True)
    p -= top if mask is None else xp.where(xp.isfinite(top), top, 0)


def attend_back_into(backend, g, q, k, v, p, output, g_q, g_k, g_v, g_weights=None, sparse=False):
    """Fill the gradients of q, k and v from that of ``output``, ``g``, and of the weights, where there is one."""
    xp, g = backend.xp, backend.for_products(g)
    backend.matmul(p.swapaxes(-1, -2), g, out=g_v)
    g_p = xp.empty(p.shape, p.dtype)
    backend.matmul(g, v.swapaxes(-1, -2), out=g_p)
    if g_weights is not None:
        g_p += g_weights
    if sparse:
        # Sparsemax: on the support g_p less its mean over the support.
        support = p > 0
        g_p *= support
        size = xp.maximum(support.sum(axis=-1, keepdims=True, dtype=p.dtype), 1)
        g_p -= support * (g_p.sum(axis=-1, keepdims=True) / size)
        g_p *= 1 / sqrt(q.shape[-1])
    elif g_weights is not None:  # p·g_p is then no longer g·output
        g_p -= backend.row_dots(p, g_p)
        g_p *= p
        g_p *= 1 / sqrt(q.shape[-1])
    else:
        scaled_softmax_back(backend, 1 / sqrt(q.shape[-1]), p, g, output, g_p)
    backend.matmul(g_p, k, out=g_q)
    backend.matmul(g_p.swapaxes(-1, -2), q, out=g_k)


@by_rows(
    "number scale, T p, form T g, form T output",
    "T g_p",
    """
    T along = 0;
    for (long long c = lane; c < width; c += 32) along += p[row * width + c] * g_p[row * width + c];
    along = warp_sum(along);
    for (long long c = lane; c < width; c += 32) {
        const long long k = row * width + c;
        g_p[k] = (g_p[k] - along) * p[k] * scale;
    }
    """,
)
def scaled_softmax_back(backend, scale, p, g, output, g_p):
    """Turn the gradient of the weights ``p`` into that of the products before scale and softmax, in place.

    p (g_p - p·g_p) scale, and p·g_p = g·output, a sum over D/heads elements in place of M: NumPy's form takes it.
    """
    g_p -= backend.row_dots(g, output)
    g_p *= p
    g_p *= scale


def thirds(packed):
    """Queries, keys and values, views of a packed (..., 3 D)."""
    width = packed.shape[-1] // 3
    return packed[..., :width], packed[..., width : 2 * width], packed[..., 2 * width :]


def parts_of(qkv):
    """Queries, keys and values (B, heads, N, D/heads), views of (B, N, 3, heads, D/heads), or of one for all three."""
    return (qkv[:, :, part % qkv.shape[2]].swapaxes(1, 2) for part in range(3))


def heads_of(x, heads):
    """(B, N, D) to (B, heads, N, D/heads), a view where the last axis is contiguous."""
    return x.reshape(x.shape[0], x.shape[1], heads, x.shape[2] // heads).swapaxes(1, 2)
