"""The transformer block: attention and an MLP, each behind a layer norm and beside a residual path."""

import math

import numpy as np

from mini_repr.autograd import attention, attention_branch, gelu, linear, mlp_branch, softmax, sparsemax, split
from mini_repr.nn.gaps import at_places
from mini_repr.nn.init import xavier_uniform
from mini_repr.nn.layers import Dropout, LayerNorm, Linear, at_least_one
from mini_repr.nn.mlp import normalised, tanh_gelu
from mini_repr.nn.module import Module
from mini_repr.nn.rotary import rotated


class Block(Module):
    """Pre-norm block: x + attention(norm(x)), then x + mlp(norm(x)).

    Xiong et al. 2020, arXiv 2002.04745, figure 1b; as in ViT (arXiv 2010.11929, eq. 2, 3), GELU by its tanh form;
    attention: Vaswani et al. 2017, arXiv 1706.03762, section 3.2. One product makes queries, keys and values.

    Args:
        width: D. heads: divisor of D. mlp_ratio: hidden width of the MLP over D. dropout: rate on both branches.
        attention: "softmax", or "sparsemax" for weights most of which are exactly 0 (arXiv 1602.02068).
        shortcut: what x is multiplied by beside the two branches (Zhang et al. 2024, arXiv 2404.10947).
        branch_scale: what the start of each branch's last weight is multiplied by.
        make_linear: what makes the four linear maps, called as ``Linear`` is.
    """

    def __init__(
        self,
        width,
        heads,
        mlp_ratio,
        rng,
        *,
        dropout=0.0,
        attention="softmax",
        shortcut=(1.0, 1.0),
        branch_scale=1.0,
        make_linear=Linear,
        dtype=np.float32,
    ):
        hidden = at_least_one("mlp_ratio * width", int(width * mlp_ratio))
        if width % at_least_one("heads", heads):
            raise ValueError(f"Block: heads: got {heads}, expected a divisor of width {width}")
        if attention not in ("softmax", "sparsemax"):
            raise ValueError(f"Block: attention: got {attention!r}, expected softmax or sparsemax")

        def last(rng, shape, dtype):
            return xavier_uniform(rng, shape, dtype) * branch_scale

        self.norm1 = LayerNorm(width, dtype=dtype)
        self.qkv = make_linear(width, 3 * width, rng, init=three_square, dtype=dtype)
        self.out = make_linear(width, width, rng, init=last, dtype=dtype)
        self.norm2 = LayerNorm(width, dtype=dtype)
        self.expand = make_linear(width, hidden, rng, dtype=dtype)
        self.contract = make_linear(hidden, width, rng, init=last, dtype=dtype)
        self.dropout = Dropout(dropout, rng) if dropout else None
        self._heads = heads
        self._sparse = attention == "sparsemax"
        self._shortcut = shortcut

    def forward(self, x, mask=None, queries=None, angles=None):
        """Tokens (B, N, D) to ``(tokens, attention weights)``.

        Args:
            mask: boolean, broadcastable to (B, heads, N, N): True where a token (axis 2) may look (axis 3).
            queries: integers (B, K) on the tokens' device, to compute the rows of these tokens alone; they look at all.
            angles: ``Angles`` on the tokens' device by which queries and keys are turned (rotary positions); without
                ``queries``.
        Returns:
            tokens (B, N, D), and weights (B, heads, N, N), a plain array for looking at; with ``queries`` K in place of
            the first N.
        """
        if queries is not None:
            return self._of_queries(x, mask, queries)
        if angles is not None:
            return self._turned(x, mask, angles)
        norm1, qkv, out, norm2, expand, contract = (
            (m.gain if isinstance(m, LayerNorm) else m.weight, m.bias)
            for m in (self.norm1, self.qkv, self.out, self.norm2, self.expand, self.contract)
        )
        # Dropout comes between a branch and the residual path, which then cannot be one with the branch.
        fused = self.dropout is None and self._shortcut == (1.0, 1.0)
        mixed, weights = attention_branch(
            x, *norm1, *qkv, *out, mask, heads=self._heads, eps=self.norm1.eps, residual=fused, sparse=self._sparse
        )
        x = mixed if fused else self._joined(x, mixed, 0)
        branch = mlp_branch(x, *norm2, *expand, *contract, eps=self.norm2.eps, residual=fused)
        return branch if fused else self._joined(x, branch, 1), weights.data

    def _of_queries(self, x, mask, queries):
        width, rows = x.shape[-1], self.norm1(x)
        weight, bias = self.qkv.weight, self.qkv.bias
        query = linear(at_places(rows, queries), weight[:, :width], bias[:width])
        key, value = split(linear(rows, weight[:, width:], bias[width:]), (width, width), axis=-1)
        mixed, weights = attention(query, key, value, mask=mask, heads=self._heads, sparse=self._sparse)
        x = self._joined(at_places(x, queries), self.out(mixed), 0)
        branch = self.contract(gelu(self.expand(self.norm2(x))))
        return self._joined(x, branch, 1), weights.data

    def _turned(self, x, mask, angles):
        query, key, value = self.project(x)
        query, key = (rotated(rows, *angles, heads=self._heads) for rows in (query, key))
        mixed, weights = attention(query, key, value, mask=mask, heads=self._heads, sparse=self._sparse)
        x = self._joined(x, self.out(mixed), 0)
        return self._joined(x, self.contract(gelu(self.expand(self.norm2(x)))), 1), weights.data

    def project(self, x):
        """Queries, keys and values (B, N, D) each that the block's attention makes of its input tokens."""
        return split(self.qkv(self.norm1(x)), (x.shape[-1],) * 3, axis=-1)

    def weighed(self, x, bias):
        """As ``forward``, with a bias on the logits of attention and weights that carry a gradient; slower.

        Args:
            bias: array, broadcastable to (B, heads, N, N).
        Returns:
            (tokens (B, N, D), weights (B, heads, N, N)), both tensors.
        """
        batch, tokens, width = x.shape
        q, k, v = (rows.reshape(batch, tokens, self._heads, -1).transpose(0, 2, 1, 3) for rows in self.project(x))
        logits = q @ k.transpose(0, 1, 3, 2) / math.sqrt(width / self._heads) + bias
        weights = sparsemax(logits) if self._sparse else softmax(logits)
        x = self._joined(x, self.out((weights @ v).transpose(0, 2, 1, 3).reshape(batch, tokens, width)), 0)
        return self._joined(x, self.contract(gelu(self.expand(self.norm2(x)))), 1), weights

    def _joined(self, x, branch, which):
        factor = self._shortcut[which]
        return (x if factor == 1.0 else x * factor) + (branch if self.dropout is None else self.dropout(branch))


def branch_scale(start, depth):
    """``Block``'s ``branch_scale`` in a transformer of ``depth`` blocks whose branches start as ``start`` says.

    "xavier": 1 (Glorot, Bengio 2010); "scaled": 1 / sqrt(2 depth), so that the sum of all branches starts as large as
    one (GPT-2: Radford et al. 2019, section 2.3); "zero": 0, so that each block starts as the identity (Zhang et al.
    2024, arXiv 2404.10947, official code).
    """
    return {"xavier": 1.0, "scaled": 1 / math.sqrt(2 * depth), "zero": 0.0}[start]


def block_definition(block, x, sees=None, angles=None):
    """The block in plain NumPy, in evaluation mode, on the tokens x (N, D) of one input, one head and token at a time.

    Args:
        sees: (N, N) booleans, True where a token (axis 0) may look (axis 1); None for everywhere.
        angles: (N, C, n/2), by which queries and keys of each token are turned, in C blocks of n columns of a head.
    """
    state, size = block.state_dict(), x.shape[1] // block._heads

    def layer(x, name):
        return x @ getattr(block, name).weight.data + state[f"{name}.bias"]

    q, k, v = np.split(layer(normalised(x, state["norm1.gain"], state["norm1.bias"]), "qkv"), 3, axis=1)
    if angles is not None:
        q, k = (_turned_definition(rows, size, angles) for rows in (q, k))
    mixed = np.zeros_like(x)
    for i in range(len(x)):
        seen = np.arange(len(x)) if sees is None else np.flatnonzero(sees[i])
        for start in range(0, x.shape[1] if len(seen) else 0, size):
            head = slice(start, start + size)
            scores = k[seen, head] @ q[i, head] / math.sqrt(size)
            weights = _sparsemax(scores) if block._sparse else np.exp(scores) / np.exp(scores).sum()
            mixed[i, head] = weights @ v[seen, head]
    x = block._shortcut[0] * x + layer(mixed, "out")
    return block._shortcut[1] * x + layer(
        tanh_gelu(layer(normalised(x, state["norm2.gain"], state["norm2.bias"]), "expand")), "contract"
    )


def _turned_definition(rows, size, angles):
    """Rows (N, D): columns k and k + n/2 of each block of n columns as a complex number, times e^(i angle)."""
    turned, (coordinates, half) = rows.copy(), angles.shape[1:]
    for start in range(0, rows.shape[1], size):
        for c in range(coordinates):
            real = slice(start + 2 * c * half, start + (2 * c + 1) * half)
            imaginary = slice(real.stop, real.stop + half)
            points = (rows[:, real] + 1j * rows[:, imaginary]) * np.exp(1j * angles[:, c])
            turned[:, real], turned[:, imaginary] = points.real, points.imag
    return turned


def _sparsemax(scores):
    """max(scores - tau, 0), tau so that they sum to 1: found among the candidates that the k largest scores give."""
    largest = np.sort(scores)[::-1]
    tau = max((largest[: k + 1].sum() - 1) / (k + 1) for k in range(len(scores)))
    return np.maximum(scores - tau, 0)


def three_square(rng, shape, dtype):
    """Queries, keys and values (D, 3 D), each drawn as the square matrix that it is (arXiv 2104.02057)."""
    width = shape[0]
    return np.concatenate([xavier_uniform(rng, (width, width), dtype) for _ in range(3)], axis=1)
