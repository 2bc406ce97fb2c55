"""The two branches of a pre-norm transformer block, each one primitive.

Both are independent from image to image, or row to row: a block of rows goes through norm, products and activation
while it is in the cache, on every core at once (``map_shares``). What is saved is little: the normalised rows, and one
wide array a branch. Composed of their parts they would read and write memory a dozen times more often.
"""

from mini_repr.autograd.primitive import primitive
from mini_repr.autograd.primitives.attention import attend_back_into, attend_into, heads_of, thirds
from mini_repr.autograd.primitives.elementwise import gelu_and_slope, gelu_values
from mini_repr.autograd.primitives.normalisation import normalise_back_into, normalise_into
from mini_repr.backend import backend_of


@primitive
def mlp_branch(x, gain, bias, weight_in, bias_in, weight_out, bias_out, /, eps=1e-5, residual=False):
    """gelu(layer_norm(x) @ weight_in + bias_in) @ weight_out + bias_out over the last axis.

    Args:
        x: (..., D). gain, bias: (D,) of the norm. weight_in: (D, H). bias_in: (H,). weight_out: (H, D). bias_out: (D,).
        residual: whether to add x, while it is in the cache.
    """
    backend = backend_of(x)
    xp = backend.xp
    rows = x.reshape(-1, x.shape[-1])
    hidden_width = weight_in.shape[1]
    normal, output = xp.empty_like(rows), xp.empty_like(rows)
    rstd = xp.empty((len(rows), 1), dtype=x.dtype)
    hidden = xp.empty((len(rows), hidden_width), dtype=x.dtype)
    folded, folded_bias, unfold = _fold_affine(gain, bias, weight_in, bias_in)
    blocks = backend.product_blocks(len(rows), hidden_width * x.dtype.itemsize)

    def forward(share):
        for block in share:
            normalise_into(xp, rows[block], normal[block], rstd[block], eps)
            xp.matmul(normal[block], folded, out=hidden[block])
            hidden[block] += folded_bias
            xp.matmul(gelu_values(backend, hidden[block]), weight_out, out=output[block])
            output[block] += bias_out
            if residual:
                output[block] += rows[block]

    backend.map_shares(forward, blocks)

    def backward(g):
        g_rows, g_x = g.reshape(-1, g.shape[-1]), xp.empty_like(rows)

        def walk(share):
            sums = [xp.zeros_like(p) for p in (folded, folded_bias, weight_out, bias_out)]
            g_folded, g_folded_bias, g_weight_out, g_bias_out = sums
            for block in share:
                active, slope = gelu_and_slope(backend, hidden[block])
                g_weight_out += active.T @ g_rows[block]
                g_bias_out += g_rows[block].sum(axis=0)
                g_hidden = xp.matmul(g_rows[block], weight_out.T, out=active)
                g_hidden *= slope
                g_folded += normal[block].T @ g_hidden
                g_folded_bias += g_hidden.sum(axis=0)
                normalise_back_into(xp, g_hidden @ folded.T, normal[block], rstd[block], g_x[block])
                if residual:
                    g_x[block] += g_rows[block]
            return sums

        parts = backend.map_shares(walk, blocks)
        g_folded, g_folded_bias, *of_out = (sum(part[1:], part[0]) for part in zip(*parts, strict=True))
        return g_x.reshape(x.shape), *unfold(g_folded, g_folded_bias), *of_out

    return output.reshape(x.shape), backward


@primitive
def attention_branch(
    x,
    gain,
    bias,
    weight_qkv,
    bias_qkv,
    weight_out,
    bias_out,
    /,
    mask=None,
    heads=1,
    eps=1e-5,
    residual=False,
    sparse=False,
):
    """Multi-head self-attention of layer_norm(x), with its projections.

    Args:
        x: (B, N, D). gain, bias: (D,) of the norm. weight_qkv: (D, 3 D), queries, keys and values side by side.
        bias_qkv: (3 D,). weight_out: (D, D). bias_out: (D,).
        mask: boolean, broadcastable to (B, heads, N, N), True where a query (axis 2) may look (axis 3); a query that
            may look nowhere mixes nothing. heads: divisor of D.
        residual: whether to add x, while it is in the cache.
        sparse: sparsemax in place of softmax.
    Returns:
        (output (B, N, D), weights (B, heads, N, N)). The weights carry no gradient: they are for looking at.
    """
    backend = backend_of(x)
    xp = backend.xp
    x = xp.ascontiguousarray(x)  # so that every flat view below is one
    batch, tokens, width = x.shape
    normal, output, mixed = xp.empty_like(x), xp.empty_like(x), xp.empty_like(x)
    rstd = xp.empty((batch, tokens, 1), dtype=x.dtype)
    qkv = xp.empty((batch, tokens, 3 * width), dtype=x.dtype)
    weights = xp.empty((batch, heads, tokens, tokens), dtype=x.dtype)
    mask = None if mask is None else xp.broadcast_to(mask, weights.shape)
    folded, folded_bias, unfold = _fold_affine(gain, bias, weight_qkv, bias_qkv)
    blocks = backend.product_blocks(batch, tokens * 3 * width * x.dtype.itemsize)

    def flat(array):
        return array.reshape(-1, array.shape[-1])

    def forward(share):
        for block in share:
            normalise_into(xp, flat(x[block]), flat(normal[block]), flat(rstd[block]), eps)
            xp.matmul(flat(normal[block]), folded, out=flat(qkv[block]))
            qkv[block] += folded_bias
            q, k, v, rows = (heads_of(part, heads) for part in (*thirds(qkv[block]), mixed[block]))
            attend_into(xp, q, k, v, weights[block], rows, None if mask is None else mask[block], sparse)
            xp.matmul(flat(mixed[block]), weight_out, out=flat(output[block]))
            output[block] += bias_out
            if residual:
                output[block] += x[block]

    backend.map_shares(forward, blocks)

    def backward(gradients):
        g, g_x = gradients[0], xp.empty_like(x)

        def walk(share):
            sums = [xp.zeros_like(p) for p in (folded, folded_bias, weight_out, bias_out)]
            g_folded, g_folded_bias, g_weight_out, g_bias_out = sums
            for block in share:
                g_block = flat(g[block])
                g_weight_out += flat(mixed[block]).T @ g_block
                g_bias_out += g_block.sum(axis=0)
                g_mixed = (g_block @ weight_out.T).reshape(mixed[block].shape)
                g_packed = xp.empty_like(qkv[block])
                g_heads, q, k, v, rows, g_q, g_k, g_v = (
                    heads_of(part, heads) for part in (g_mixed, *thirds(qkv[block]), mixed[block], *thirds(g_packed))
                )
                attend_back_into(xp, g_heads, q, k, v, weights[block], rows, g_q, g_k, g_v, sparse)
                g_qkv = flat(g_packed)
                g_folded += flat(normal[block]).T @ g_qkv
                g_folded_bias += g_qkv.sum(axis=0)
                normalise_back_into(xp, g_qkv @ folded.T, flat(normal[block]), flat(rstd[block]), flat(g_x[block]))
                if residual:
                    g_x[block] += g[block]
            return sums

        parts = backend.map_shares(walk, blocks)
        g_folded, g_folded_bias, *of_out = (sum(part[1:], part[0]) for part in zip(*parts, strict=True))
        return g_x, *unfold(g_folded, g_folded_bias), *of_out

    return (output, weights), backward


def _fold_affine(gain, bias, weight, weight_bias):
    """(n * gain + bias) @ weight + weight_bias = n @ folded + folded_bias: so the affine part of a norm costs no pass.

    Returns:
        (folded (D, H), folded_bias (H,), unfold): ``unfold`` takes the gradients of the two and returns those of gain,
        bias, weight and weight_bias.
    """
    folded = gain[:, None] * weight

    def unfold(g_folded, g_folded_bias):
        g_weight = gain[:, None] * g_folded
        g_weight += bias[:, None] * g_folded_bias
        return (g_folded * weight).sum(axis=1), weight @ g_folded_bias, g_weight, g_folded_bias

    return folded, bias @ weight + weight_bias, unfold
