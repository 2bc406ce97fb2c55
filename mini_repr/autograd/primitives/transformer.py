"""The two branches of a pre-norm transformer block, each one primitive.

Both are independent from image to image, or row to row: a block of rows goes through norm, products and activation
while it is in the cache, on every core at once (``map_shares``). What is saved is little: the normalised rows, and one
wide array a branch. Composed of their parts they would read and write memory a dozen times more often.
"""

from mini_repr.autograd.primitive import primitive
from mini_repr.autograd.primitives.attention import attend_back_into, attend_into, heads_of, thirds
from mini_repr.autograd.primitives.elementwise import gelu_and_slope, gelu_values
from mini_repr.autograd.primitives.normalisation import normalise_back_into, normalise_into
from mini_repr.backend import backend_of, blocks_of

# Bytes of the widest array of a block: it and its neighbours fit the second-level cache.
WIDE_BYTES = 512 * 1024


@primitive
def mlp_branch(x, gain, bias, weight_in, bias_in, weight_out, bias_out, eps=1e-5):
    """gelu(layer_norm(x) @ weight_in + bias_in) @ weight_out + bias_out over the last axis.

    Args:
        x: (..., D). gain, bias: (D,) of the norm. weight_in: (D, H). bias_in: (H,). weight_out: (H, D). bias_out: (D,).
    """
    backend = backend_of(x)
    xp = backend.xp
    rows = x.reshape(-1, x.shape[-1])
    hidden_width = weight_in.shape[1]
    normal, output = xp.empty_like(rows), xp.empty_like(rows)
    rstd = xp.empty((len(rows), 1), dtype=x.dtype)
    hidden = xp.empty((len(rows), hidden_width), dtype=x.dtype)
    blocks = blocks_of(len(rows), max(1, WIDE_BYTES // (hidden_width * x.dtype.itemsize)))

    def forward(share):
        for block in share:
            normalise_into(xp, rows[block], normal[block], rstd[block], eps)
            xp.matmul(normal[block] * gain + bias, weight_in, out=hidden[block])
            hidden[block] += bias_in
            xp.matmul(gelu_values(xp, hidden[block]), weight_out, out=output[block])
            output[block] += bias_out

    backend.map_shares(forward, blocks)

    def backward(g):
        g_rows, g_x = g.reshape(-1, g.shape[-1]), xp.empty_like(rows)

        def walk(share):
            sums = [xp.zeros_like(p) for p in (gain, bias, weight_in, bias_in, weight_out, bias_out)]
            g_gain, g_bias, g_weight_in, g_bias_in, g_weight_out, g_bias_out = sums
            for block in share:
                g_block = g_rows[block]
                active, slope = gelu_and_slope(xp, hidden[block])
                g_weight_out += active.T @ g_block
                g_bias_out += g_block.sum(axis=0)
                g_hidden = xp.matmul(g_block, weight_out.T, out=active)
                g_hidden *= slope
                g_weight_in += (normal[block] * gain + bias).T @ g_hidden
                g_bias_in += g_hidden.sum(axis=0)
                g_norm = g_hidden @ weight_in.T
                g_gain += (g_norm * normal[block]).sum(axis=0)
                g_bias += g_norm.sum(axis=0)
                g_norm *= gain
                normalise_back_into(xp, g_norm, normal[block], rstd[block], g_x[block])
            return sums

        parts = backend.map_shares(walk, blocks)
        return g_x.reshape(x.shape), *(sum(part[1:], part[0]) for part in zip(*parts, strict=True))

    return output.reshape(x.shape), backward


@primitive
def attention_branch(x, gain, bias, weight_qkv, bias_qkv, weight_out, bias_out, mask=None, heads=1, eps=1e-5):
    """Multi-head self-attention of layer_norm(x), with its projections.

    Args:
        x: (B, N, D). gain, bias: (D,) of the norm. weight_qkv: (D, 3 D), queries, keys and values side by side.
        bias_qkv: (3 D,). weight_out: (D, D). bias_out: (D,).
        mask: boolean, broadcastable to (B, heads, N, N), True where a query (axis 2) may look (axis 3); a query that
            may look nowhere mixes nothing. heads: divisor of D.
    Returns:
        (output (B, N, D), weights (B, heads, N, N)). The weights carry no gradient: they are for looking at.
    """
    backend = backend_of(x)
    xp = backend.xp
    x = xp.ascontiguousarray(x)  # flat() below must give views, for they are written into
    batch, tokens, width = x.shape
    normal, output, mixed = xp.empty_like(x), xp.empty_like(x), xp.empty_like(x)
    rstd = xp.empty((batch, tokens, 1), dtype=x.dtype)
    qkv = xp.empty((batch, tokens, 3 * width), dtype=x.dtype)
    weights = xp.empty((batch, heads, tokens, tokens), dtype=x.dtype)
    mask = None if mask is None else xp.broadcast_to(mask, weights.shape)
    blocks = blocks_of(batch, max(1, WIDE_BYTES // (tokens * 3 * width * x.dtype.itemsize)))

    def flat(array):
        return array.reshape(-1, array.shape[-1])

    def forward(share):
        for block in share:
            normalise_into(xp, flat(x[block]), flat(normal[block]), flat(rstd[block]), eps)
            xp.matmul(flat(normal[block] * gain + bias), weight_qkv, out=flat(qkv[block]))
            qkv[block] += bias_qkv
            q, k, v, rows = (heads_of(part, heads) for part in (*thirds(qkv[block]), mixed[block]))
            attend_into(xp, q, k, v, weights[block], rows, None if mask is None else mask[block])
            xp.matmul(flat(mixed[block]), weight_out, out=flat(output[block]))
            output[block] += bias_out

    backend.map_shares(forward, blocks)

    def backward(gradients):
        g, g_x = gradients[0], xp.empty_like(x)

        def walk(share):
            sums = [xp.zeros_like(p) for p in (gain, bias, weight_qkv, bias_qkv, weight_out, bias_out)]
            g_gain, g_bias, g_weight_qkv, g_bias_qkv, g_weight_out, g_bias_out = sums
            for block in share:
                g_block = flat(g[block])
                g_weight_out += flat(mixed[block]).T @ g_block
                g_bias_out += g_block.sum(axis=0)
                g_mixed = (g_block @ weight_out.T).reshape(mixed[block].shape)
                g_qkv = xp.empty_like(qkv[block])
                g_heads, q, k, v, rows, g_q, g_k, g_v = (
                    heads_of(part, heads) for part in (g_mixed, *thirds(qkv[block]), mixed[block], *thirds(g_qkv))
                )
                attend_back_into(xp, g_heads, q, k, v, weights[block], rows, g_q, g_k, g_v)
                g_qkv = flat(g_qkv)
                g_weight_qkv += flat(normal[block] * gain + bias).T @ g_qkv
                g_bias_qkv += g_qkv.sum(axis=0)
                g_norm = g_qkv @ weight_qkv.T
                g_gain += (g_norm * flat(normal[block])).sum(axis=0)
                g_bias += g_norm.sum(axis=0)
                g_norm *= gain
                normalise_back_into(xp, g_norm, flat(normal[block]), flat(rstd[block]), flat(g_x[block]))
            return sums

        parts = backend.map_shares(walk, blocks)
        return g_x, *(sum(part[1:], part[0]) for part in zip(*parts, strict=True))

    return (output, weights), backward
