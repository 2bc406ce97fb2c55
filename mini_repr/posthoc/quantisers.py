"""A vision transformer of few bits: weights, and all that enters a product, as whole numbers from 0 to 2^b - 1.

    x_q = s ( clip( round(x / s) + z, 0, 2^b - 1 ) - z ),       scale s > 0, zero point z a whole number

Weights (inputs, outputs) have s and z per column, what enters a linear layer one of each, queries, keys, attention
weights and values one per head. Scale and zero point are chosen in full precision, layer by layer, from candidates:

    linear layers   for weights and inputs 2^b zero points (16 at most, evenly), and as many scales as make 128 with
                    these, from (q_0.9 - q_0.1) / (2^b - 1) of the numbers to (max - min) / (2^b - 1): first those of
                    the least squared error of x_q, then in turns those of the least squared error of the layer's output
    attention       33 upper ends from q_0.99 to q_0.99999 and as many lower ones, in turns by the product's error

Behind a layer norm columns differ too much for one scale: each gets its own s_c, z_c first, and the norm (gain γ, bias
β) and the layer after it (W, b) are rewritten so that s = mean s_c, z = round(mean z_c) serve all. With r = s_c / s and
t = s (z - z_c),

    γ -> γ / r,   β -> β / r - t,   W -> r W by row,   b -> b + (r W)ᵀ t,

which leaves what the layer puts out as it was. The rounding has the gradient of the identity.

Source: github.com/ShiheWang/FIMA-Q, quantizers/uniform.py, quant_layers/linear.py and matmul.py; the rewriting is that
of RepQ-ViT (Li et al. 2023, arXiv 2212.08254). The quantiser, its gradients, what a linear layer chooses in one turn of
3 and 4 bits, and the rewriting were run beside these and equal them to round-off. There: three turns; for attention 129
ends, three turns and scales copied per token before they are trained; for the embedding of patches other candidates;
from 5 bits zero points around 2^{b-1} alone.
"""

import numpy as np

from mini_repr.autograd import Tensor, clip, gelu, linear, no_grad, sigmoid, softmax, split, where
from mini_repr.nn import Module, patchify
from mini_repr.nn.vit import placed

WHOLE = 32  # bits of what is not quantised
PIXELS = 8  # bits of what enters the embedding of patches
CANDIDATES, ENDS = 128, 33
SMALLEST = 1e-4  # scale


class Uniform(Module):
    """Numbers to the nearest of a grid, by the equation above; scale and zero point broadcast against them.

    While ``rng`` is set each number is quantised with probability 1/2 only, as in training.
    """

    def __init__(self, bits, shape=(1,), dtype=np.float32):
        self.bits, self.rng = bits, None
        self.scale = Tensor(np.ones(shape, dtype), True)
        self.register_buffer("zero", np.zeros(shape, dtype))

    def set(self, scale, zero):
        """Write scale and zero point."""
        self.scale.data[...], self.zero[...] = scale, zero

    def forward(self, x):
        if self.bits == WHOLE:
            return x
        parts = x / self.scale
        whole = parts + (np.rint(parts.data) - parts.data)  # its gradient is that of the parts
        made = (clip(whole + self.zero, 0, 2**self.bits - 1) - self.zero) * self.scale
        return made if self.rng is None else where(self.rng.random(made.shape) < 0.5, made, x)


class QuantisedLinear(Module):
    """A linear layer whose inputs and weights are quantised; ``soft`` while it is learnt which way weights are rounded.

    codes: whole numbers (inputs, outputs). scale, zero: (outputs,), of the weights.
    """

    def __init__(self, layer, bits, input_bits):
        weight = layer.weight.data
        self.top, self.raw, self.bias = 2**bits - 1, weight, layer.bias
        self.inputs = Uniform(input_bits, dtype=weight.dtype)
        self.register_buffer("codes", np.zeros(weight.shape, np.uint8))
        self.register_buffer("scale", np.ones(weight.shape[1], weight.dtype))
        self.register_buffer("zero", np.zeros(weight.shape[1], weight.dtype))
        self.alpha, self.soft = None, False

    def forward(self, x):
        return linear(self.inputs(x), self.weight, self.bias)

    @property
    def weight(self):
        """(inputs, outputs), as quantised."""
        if not self.soft:
            return Tensor((self.codes - self.zero) * self.scale)
        floor = np.floor(self.raw / self.scale)
        return (clip(self.up() + (floor + self.zero), 0, self.top) - self.zero) * self.scale

    def set(self, scale, zero):
        """Write the weights' scale and zero point, and round to nearest."""
        self.scale[...], self.zero[...] = scale, zero
        self.codes[...] = np.clip(np.rint(self.raw / self.scale) + self.zero, 0, self.top)

    def soften(self):
        """Begin to learn the rounding: where nothing is rounded yet."""
        rest = self.raw / self.scale - np.floor(self.raw / self.scale)
        self.alpha, self.soft = Tensor(-np.log(1.2 / (rest + 0.1) - 1), True), True

    def up(self):
        """h (inputs, outputs): by how much each number is rounded up, clip(1.2 sigmoid(alpha) - 0.1, 0, 1)."""
        return clip(sigmoid(self.alpha) * 1.2 - 0.1, 0.0, 1.0)

    def harden(self):
        """Round as learnt."""
        up = self.alpha.data >= 0
        self.codes[...] = np.clip(np.floor(self.raw / self.scale) + up + self.zero, 0, self.top)
        self.alpha, self.soft = None, False


class QuantisedBlock(Module):
    """A transformer block with all that enters a product quantised: tokens (B, N, D) to tokens."""

    def __init__(self, block, bits, input_bits):
        self.heads = block._heads
        self.norm1, self.norm2 = block.norm1, block.norm2
        for name in ("qkv", "out", "expand", "contract"):
            setattr(self, name, QuantisedLinear(getattr(block, name), bits, input_bits))
        shape, dtype = (1, self.heads, 1, 1), self.qkv.raw.dtype
        self.queries, self.keys, self.weights, self.values = (Uniform(input_bits, shape, dtype) for _ in range(4))

    def forward(self, x):
        batch, tokens, width = x.shape
        q, k, v = self.by_head(self.qkv(self.norm1(x)))
        logits = self.queries(q) @ self.keys(k.transpose(0, 1, 3, 2)) / np.sqrt(width / self.heads)
        mixed = self.weights(softmax(logits)) @ self.values(v)
        x = x + self.out(mixed.transpose(0, 2, 1, 3).reshape(batch, tokens, width))
        return x + self.contract(gelu(self.expand(self.norm2(x))))

    def by_head(self, rows):
        """Rows (B, N, 3 D) as queries, keys and values (B, heads, N, D / heads)."""
        batch, tokens, width = rows.shape
        return (
            part.reshape(batch, tokens, self.heads, -1).transpose(0, 2, 1, 3)
            for part in split(rows, (width // 3,) * 3, axis=-1)
        )

    def calibrate(self, x):
        """Choose all scales and zero points by the tokens (B, N, D) that enter it; returns the tokens that leave it.

        Both in full precision.
        """
        batch, tokens, width = x.shape
        with no_grad():
            rows = rewritten(self.norm1, self.qkv, x)
            q, k, v = (part.data for part in self.by_head(plain(self.qkv, rows)))
            product(self.queries, self.keys, q, k.transpose(0, 1, 3, 2))
            weights = softmax(q @ k.transpose(0, 1, 3, 2) / np.sqrt(width / self.heads)).data
            product(self.weights, self.values, weights, v)
            mixed = (weights @ v).transpose(0, 2, 1, 3).reshape(batch, tokens, width)
            x = x + calibrated(self.out, mixed)
            rows = rewritten(self.norm2, self.expand, x)
            return x + calibrated(self.contract, gelu(plain(self.expand, rows)).data)


class QuantisedViT(Module):
    """A ViT and its classifier, quantised: images (B, C, H, W) to scores (B, classes).

    Args:
        encoder: a ``ViT``, which is changed. head: linear. bits: of weights. input_bits: of what enters products, but
            for pixels; 32 leaves it whole.
    """

    def __init__(self, encoder, head, bits, input_bits):
        self.patch, self.cut, self.bits = encoder.patch, encoder.class_token is not None, (bits, input_bits)
        self.embed = QuantisedLinear(encoder.embed, bits, PIXELS if input_bits != WHOLE else WHOLE)
        self.positions, self.class_token = encoder.places(), encoder.class_token
        self.blocks = [QuantisedBlock(block, bits, input_bits) for block in encoder.blocks]
        self.norm, self.head = encoder.norm, QuantisedLinear(head, bits, input_bits)

    def forward(self, images):
        x = self.placed(self.embed(patchify(images, self.patch)))
        for block in self.blocks:
            x = block(x)
        return self.head(self.pooled(x))

    def placed(self, rows):
        """Tokens (B, N, D) that enter the first block, of embedded patches (B, P, D)."""
        return placed(rows, self.positions, self.class_token)

    def pooled(self, tokens):
        """Rows (B, D) that enter the head."""
        rows = self.norm(tokens)
        return rows[:, 0] if self.cut else rows.mean(axis=1)

    def calibrate(self, images):
        """Choose all scales and zero points by images, in full precision."""
        with no_grad():
            x = self.placed(calibrated(self.embed, patchify(images, self.patch))).data
            for block in self.blocks:
                x = block.calibrate(x)
            calibrated(self.head, self.pooled(x).data)


def plain(layer, x):
    """What a layer puts out in full precision, an array (..., outputs)."""
    return x @ layer.raw + layer.bias.data


def fitted(x, scale, zero, top):
    """Array x_q of x by the equation above."""
    return scale * (np.clip(np.rint(x / scale) + zero, 0, top) - zero)


def candidates(columns, bits):
    """Scales (K, n) and zero points (K,) to choose from, of numbers (M, n) by column."""
    zeros = min(16, 2**bits)
    steps = np.linspace(0, 1, CANDIDATES // zeros)[:, None]
    low, near_low, near_high, high = np.quantile(columns, [0.0, 0.1, 0.9, 1.0], axis=0)
    near, far = near_high - near_low, high - low
    scales = np.maximum((near + steps * (far - near)) / (2**bits - 1), SMALLEST).astype(columns.dtype)
    points = np.rint(np.linspace(0, 2**bits - 1, zeros)).astype(columns.dtype)
    return np.tile(scales, (zeros, 1)), np.repeat(points, len(steps))


def nearest(columns, bits):
    """Scale (n,) and zero point (n,) by column with the least squared error of the numbers (M, n)."""
    scales, zeros = candidates(columns, bits)
    pairs = zip(scales, zeros, strict=True)
    best = np.argmin([((fitted(columns, *pair, 2**bits - 1) - columns) ** 2).mean(axis=0) for pair in pairs], axis=0)
    return scales[best, np.arange(columns.shape[1])], zeros[best]


def calibrated(layer, x):
    """Choose scales and zero points of a ``QuantisedLinear`` by its inputs (..., n); returns what it puts out whole."""
    flat, bits = x.reshape(-1, x.shape[-1]), layer.inputs.bits
    whole, top = flat @ layer.raw, layer.top
    weight_bits = int(np.log2(top + 1))
    layer.set(*nearest(layer.raw, weight_bits))
    if bits != WHOLE:
        layer.inputs.set(*nearest(flat.reshape(-1, 1), bits))
    inputs = flat if bits == WHOLE else layer.inputs(Tensor(flat)).data
    gram, crossed = inputs.T @ inputs, inputs.T @ whole
    scales, zeros = candidates(layer.raw, weight_bits)
    errors = []
    for s, z in zip(scales, zeros, strict=True):
        made = fitted(layer.raw, s, z, top)
        errors.append((made * (gram @ made - 2 * crossed)).sum(axis=0))
    best = np.argmin(errors, axis=0)
    layer.set(scales[best, np.arange(len(best))], zeros[best])
    if bits != WHOLE:
        scales, zeros = candidates(flat.reshape(-1, 1), bits)
        weight = layer.weight.data
        pairs = list(zip(scales, zeros, strict=True))
        errors = [((fitted(flat, *pair, 2**bits - 1) @ weight - whole) ** 2).mean() for pair in pairs]
        layer.inputs.set(*pairs[np.argmin(errors)])
    return plain(layer, x)


def rewritten(norm, layer, x):
    """Rewrite a norm and the layer after it so that one scale serves all columns, and calibrate; returns norm(x)."""
    rows = norm(Tensor(x)).data
    if layer.inputs.bits != WHOLE:
        scales, zeros = nearest(rows.reshape(-1, rows.shape[-1]), layer.inputs.bits)
        scale, zero = scales.mean(), np.rint(zeros.mean())
        r, t = scales / scale, scale * (zero - zeros)
        norm.gain.data[...], norm.bias.data[...] = norm.gain.data / r, norm.bias.data / r - t
        layer.raw[...] *= r[:, None]
        layer.bias.data[...] += t @ layer.raw
        rows = rows / r - t
    calibrated(layer, rows)
    return rows


def product(first, second, a, b):
    """Choose scales and zero points by head of the factors a (B, heads, M, K) and b (B, heads, K, N) of a product."""
    if first.bits == WHOLE:
        return
    whole, factors, quantisers, found = a @ b, [a, b], (first, second), []
    for factor in factors:
        numbers = factor.swapaxes(0, 1).reshape(len(factor[0]), -1)
        low, inner_low, inner_high, high = np.quantile(numbers, [1e-5, 0.01, 0.99, 0.99999], axis=1)
        steps = np.linspace(0, 1, ENDS)[:, None]
        found.append([low + steps * (inner_low - low), inner_high + steps * (high - inner_high)])
    chosen = [[lows[0], highs[-1]] for lows, highs in found]
    made = [at_ends(factor, *ends, first.bits)[0] for factor, ends in zip(factors, chosen, strict=True)]
    for which in (0, 1):
        for end in (0, 1):
            errors = []
            for tried in found[which][end]:
                ends = [tried if k == end else chosen[which][k] for k in (0, 1)]
                pair = list(made)
                pair[which] = at_ends(factors[which], *ends, first.bits)[0]
                errors.append(((pair[0] @ pair[1] - whole) ** 2).mean(axis=(0, 2, 3)))
            best = np.argmin(errors, axis=0)
            chosen[which][end] = found[which][end][best, np.arange(len(best))]
        made[which], scale, zero = at_ends(factors[which], *chosen[which], first.bits)
        quantisers[which].set(scale, zero)


def at_ends(x, low, high, bits):
    """(x_q, scale, zero point) of x (B, heads, ...) by a grid from ``low`` to ``high`` (heads,)."""
    scale = np.maximum((high - low) / (2**bits - 1), SMALLEST).reshape(1, -1, 1, 1).astype(x.dtype)
    zero = -np.rint(low.reshape(scale.shape) / scale).astype(x.dtype)
    return fitted(x, scale, zero, 2**bits - 1), scale, zero
