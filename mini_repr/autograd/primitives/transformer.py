"""The two branches of a pre-norm transformer block, each one primitive.

Both are independent from image to image, or row to row: a block of rows goes through norm, products and activation
while it is in the cache, on every core at once (``map_shares``). What is saved is little: the normalised rows, and one
wide array a branch. Composed of their parts they would read and write memory a dozen times more often.
"""

from mini_repr.autograd.primitive import primitive
from mini_repr.autograd.primitives.attention import attend_back_into, attend_into, heads_of, parts_of
from mini_repr.autograd.primitives.elementwise import biased_gelu, times_slope
from mini_repr.autograd.primitives.normalisation import normalise_back_into, normalise_into
from mini_repr.backend import backend_of
from mini_repr.fused import by_rows, elementwise


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
    normal, output = (xp.empty(rows.shape, x.dtype) for _ in range(2))
    rstd = xp.empty((len(rows), 1), dtype=x.dtype)
    hidden = xp.empty((len(rows), hidden_width), dtype=x.dtype)
    folded, folded_bias, unfold = _fold_affine(gain, bias, weight_in, bias_in)
    blocks = backend.product_blocks(len(rows), hidden_width * x.dtype.itemsize)

    def forward(share):
        for block in share:
            normalise_into(backend, rows[block], eps, normal[block], rstd[block])
            backend.matmul(normal[block], folded, out=hidden[block])
            active = xp.empty(hidden[block].shape, x.dtype)
            biased_gelu(backend, folded_bias, hidden[block], None, active)
            backend.matmul(active, weight_out, out=output[block])
            add_both(backend, bias_out, rows[block] if residual else None, output[block])

    backend.map_shares(forward, blocks)

    def backward(g):
        g_rows, g_x = g.reshape(-1, g.shape[-1]), xp.empty(rows.shape, x.dtype)

        def walk(share):
            g_folded = g_folded_bias = g_weight_out = g_bias_out = None
            for block in share:
                active, slope = (xp.empty(hidden[block].shape, x.dtype) for _ in range(2))
                biased_gelu(backend, folded_bias, hidden[block], slope, active)
                g_weight_out = _plus(g_weight_out, backend.product(active.T, g_rows[block]))
                g_bias_out = _plus(g_bias_out, backend.column_sums(g_rows[block]))
                g_hidden = active
                backend.matmul(g_rows[block], weight_out.T, out=g_hidden)
                times_slope(backend, folded_bias, hidden[block], slope, g_hidden)
                g_folded = _plus(g_folded, backend.product(normal[block].T, g_hidden))
                g_folded_bias = _plus(g_folded_bias, backend.column_sums(g_hidden))
                residual_g = g_rows[block] if residual else None
                g_normal = backend.product(g_hidden, folded.T)
                normalise_back_into(backend, normal[block], rstd[block], residual_g, g_normal, g_x[block])
            return g_folded, g_folded_bias, g_weight_out, g_bias_out

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
    normal, output, mixed = (xp.empty(x.shape, x.dtype) for _ in range(3))
    rstd = xp.empty((batch, tokens, 1), dtype=x.dtype)
    qkv = backend.empty_heads((batch, tokens, 3, heads, width // heads), x.dtype)
    weights = xp.empty((batch, heads, tokens, tokens), dtype=x.dtype)
    mask = None if mask is None else xp.broadcast_to(mask, weights.shape)
    folded, folded_bias, unfold = _fold_affine(gain, bias, weight_qkv, bias_qkv)
    blocks = backend.product_blocks(batch, tokens * 3 * width * x.dtype.itemsize)

    def flat(array):
        return array.reshape(-1, array.shape[-1])

    def forward(share):
        for block in share:
            normalise_into(backend, flat(x[block]), eps, flat(normal[block]), flat(rstd[block]))
            backend.linear_into(flat(normal[block]), folded, folded_bias, qkv[block])
            rows, seen = heads_of(mixed[block], heads), None if mask is None else mask[block]
            attend_into(backend, *parts_of(qkv[block]), weights[block], rows, seen, sparse)
            backend.matmul(flat(mixed[block]), weight_out, out=flat(output[block]))
            add_both(backend, bias_out, x[block] if residual else None, output[block])

    backend.map_shares(forward, blocks)

    def backward(gradients):
        g, g_x = gradients[0], xp.empty(x.shape, x.dtype)

        def walk(share):
            g_folded = g_folded_bias = g_weight_out = g_bias_out = None
            for block in share:
                g_block = flat(g[block])
                g_weight_out = _plus(g_weight_out, backend.product(flat(mixed[block]).T, g_block))
                g_bias_out = _plus(g_bias_out, backend.column_sums(g_block))
                g_mixed = backend.product(g_block, weight_out.T).reshape(mixed[block].shape)
                g_parts = backend.empty_heads(qkv[block].shape, x.dtype)
                g_heads, rows = heads_of(g_mixed, heads), heads_of(mixed[block], heads)
                attend_back_into(
                    backend, g_heads, *parts_of(qkv[block]), weights[block], rows, *parts_of(g_parts), sparse=sparse
                )
                g_qkv = backend.rows_of_heads(g_parts)
                g_folded = _plus(g_folded, backend.product(flat(normal[block]).T, g_qkv))
                g_folded_bias = _plus(g_folded_bias, backend.column_sums(g_qkv))
                normalise_back_into(
                    backend,
                    flat(normal[block]),
                    flat(rstd[block]),
                    g_block if residual else None,
                    backend.product(g_qkv, folded.T),
                    flat(g_x[block]),
                )
            return g_folded, g_folded_bias, g_weight_out, g_bias_out

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
    backend = backend_of(weight)
    folded = backend.xp.empty(weight.shape, weight.dtype)
    folded_bias = backend.xp.empty((weight.shape[1], 1), weight.dtype)
    fold_into(backend, gain, bias, weight, weight_bias, *weight.shape, folded_bias, folded)

    def unfold(g_folded, g_folded_bias):
        g_gain, g_bias, g_weight = (backend.xp.empty(one.shape, one.dtype) for one in (gain, bias, weight))
        unfold_into(backend, gain[:, None], bias[:, None], weight, g_folded, g_folded_bias, g_weight, g_gain, g_bias)
        return g_gain, g_bias, g_weight, g_folded_bias

    return folded, folded_bias[:, 0], unfold


@by_rows(
    "T gain, T bias, T weight, T weight_bias, int64 depth, int64 columns",
    "T folded_bias, T folded",
    """
    T sum = 0;
    for (long long d = lane; d < depth; d += 32) {
        const T value = weight[d * columns + row];
        folded[d * columns + row] = gain[d] * value;
        sum += bias[d] * value;
    }
    sum = warp_sum(sum);
    if (lane == 0) folded_bias[row] = sum + weight_bias[row];
    """,
)
def fold_into(backend, gain, bias, weight, weight_bias, depth, columns, folded_bias, folded):
    """Fill ``folded`` (D, H) with gain weight and ``folded_bias`` (H, 1) with bias @ weight + weight_bias."""
    backend.xp.multiply(gain[:, None], weight, out=folded)
    folded_bias[:, 0] = bias @ weight + weight_bias


@by_rows(
    "T gain, T bias, T weight, T g_folded, T g_folded_bias",
    "T g_weight, T g_gain, T g_bias",
    """
    T of_gain = 0, of_bias = 0;
    for (long long c = lane; c < width; c += 32) {
        const long long k = row * width + c;
        g_weight[k] = gain[row] * g_folded[k] + bias[row] * g_folded_bias[c];
        of_gain += g_folded[k] * weight[k];
        of_bias += weight[k] * g_folded_bias[c];
    }
    of_gain = warp_sum(of_gain);
    of_bias = warp_sum(of_bias);
    if (lane == 0) {
        g_gain[row] = of_gain;
        g_bias[row] = of_bias;
    }
    """,
)
def unfold_into(backend, gain, bias, weight, g_folded, g_folded_bias, g_weight, g_gain, g_bias):
    """Fill the gradients of weight (D, H), gain (D,) and bias (D,) from those of the two products; gain is (D, 1)."""
    backend.xp.multiply(gain, g_folded, out=g_weight)
    g_weight += bias * g_folded_bias
    g_gain[...] = (g_folded * weight).sum(axis=1)
    backend.xp.matmul(weight, g_folded_bias, out=g_bias)


@elementwise(
    "T bias, T residual",
    "T rows",
    """
    #ifdef WITH_RESIDUAL
        rows = rows + bias + residual;
    #else
        rows += bias;
    #endif
    """,
)
def add_both(backend, bias, residual, rows):
    """Add a bias and, where it is not None, a residual to ``rows``, in place."""
    rows += bias
    if residual is not None:
        rows += residual


def _plus(total, part):
    """``total`` with ``part`` added in place; ``part`` itself for the first."""
    if total is None:
        return part
    total += part
    return total
