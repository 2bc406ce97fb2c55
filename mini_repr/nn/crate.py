"""CRATE: a transformer whose layers are steps on a stated objective, compact and sparse codes.

Source: Yu et al. 2023, arXiv 2306.01129; checked against the official code, Ma-Lab-Berkeley/CRATE, model/crate.py.
"""

import math

import numpy as np

from mini_repr.autograd import attention_branch, concatenate, primitive
from mini_repr.backend import backend_of
from mini_repr.nn.init import he_uniform
from mini_repr.nn.layers import LayerNorm, Linear, at_least_one
from mini_repr.nn.mlp import normalised
from mini_repr.nn.module import Module
from mini_repr.nn.patches import patchify
from mini_repr.nn.vit import ViT, placed, pooled_definition
from mini_repr.pages.arguments import Choice, Count, NonNegative, Positive
from mini_repr.pages.declare import part
from mini_repr.pages.page import definition


@part("encoder", "crate", paper="006")
class Crate(ViT):
    """White-box transformer: each layer compresses its tokens, then makes them sparse.

    Of tokens Z as rows, with U_k the columns of U that belong to head k and p = width / heads,

        Y = Z + MSSA(LN Z),      MSSA(Z) = [softmax(V_k V_kᵀ / √p) V_k]_k W + b,   V_k = Z U_k
        Z' = ISTA(LN Y) = relu(Y + η (Y - Y Dᵀ) D - η λ)        for Y = LN Y, without a second residual path

    The first is a step that lowers the coding rate of the tokens in the subspaces (metric ``coding_rate``), the second
    a step of proximal gradient descent on |Y - D Z|²/2 + λ |Z|_1 over Z >= 0, from Z = Y. One map stands for queries,
    keys and values, and no MLP: a layer has 3 D² weights, a quarter of a ViT's. The paper ties W to U; the official
    code, and this page, learn it. Here patches are embedded as in ``vit``, there with two layer norms about it.

    Args:
        image_shape, patch, width, depth, heads, positions, pooling: as in ``vit``.
        step, threshold: η and λ (official code: 0.1 and 0.1 for classification).
    """

    def __init__(
        self,
        image_shape,
        rng,
        dtype=np.float32,
        *,
        patch: Count(choose="chosen by choose_patch") = None,
        width: Count() = 64,
        depth: Count() = 2,
        heads: Count() = 4,
        positions: Choice("learned", "sine") = "learned",
        pooling: Choice("cls", "mean") = "cls",
        step: Positive = 0.1,
        threshold: NonNegative = 0.1,
    ):
        def block(k):
            return CrateBlock(width, heads, rng, step=step, threshold=threshold, dtype=dtype)

        self._build(image_shape, rng, dtype, patch, width, depth, positions, pooling, block)

    def layer_codes(self, images):
        """What each layer's objective is about: a list of (tokens in its subspaces, tokens out, heads).

        Both (B, N, D): Z U of the normalised tokens Z that enter, whose coding rate MSSA lowers, and the sparse codes
        that ISTA gives.
        """
        codes = []
        x = placed(self.embed(patchify(images, self.patch, self.tube)), self.places(), self.class_token)
        for block in self.blocks:
            in_subspaces = block.subspaces(block.norm1(x))
            x, _ = block(x)
            codes.append((in_subspaces, x, block._heads))
        return codes


class CrateBlock(Module):
    """One layer of ``Crate``: compression, then sparsification."""

    def __init__(self, width, heads, rng, *, step=0.1, threshold=0.1, dtype=np.float32):
        if width % at_least_one("heads", heads):
            raise ValueError(f"CrateBlock: heads: got {heads}, expected a divisor of width {width}")
        self.norm1 = LayerNorm(width, dtype=dtype)
        self.subspaces = Linear(width, width, rng, bias=False, dtype=dtype)
        self.out = Linear(width, width, rng, dtype=dtype)
        self.norm2 = LayerNorm(width, dtype=dtype)
        self.dictionary = Linear(width, width, rng, bias=False, init=he_uniform, dtype=dtype)
        self.step, self.threshold, self._heads = step, threshold, heads

    def forward(self, x, mask=None):
        """Tokens (B, N, D) to ``(tokens, attention weights)``, as ``Block``."""
        x, weights = self.compressed(x, mask)
        return ista_step(self.norm2(x), self.dictionary.weight, self.step, self.threshold), weights.data

    def compressed(self, x, mask=None):
        """The tokens after the first of the two steps, and the attention weights."""
        return _mssa(x, self.norm1, self, mask, residual=True)


class CrateDecoder(Module):
    """The inverse of a ``Crate`` encoder's layers, as many and as wide: tokens back to the pixels of their patches.

    Each layer undoes one of the encoder, its two steps in reverse order:

        Z~ = W LN Z,      Z' = Z~ - MSSA(LN Z~)        against  Y = Z + MSSA(LN Z), Z' = ISTA(LN Y) there

    so it has no activation but its softmax, and a minus sign. For V with orthonormal subspaces and W = κ [U_k]ᵀ the
    second undoes Y to O(κ²). Where W is learned, as here, the sign is a matter of names: -W is as likely a start as W.

    Yu et al. 2023, arXiv 2311.13110, section 3 (CRATE-AE: Pai et al., arXiv 2404.02446); checked against the official
    code, Ma-Lab-Berkeley/CRATE, model/crate_ae: a layer norm and a linear map to pixels come last.
    """

    def __init__(self, encoder, outputs, rng):
        super().__init__()
        heads = encoder.blocks[0]._heads
        self.blocks = [InverseCrateBlock(encoder.width, heads, rng) for _ in range(encoder.depth)]
        self.norm = LayerNorm(encoder.width)
        self.pixels = Linear(encoder.width, outputs, rng)

    def forward(self, tokens, first=None):
        """Patch tokens (B, P, D), behind the class row ``first`` (B, D) where there is one, to (B, P, outputs)."""
        x = tokens if first is None else concatenate(first.reshape(len(tokens), 1, -1), tokens, axis=1)
        for block in self.blocks:
            x = block(x)
        return self.pixels(self.norm(x if first is None else x[:, 1:]))


class InverseCrateBlock(Module):
    """One layer of ``CrateDecoder``."""

    def __init__(self, width, heads, rng, *, dtype=np.float32):
        self.norm1 = LayerNorm(width, dtype=dtype)
        self.dictionary = Linear(width, width, rng, bias=False, init=he_uniform, dtype=dtype)
        self.norm2 = LayerNorm(width, dtype=dtype)
        self.subspaces = Linear(width, width, rng, bias=False, dtype=dtype)
        self.out = Linear(width, width, rng, dtype=dtype)
        self._heads = heads

    def forward(self, x):
        x = self.dictionary(self.norm1(x))
        return x - _mssa(x, self.norm2, self)[0]


def _mssa(x, norm, block, mask=None, residual=False):
    """(MSSA(LN x), its weights) with the maps of a block; ``residual``: x is added."""
    subspaces, out = block.subspaces.weight, block.out
    parts = (x, norm.gain, norm.bias, subspaces, None, out.weight, out.bias)
    return attention_branch(*parts, mask, heads=block._heads, eps=norm.eps, residual=residual)


@primitive
def ista_step(y, dictionary, /, step, threshold):
    """relu(y + step (y - y Dᵀ) D - step threshold) of rows y (..., N) and a dictionary D (N, N).

    One step of proximal gradient descent on |y - D z|²/2 + threshold |z|_1 over z >= 0, from z = y. With the gate G =
    1(output > 0), r = y - y Dᵀ, h = G g and q = step h Dᵀ: dy = h + q - q D, dD = step rᵀ h - qᵀ y.
    """
    backend = backend_of(y)
    xp = backend.xp
    rows = y.reshape(-1, y.shape[-1])
    rest, output = xp.empty_like(rows), xp.empty_like(rows)
    blocks = backend.product_blocks(len(rows), 2 * rows.shape[1] * rows.dtype.itemsize)

    def forward(share):
        for block in share:
            own, left, out = rows[block], rest[block], output[block]
            backend.matmul(own, dictionary.T, out=left)
            xp.subtract(own, left, out=left)
            backend.matmul(left, dictionary, out=out)
            out *= step
            out += own
            out -= step * threshold
            xp.maximum(out, 0, out=out)

    backend.map_shares(forward, blocks)

    def backward(g):
        g_rows, g_y = g.reshape(rows.shape), xp.empty_like(rows)

        def walk(share):
            g_dictionary = 0
            for block in share:
                h = xp.multiply(g_rows[block], output[block] > 0, out=g_y[block])
                q = backend.product(h, dictionary.T)
                q *= step
                g_dictionary += step * backend.product(rest[block].T, h) - backend.product(q.T, rows[block])
                h += q
                h -= backend.product(q, dictionary)
            return g_dictionary

        parts = backend.map_shares(walk, blocks)
        return g_y.reshape(y.shape), sum(parts[1:], parts[0])

    return output.reshape(y.shape), backward


@definition(Crate)
def crate_definition(encoder, images):
    return pooled_definition(encoder, images, lambda number, block, x: crate_block_definition(block, x))


def crate_block_definition(block, x):
    """The layer in plain NumPy on the tokens x (N, D) of one image, one head and token at a time."""
    state, size = block.state_dict(), x.shape[1] // block._heads
    v = normalised(x, state["norm1.gain"], state["norm1.bias"]) @ state["subspaces.weight"]
    mixed = np.zeros_like(x)
    for start in range(0, x.shape[1], size):
        own = v[:, start : start + size]
        for i in range(len(x)):
            weights = np.exp(own @ own[i] / math.sqrt(size))
            mixed[i, start : start + size] = weights @ own / weights.sum()
    x = x + mixed @ state["out.weight"] + state["out.bias"]
    d = state["dictionary.weight"]
    rows = []
    for y in normalised(x, state["norm2.gain"], state["norm2.bias"]):
        rows.append(np.maximum(y + block.step * d.T @ (y - d @ y) - block.step * block.threshold, 0))
    return np.stack(rows)
