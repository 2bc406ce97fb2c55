"""A denoiser: a transformer over the patches of a noised image that is told how much of it is noise.

Source: Peebles, Xie 2022, arXiv 2212.09748 (DiT): time and condition choose the scale and shift of every layer norm and
how much of each branch is added, which starts at nothing.
"""

import math
from typing import NamedTuple

import numpy as np

from mini_repr.autograd import (
    Tensor,
    adaptive_attention_branch,
    adaptive_mlp_branch,
    attention,
    concatenate,
    modulated_norm,
    self_attention,
    sigmoid,
    split,
)
from mini_repr.backend import backend_of
from mini_repr.nn.encoded import Encoded
from mini_repr.nn.init import zeros
from mini_repr.nn.layers import Linear, at_least_one
from mini_repr.nn.mlp import tanh_gelu
from mini_repr.nn.module import Module
from mini_repr.nn.patches import patchify
from mini_repr.nn.transformer import three_square
from mini_repr.nn.vit import patch_grid, sine_positions
from mini_repr.pages.arguments import Count, Fraction, Positive
from mini_repr.pages.declare import part
from mini_repr.pages.page import definition

EPS = 1e-6  # of the layer norms


class Denoised(NamedTuple):
    """What a denoiser gives.

    patches: (B, P, patch * patch * C). layers: the tokens (B, P, D) after each block that was asked for. maps: of each
    block that looks at a text the weights (B, heads, P, T), tensors with a gradient. own: of each block the weights
    (B, heads, N, N) of its N tokens on each other, tensors with a gradient; with ``prune``, of those that are left.
    """

    patches: Tensor
    layers: tuple = ()
    maps: tuple = ()
    own: tuple = ()


@part("encoder", "denoiser", paper="036")
class Denoiser(Module):
    """Says of noised images how to make them less so; as an encoder, its features.

    Source: Peebles, Xie 2022, arXiv 2212.09748 (DiT), the form with adaptive layer norms.

    As an encoder, images (B, C, H, W) in [0, 1] to ``Encoded``: tokens (B, P, width) after block ``feature_layer`` at
    time ``feature_time``, no noise added, no condition; pooled is their mean (Fuest et al. 2024, arXiv 2407.00783:
    features of a frozen generative model are best in the middle and at little noise). Inside, pixels are 2 x - 1.

    Positions start as sines, which patches of noise do not drown, and are trained.

    Args:
        image_shape: (C, H, W). rng: host generator.
        patch: side of a patch in pixels; None chooses (see ``choose_patch``).
        width: D. depth: blocks. heads: divisor of width. mlp_ratio: hidden width of a block's MLP over D.
        feature_layer: the block whose tokens are the features, 0 for the one in the middle. feature_time: t.
    """

    takes = "images"
    looks_at_text = False

    def __init__(
        self,
        image_shape,
        rng,
        dtype=np.float32,
        *,
        patch: Count(choose="chosen by choose_patch") = None,
        width: Count() = 96,
        depth: Count() = 4,
        heads: Count() = 4,
        mlp_ratio: Positive = 2.0,
        feature_layer: Count(least=0) = 0,
        feature_time: Fraction = 0.1,
    ):
        if len(image_shape) != 3:
            raise ValueError(f"Denoiser: image_shape: got {tuple(image_shape)}, expected (C, H, W): it takes no clips")
        channels, height, across = self.image_shape = tuple(image_shape)
        self.patch, self.grid = patch_grid("Denoiser", patch, height, across)
        if feature_layer > depth:
            raise ValueError(f"Denoiser: feature_layer: got {feature_layer}, expected at most the {depth} blocks")
        self.patch_count, self.width, self.depth = math.prod(self.grid), width, depth
        self.feature_layer, self.feature_time = feature_layer or (depth + 1) // 2, feature_time
        pixels = self.patch**2 * channels
        self.embed = Linear(pixels, width, rng, dtype=dtype)
        self.positions = Tensor(sine_positions(self.grid, width, dtype), requires_grad=True)
        self.time_in, self.time_out = (Linear(width, width, rng, dtype=dtype) for _ in range(2))
        text = self.looks_at_text
        self.blocks = [AdaptiveBlock(width, heads, mlp_ratio, rng, text=text, dtype=dtype) for _ in range(depth)]
        self.modulate = Linear(width, 2 * width, rng, init=zeros, dtype=dtype)
        self.outputs = Linear(width, pixels, rng, init=zeros, dtype=dtype)

    def denoise(self, noised, times, condition=None, layers=(), beside=None, text=None, front=None, prune=None):
        """What the denoiser says of each patch.

        Args:
            noised: (B, C, H, W) on the scale of 2 x - 1, array or tensor. times: (B,) host numbers in [0, 1].
            condition: (B, D) rows that are added to what the times give, or None.
            layers: numbers of blocks, from 1 to depth, whose output tokens to return.
            beside: (B, P, D) rows that are added to what the patches give, or None.
            text: (rows (B, T, D), booleans (B, T), True at words) for a denoiser of captions, or a list of one for each
                block; else None.
            front: (B, n, D) tokens that stand before the patches' in all blocks, and of which nothing is returned; or
                None.
            prune: function of a block's tokens, an array (B, N, D), that says which of them look at each other, and
                whose result each token takes: places (B, n) and, of N tokens, which of these n (B, N); or None for all.
        Returns:
            ``Denoised``.
        """
        if any(number not in range(1, self.depth + 1) for number in layers):
            raise ValueError(f"Denoiser: layers: got {tuple(layers)}, expected numbers from 1 to {self.depth}")
        if noised.ndim != 4 or noised.shape[1:] != self.image_shape or len(times) != len(noised):
            raise ValueError(
                f"Denoiser: noised: got shape {noised.shape} at {len(times)} times, expected (B, "
                f"{', '.join(map(str, self.image_shape))}) and B times"
            )
        weight = self.embed.weight.data
        features = backend_of(weight).asarray(time_features(times, self.width).astype(weight.dtype))
        c = self.time_out(_silu(self.time_in(features)))
        c = _silu(c if condition is None else c + condition)
        x = self.embed(patchify(noised, self.patch)) + self.positions
        x = x if beside is None else x + beside
        x = x if front is None else concatenate(front, x, axis=1)
        kept, maps, own = {}, [], []
        for number, block in enumerate(self.blocks, 1):
            x, among, weights = block(x, c, text[number - 1] if isinstance(text, list) else text, prune)
            own.append(among)
            if weights is not None:
                maps.append(weights)
            if number in layers:
                kept[number] = x[:, -self.patch_count :]
        scale, shift = _parts(self.modulate(c), 2)
        patches = self.outputs(modulated_norm(x[:, -self.patch_count :], scale, shift, eps=EPS))
        return Denoised(patches, tuple(kept[number] for number in layers), tuple(maps), tuple(own))

    def forward(self, images):
        (tokens,) = self._features(images, (self.feature_layer,))
        return Encoded(tokens.mean(axis=1), tokens)

    def layer_tokens(self, images):
        """The tokens after each block: a list of (B, P, D)."""
        return list(self._features(images, tuple(range(1, self.depth + 1))))

    def layer_rows(self, images):
        """One row per image after each block, the mean of its tokens: a list of (B, D)."""
        return [tokens.mean(axis=1) for tokens in self.layer_tokens(images)]

    def _features(self, images, layers):
        return self.denoise(2 * images - 1, np.full(len(images), self.feature_time), layers=layers).layers


class AdaptiveBlock(Module):
    """x + a attention(norm(x)), then x + b mlp(norm(x)); scales and shifts of the norms, a and b come from c (B, D).

    DiT's "adaLN-Zero" (Peebles, Xie 2022, arXiv 2212.09748, figure 3): all start at 0, the block at the identity. With
    ``text`` there is a branch between the two that looks at the rows of a text, as in latent diffusion (Rombach et al.
    2021, arXiv 2112.10752, section 3.3).
    """

    def __init__(self, width, heads, mlp_ratio, rng, *, text=False, dtype=np.float32):
        hidden = at_least_one("mlp_ratio * width", int(width * mlp_ratio))
        if width % at_least_one("heads", heads):
            raise ValueError(f"AdaptiveBlock: heads: got {heads}, expected a divisor of width {width}")
        self._heads, self._branches = heads, 3 if text else 2
        self.modulate = Linear(width, 3 * self._branches * width, rng, init=zeros, dtype=dtype)
        self.qkv = Linear(width, 3 * width, rng, init=three_square, dtype=dtype)
        self.out = Linear(width, width, rng, dtype=dtype)
        self.expand, self.contract = Linear(width, hidden, rng, dtype=dtype), Linear(hidden, width, rng, dtype=dtype)
        if text:
            self.query, self.key, self.value, self.said = (Linear(width, width, rng, dtype=dtype) for _ in range(4))

    def forward(self, x, c, text=None, prune=None):
        """Tokens (B, N, D), a row c (B, D) for each input, and a text's (rows, mask), to tokens and two weights.

        The weights are those of the tokens on each other and on the text. prune: see ``Denoiser.denoise``.
        """
        scale, shift, gate, scale2, shift2, gate2, *of_text = _parts(self.modulate(c), 3 * self._branches)
        qkv, out, expand, contract = ((m.weight, m.bias) for m in (self.qkv, self.out, self.expand, self.contract))
        if prune:
            every = backend_of(x.data).xp.arange(len(x))[:, None]
            keep, source = prune(x.data)
            mixed, own = self_attention(
                self.qkv(modulated_norm(x, scale, shift, eps=EPS)[every, keep]), heads=self._heads
            )
            x = x + self.out(mixed)[every, source] * gate.reshape(len(x), 1, -1)
        else:
            x, own = adaptive_attention_branch(x, scale, shift, gate, *qkv, *out, heads=self._heads, eps=EPS)
        weights = None
        if of_text:
            scale3, shift3, gate3 = of_text
            rows, mask = text
            query = self.query(modulated_norm(x, scale3, shift3, eps=EPS))
            told, weights = attention(
                query, self.key(rows), self.value(rows), mask=mask[:, None, None], heads=self._heads
            )
            x = x + self.said(told) * gate3.reshape(len(x), 1, -1)
        return adaptive_mlp_branch(x, scale2, shift2, gate2, *expand, *contract, eps=EPS), own, weights


def mean_map(maps):
    """(B, P, T): the mean over blocks and heads of the ``maps`` of a ``Denoised``, or (B, N, N) of its ``own``."""
    return sum((m.mean(axis=1) for m in maps[1:]), maps[0].mean(axis=1)) / len(maps)


def time_features(times, width):
    """(B, width) on the host: cosines, then sines, of 1000 t 10000^(-2k/width), k = 0 .. width/2 - 1.

    As positions of a line (Vaswani et al. 2017, arXiv 1706.03762, section 3.5), of a thousand steps.
    """
    if width % 2:
        raise ValueError(f"time_features: width: got {width}, expected a multiple of 2")
    angles = 1000.0 * np.asarray(times, dtype=np.float64)[:, None] * 10000.0 ** (-np.arange(width // 2) / (width / 2))
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1)


def _silu(x):
    return x * sigmoid(x)


def _parts(x, count):
    """Equal parts of the columns of x (B, count * D)."""
    return split(x, (x.shape[1] // count,) * count, axis=1)


@definition(Denoiser)
def denoiser_definition(denoiser, images):
    """Pooled features in plain NumPy, an image and a head at a time."""
    state, side, pooled = denoiser.state_dict(), denoiser.patch, []

    def linear(x, name):
        return x @ state[f"{name}.weight"] + state[f"{name}.bias"]

    def silu(x):
        return x / (1 + np.exp(-x))

    def norm(x, scale, shift):
        centred = x - x.mean(axis=1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + EPS) * (1 + scale) + shift

    c = time_features([denoiser.feature_time], denoiser.width)[0]
    c = silu(linear(silu(linear(c, "time_in")), "time_out"))
    for image in 2 * images - 1:
        height, width = image.shape[1:]
        corners = [(top, left) for top in range(0, height, side) for left in range(0, width, side)]
        patches = [image[:, i : i + side, j : j + side].transpose(1, 2, 0).reshape(-1) for i, j in corners]
        x = linear(np.stack(patches), "embed") + state["positions"]
        for k in range(denoiser.feature_layer):
            name, heads = f"blocks.{k}", denoiser.blocks[k]._heads
            scale, shift, gate, scale2, shift2, gate2 = np.split(linear(c, f"{name}.modulate"), 6)
            q, key, v = np.split(linear(norm(x, scale, shift), f"{name}.qkv"), 3, axis=1)
            mixed = []
            for one, other, value in zip(*(np.split(rows, heads, axis=1) for rows in (q, key, v)), strict=True):
                scores = one @ other.T / math.sqrt(one.shape[1])
                weights = np.exp(scores - scores.max(axis=1, keepdims=True))
                mixed.append(weights / weights.sum(axis=1, keepdims=True) @ value)
            x = x + gate * linear(np.concatenate(mixed, axis=1), f"{name}.out")
            hidden = tanh_gelu(linear(norm(x, scale2, shift2), f"{name}.expand"))
            x = x + gate2 * linear(hidden, f"{name}.contract")
        pooled.append(x.mean(axis=0))
    return np.stack(pooled)
