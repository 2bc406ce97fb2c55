"""The two branches of a pre-norm transformer block, each one primitive.

Both are independent from image to image, or row to row: a block of rows goes through norm, products and activation
while it is in the cache, on every core at once (``map_shares``). What is saved is little: the normalised rows, and one
wide array a branch. Composed of their parts they would read and write memory a dozen times more often.

Each has a second form, adaptive: the input itself chooses the norm's scale and shift, and how much of the branch is
added (Peebles, Xie 2022, arXiv 2212.09748, section 3.2, "adaLN-Zero").
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
    affine, joined = _Affine(gain, bias, weight_in, bias_in), _Added(backend, residual)
    output, back = _mlp(backend, x.reshape(-1, 1, x.shape[-1]), affine, weight_out, bias_out, joined, eps)

    def backward(g):
        g_x, *others = back(g.reshape(-1, 1, x.shape[-1]))
        return g_x.reshape(x.shape), *others

    return output.reshape(x.shape), backward


@primitive
def adaptive_mlp_branch(x, scale, shift, gate, weight_in, bias_in, weight_out, bias_out, /, eps=1e-6):
    """x + gate * (gelu(n @ weight_in + bias_in) @ weight_out + bias_out), n = norm(x) * (1 + scale) + shift.

    Args:
        x: (B, N, D). scale, shift, gate: (B, D), of each input. The others as in ``mlp_branch``.
    """
    backend = backend_of(x)
    x = backend.xp.ascontiguousarray(x)
    modulated, joined = _Modulated(backend, scale, shift, weight_in, bias_in), _Gated(backend, gate, x)
    output, back = _mlp(backend, x, modulated, weight_out, bias_out, joined, eps)

    def backward(g):
        g_x, g_scale, g_shift, *others = back(g)
        return g_x, g_scale, g_shift, joined.g_gate, *others

    return output, backward


def _mlp(backend, x, norm, weight_out, bias_out, joined, eps):
    """(output, back): ``back(g)`` gives the gradients of x (B, N, D), of what ``norm`` holds, and of the last two."""
    xp = backend.xp
    count, tokens, _ = x.shape
    hidden_width = weight_out.shape[0]
    normal, output = (xp.empty(x.shape, x.dtype) for _ in range(2))
    rstd = xp.empty((count, tokens, 1), dtype=x.dtype)
    hidden = xp.empty((count, tokens, hidden_width), dtype=x.dtype)
    blocks = backend.product_blocks(count, tokens * hidden_width * x.dtype.itemsize)

    def forward(share):
        for block in share:
            before = _flat(hidden[block])
            normalise_into(backend, _flat(x[block]), eps, _flat(normal[block]), _flat(rstd[block]))
            backend.matmul(_flat(norm.of(block, normal[block])), norm.weight, out=before)
            active = xp.empty(before.shape, x.dtype)
            biased_gelu(backend, norm.weight_bias, before, None, active)
            backend.matmul(active, weight_out, out=_flat(output[block]))
            joined.join(block, x[block], bias_out, output[block])

    backend.map_shares(forward, blocks)

    def back(g):
        g_x = xp.empty(x.shape, x.dtype)

        def walk(share):
            sums = None
            for block in share:
                before, g_rows = _flat(hidden[block]), _flat(joined.of_branch(block, g[block]))
                active = xp.empty(before.shape, x.dtype)
                slope = xp.empty(before.shape, x.dtype) if backend.keeps_slopes else None
                biased_gelu(backend, norm.weight_bias, before, slope, active)
                of_out = backend.product(active.T, g_rows), backend.column_sums(g_rows)
                g_hidden = active
                backend.matmul(g_rows, weight_out.T, out=g_hidden)
                times_slope(backend, norm.weight_bias, before, slope, g_hidden)
                of_norm = _back_to_x(backend, block, norm, joined, g_hidden, normal, rstd, g, g_x)
                sums = _plus(sums, (*of_norm, *of_out))
            return sums

        g_weight, g_weight_bias, *of_out = _summed(backend.map_shares(walk, blocks))
        return g_x, *norm.gradients(g_weight, g_weight_bias), *of_out

    return output, back


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
        x: (B, N, D). gain, bias: (D,) of the norm. weight_qkv: (D, 3 D), queries, keys and values side by side, or
            (D, D), one map for all three. bias_qkv: (3 D,) or (D,); None for none. weight_out: (D, D). bias_out: (D,).
        mask: boolean, broadcastable to (B, heads, N, N), True where a query (axis 2) may look (axis 3); a query that
            may look nowhere mixes nothing. heads: divisor of D.
        residual: whether to add x, while it is in the cache.
        sparse: sparsemax in place of softmax.
    Returns:
        (output (B, N, D), weights (B, heads, N, N)). Both carry gradients.
    """
    backend = backend_of(x)
    x = backend.xp.ascontiguousarray(x)  # so that every flat view is one
    affine, joined = _Affine(gain, bias, weight_qkv, bias_qkv), _Added(backend, residual)
    return _attention(backend, x, affine, weight_out, bias_out, joined, mask, heads, eps, sparse)


@primitive
def adaptive_attention_branch(
    x, scale, shift, gate, weight_qkv, bias_qkv, weight_out, bias_out, /, mask=None, heads=1, eps=1e-6
):
    """x + gate * self-attention of norm(x) * (1 + scale) + shift, with its projections.

    Args:
        x: (B, N, D). scale, shift, gate: (B, D), of each input. The others as in ``attention_branch``.
    Returns:
        (output (B, N, D), weights (B, heads, N, N)). Both carry gradients.
    """
    backend = backend_of(x)
    x = backend.xp.ascontiguousarray(x)
    modulated, joined = _Modulated(backend, scale, shift, weight_qkv, bias_qkv), _Gated(backend, gate, x)
    outputs, back = _attention(backend, x, modulated, weight_out, bias_out, joined, mask, heads, eps, sparse=False)

    def backward(gradients):
        g_x, g_scale, g_shift, *others = back(gradients)
        return g_x, g_scale, g_shift, joined.g_gate, *others

    return outputs, backward


def _attention(backend, x, norm, weight_out, bias_out, joined, mask, heads, eps, sparse):
    """((output, weights), back): ``back`` gives the gradients of x, of what ``norm`` holds, and of the last two."""
    xp = backend.xp
    batch, tokens, width = x.shape
    parts = norm.weight.shape[1] // width
    normal, output, mixed = (xp.empty(x.shape, x.dtype) for _ in range(3))
    rstd = xp.empty((batch, tokens, 1), dtype=x.dtype)
    qkv = backend.empty_heads((batch, tokens, parts, heads, width // heads), x.dtype)
    weights = xp.empty((batch, heads, tokens, tokens), dtype=x.dtype)
    mask = None if mask is None else xp.broadcast_to(mask, weights.shape)
    blocks = backend.product_blocks(batch, tokens * 3 * width * x.dtype.itemsize)

    def forward(share):
        for block in share:
            normalise_into(backend, _flat(x[block]), eps, _flat(normal[block]), _flat(rstd[block]))
            backend.linear_into(_flat(norm.of(block, normal[block])), norm.weight, norm.weight_bias, qkv[block])
            rows, seen = heads_of(mixed[block], heads), None if mask is None else mask[block]
            attend_into(backend, *parts_of(qkv[block]), weights[block], rows, seen, sparse)
            backend.matmul(_flat(mixed[block]), weight_out, out=_flat(output[block]))
            joined.join(block, x[block], bias_out, output[block])

    backend.map_shares(forward, blocks)

    def back(gradients):
        g, g_weights = gradients
        g, g_x = xp.zeros_like(output) if g is None else g, xp.empty(x.shape, x.dtype)

        def walk(share):
            sums = None
            for block in share:
                g_rows = _flat(joined.of_branch(block, g[block]))
                of_out = backend.product(_flat(mixed[block]).T, g_rows), backend.column_sums(g_rows)
                g_mixed = backend.product(g_rows, weight_out.T).reshape(mixed[block].shape)
                g_parts = backend.empty_heads((len(g_mixed), tokens, 3, heads, width // heads), x.dtype)
                g_heads, rows = heads_of(g_mixed, heads), heads_of(mixed[block], heads)
                looked_at = None if g_weights is None else g_weights[block]
                attend_back_into(
                    *(backend, g_heads, *parts_of(qkv[block]), weights[block], rows, *parts_of(g_parts)),
                    g_weights=looked_at,
                    sparse=sparse,
                )
                if parts == 1:
                    of_each, g_parts = g_parts, backend.empty_heads(qkv[block].shape, x.dtype)
                    xp.add(of_each[:, :, :1], of_each[:, :, 1:2], out=g_parts)
                    g_parts += of_each[:, :, 2:]
                g_qkv = backend.rows_of_heads(g_parts)
                of_norm = _back_to_x(backend, block, norm, joined, g_qkv, normal, rstd, g, g_x)
                sums = _plus(sums, (*of_norm, *of_out))
            return sums

        g_weight, g_weight_bias, *of_out = _summed(backend.map_shares(walk, blocks))
        return g_x, *norm.gradients(g_weight, g_weight_bias), *of_out

    return (output, weights), back


def _back_to_x(backend, block, norm, joined, g_rows, normal, rstd, g, g_x):
    """Fill a block of ``g_x`` from the gradient of the rows that the norm's product made.

    Returns:
        the block's gradients of the product's weight and bias.
    """
    of_product = backend.product(_flat(norm.of(block, normal[block])).T, g_rows), backend.column_sums(g_rows)
    g_normal = norm.of_normal(block, normal[block], backend.product(g_rows, norm.weight.T))
    residual = _flat(g[block]) if joined.residual else None
    normalise_back_into(backend, _flat(normal[block]), _flat(rstd[block]), residual, g_normal, _flat(g_x[block]))
    return of_product


def _flat(array):
    return array.reshape(-1, array.shape[-1])


def _plus(totals, parts):
    """The arrays ``totals`` with ``parts`` added in place; ``parts`` themselves for the first."""
    if totals is None:
        return parts
    for total, part in zip(totals, parts, strict=True):
        total += part
    return totals


def _summed(shares):
    """The sum over the shares of each of the arrays that every one returned."""
    return [sum(parts[1:], parts[0]) for parts in zip(*shares, strict=True)]


class _Affine:
    """A layer norm's gain and bias, folded into the product that follows: so they cost no pass.

    (n * gain + bias) @ weight + weight_bias = n @ folded + folded_bias, which stand here as weight and weight_bias.
    """

    def __init__(self, gain, bias, weight, weight_bias):
        backend = backend_of(weight)
        xp = backend.xp
        self._held = backend, gain, bias, weight
        self.weight = xp.empty(weight.shape, weight.dtype)
        folded_bias = xp.empty((weight.shape[1], 1), weight.dtype)
        weight_bias = xp.zeros(weight.shape[1], weight.dtype) if weight_bias is None else weight_bias
        fold_into(backend, gain, bias, weight, weight_bias, *weight.shape, folded_bias, self.weight)
        self.weight_bias = folded_bias[:, 0]

    def of(self, block, normal):
        """What goes into the product, of normalised rows (B, N, D)."""
        return normal

    def of_normal(self, block, normal, g):
        """The gradient (B N, D) of the normalised rows, of what goes into the product."""
        return g

    def gradients(self, g_folded, g_folded_bias):
        """Those of gain, bias, weight and weight_bias."""
        backend, gain, bias, weight = self._held
        g_gain, g_bias, g_weight = (backend.xp.empty(one.shape, one.dtype) for one in (gain, bias, weight))
        unfold_into(backend, gain[:, None], bias[:, None], weight, g_folded, g_folded_bias, g_weight, g_gain, g_bias)
        return g_gain, g_bias, g_weight, g_folded_bias


class _Modulated:
    """Scale and shift (B, D) of the normalised rows, of each input its own; methods as ``_Affine``'s."""

    def __init__(self, backend, scale, shift, weight, weight_bias):
        self.weight, self.weight_bias = weight, weight_bias
        self._factor, self._shift = 1 + scale, shift
        self._g_scale, self._g_shift = (backend.xp.empty_like(self._factor) for _ in range(2))

    def of(self, block, normal):
        rows = normal * self._factor[block, None]
        rows += self._shift[block, None]
        return rows

    def of_normal(self, block, normal, g):
        each = g.reshape(normal.shape)
        self._g_scale[block], self._g_shift[block] = (each * normal).sum(axis=1), each.sum(axis=1)
        each *= self._factor[block, None]
        return g

    def gradients(self, g_weight, g_weight_bias):
        return self._g_scale, self._g_shift, g_weight, g_weight_bias


class _Added:
    """How a branch ends: its bias is added and, where it is wanted, x."""

    def __init__(self, backend, residual):
        self._backend, self.residual = backend, residual

    def join(self, block, x, bias, rows):
        """Turn ``rows`` (B, N, D), the branch without its bias, into the output, in place."""
        add_both(self._backend, bias, x if self.residual else None, rows)

    def of_branch(self, block, g):
        """The gradient of the branch, of that of the output."""
        return g


class _Gated:
    """How an adaptive branch ends: it is multiplied by ``gate`` (B, D) and added to x; methods as ``_Added``'s."""

    residual = True

    def __init__(self, backend, gate, x):
        self._backend, self._gate = backend, gate
        self._branch, self.g_gate = backend.xp.empty(x.shape, x.dtype), backend.xp.empty(gate.shape, gate.dtype)

    def join(self, block, x, bias, rows):
        rows += bias
        self._branch[block] = rows
        rows *= self._gate[block, None]
        rows += x

    def of_branch(self, block, g):
        self.g_gate[block] = (g * self._branch[block]).sum(axis=1)
        return g * self._gate[block, None]


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
