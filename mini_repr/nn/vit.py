"""ViT-lite: a small vision transformer.

Source: Dosovitskiy et al. 2020, arXiv 2010.11929.
"""

import math
from itertools import product

import numpy as np

from mini_repr.autograd import Tensor, primitive, split, where
from mini_repr.autograd import max as largest
from mini_repr.backend import backend_of
from mini_repr.nn.encoded import Encoded
from mini_repr.nn.init import truncated_normal
from mini_repr.nn.layers import LayerNorm, Linear
from mini_repr.nn.mlp import normalised
from mini_repr.nn.module import Module
from mini_repr.nn.patches import patchify
from mini_repr.nn.transformer import Block, block_definition, branch_scale
from mini_repr.pages.arguments import Choice, Count, FractionBelowOne, Positive, Scalar
from mini_repr.pages.declare import part
from mini_repr.pages.page import definition


@part("encoder", "vit", paper=("051", "119"))
class ViT(Module):
    """Small vision transformer, patches through pre-norm blocks, class token or mean.

    Images (B, C, H, W) to ``Encoded``: pooled (B, width) and tokens (B, P, width), after the last layer norm. Clips
    (B, T, C, H, W) likewise: a token is a patch of a few frames, and learned positions are the sum of a place's and a
    time's (Feichtenhofer et al. 2022, arXiv 2205.09113).

    Args:
        image_shape: (C, H, W), or of clips (T, C, H, W). rng: host generator.
        patch: side of a patch in pixels; None chooses (see ``choose_patch``).
        tube: frames of a clip to a token; None takes 2, or 1 where their number is odd.
        width: D. depth: blocks. heads: divisor of width. mlp_ratio: hidden width of a block's MLP over D.
        positions: "learned", or "sine": a fixed 2-D sine-cosine table (needs width divisible by 4).
        pooling: "cls": a class token's row; "mean": no class token, the mean of the tokens; "max": the largest value of
            each column among them (CLIPpy: Ranasinghe et al. 2022, arXiv 2210.09996).
        attention: "softmax", or "sparsemax": most weights exactly 0 (Martins, Astudillo 2016, arXiv 1602.02068).
        dropout: rate on the branches of every block.
        shortcut_min: the residual path is multiplied by a number that falls evenly from 1 at the first branch to this
            at the last, so that deeper layers forget the input (Zhang et al. 2024, arXiv 2404.10947; its code: 0.7, and
            skips from the encoder's blocks to the decoder's, which are not here).
        start: "xavier"; "scaled": the last weight of each branch times 1 / sqrt(2 depth), as in GPT-2; "zero": it is 0.
    """

    takes = "images"
    hides_patches = True  # whether forward takes ``visible`` and ``replace``

    def __init__(
        self,
        image_shape,
        rng,
        dtype=np.float32,
        *,
        patch: Count(choose="chosen by choose_patch") = None,
        tube: Count(choose="2, or 1 of an odd number of frames") = None,
        width: Count() = 64,
        depth: Count() = 2,
        heads: Count() = 4,
        mlp_ratio: Positive = 4.0,
        positions: Choice("learned", "sine") = "learned",
        pooling: Choice("cls", "mean", "max") = "cls",
        attention: Choice("softmax", "sparsemax") = "softmax",
        dropout: FractionBelowOne = 0.0,
        shortcut_min: Scalar(low=0, high=1, low_open=True) = 1.0,
        start: Choice("xavier", "scaled", "zero") = "xavier",
    ):
        shortcuts = np.linspace(1.0, shortcut_min, 2 * depth).reshape(depth, 2).tolist()

        def block(k):
            settings = {"dropout": dropout, "attention": attention, "shortcut": tuple(shortcuts[k])}
            return Block(width, heads, mlp_ratio, rng, **settings, branch_scale=branch_scale(start, depth), dtype=dtype)

        self._build(image_shape, rng, dtype, patch, width, depth, positions, pooling, block, tube)

    def _build(self, image_shape, rng, dtype, patch, width, depth, positions, pooling, block, tube=None):
        """All parts, the blocks by ``block(k)``."""
        *times, channels, height, across = self.image_shape = tuple(image_shape)
        self.patch, places = patch_grid("ViT", patch, height, across)
        self.tube = 1 if not times else 2 - times[0] % 2 if tube is None else tube
        if times and times[0] % self.tube:
            raise ValueError(f"ViT: tube: got {tube}, expected a divisor of {times[0]} frames")
        # (rows, columns) of patches; of clips (times, rows, columns).
        self.grid = (*(count // self.tube for count in times), *places)
        self.width, self.depth = width, depth
        self.patch_count = math.prod(self.grid)

        self.embed = Linear(self.tube * self.patch**2 * channels, width, rng, dtype=dtype)
        self.times = None
        if positions == "learned":
            self.positions = Tensor(truncated_normal(rng, (math.prod(self.grid[-2:]), width), dtype), True)
            if times:
                self.times = Tensor(truncated_normal(rng, (self.grid[0], width), dtype), True)
        else:
            self.register_buffer("positions", sine_positions(self.grid, width, dtype))
        # The class token has no position of its own: the sum of two learned rows is one learned row.
        self.class_token = Tensor(truncated_normal(rng, (width,), dtype), True) if pooling == "cls" else None
        self._pooling = pooling
        self.blocks = [block(k) for k in range(depth)]
        self.norm = LayerNorm(width, dtype=dtype)

    def forward(
        self, images, visible=None, replace=None, mask_token=None, layers=(), attention=False, project=(), bias=None
    ):
        """Encode images.

        Args:
            images: (B, C, H, W) array or tensor; of clips (B, T, C, H, W).
            visible: integers (B, V), the numbers of the patches to take; the others never enter (MAE). Tokens then are
                (B, V, D), in the order given. On the host they are checked without waiting for a GPU.
            replace: boolean (B, P) (or (B, V)), True where ``mask_token`` (D,), a tensor of the caller's, takes the
                place of the patch's embedding, before the position is added (SimMIM).
            layers: numbers of blocks, from 1 to depth, whose output tokens (before the last norm) to return.
            attention: whether to return every block's attention weights, class token first.
            bias: an array for each block, broadcastable to (B, heads, N, N), class token first, to be added to its
                attention's logits; the attention weights then are tensors that carry a gradient.
            project: numbers of blocks, likewise, whose queries, keys and values of the tokens to return.
        Raises:
            ValueError: an argument of a wrong shape or kind.
        """
        self._check(images, visible, replace, mask_token, (*layers, *project))
        patches = patchify(images, self.patch, self.tube)
        positions = self.places()
        if visible is not None:
            backend = backend_of(self.embed.weight.data)
            visible, rows = backend.asarray(visible), backend.xp.arange(len(visible))[:, None]
            patches = patches[rows, visible]
            positions = positions[visible.reshape(-1)].reshape(*visible.shape, self.width)
        x = self.embed(patches)
        if replace is not None:
            x = where(replace[:, :, None], mask_token, x)
        x = placed(x, positions, self.class_token)

        kept, weights_of, projected = {}, [], {}
        for number, block in enumerate(self.blocks, 1):
            if number in project:
                projected[number] = block.project(self._cut(x)[1])
            x, weights = block(x) if bias is None else block.weighed(x, bias[number - 1])
            if number in layers:
                kept[number] = self._cut(x)[1]
            if attention:
                weights_of.append(weights)
            x = self._between(number, x, weights)
        pooled, tokens = self._cut(self.norm(x))
        if pooled is None:
            pooled = largest(tokens, axis=1) if self._pooling == "max" else tokens.mean(axis=1)
        tokens_of, rows_of = (tuple(map(found.get, asked)) for found, asked in ((kept, layers), (projected, project)))
        return Encoded(pooled, tokens, tokens_of, tuple(weights_of), rows_of)

    def places(self):
        """(P, D) positions of the patches; of clips with learned ones the sum of each time's and each place's."""
        if self.times is None:
            return self.positions
        return (self.times.reshape(-1, 1, self.width) + self.positions).reshape(self.patch_count, self.width)

    def _between(self, number, x, weights):
        """What enters the next block (or the last norm), of the tokens and attention weights of block ``number``."""
        return x

    def layer_rows(self, images):
        """One row per image after each block, the mean of its patch tokens: a list of (B, D)."""
        return [tokens.mean(axis=1) for tokens in self.layer_tokens(images)]

    def layer_tokens(self, images):
        """The patch tokens after each block: a list of (B, P, D)."""
        return list(self(images, layers=tuple(range(1, self.depth + 1))).layers)

    def _cut(self, x):
        """Class row (B, D), None without a class token, and patch tokens (B, P, D)."""
        if self.class_token is None:
            return None, x
        row, tokens = split(x, (1, x.shape[1] - 1), axis=1)
        return row.reshape(len(x), self.width), tokens

    def _check(self, images, visible, replace, mask_token, layers):
        if images.shape[1:] != self.image_shape:
            raise ValueError(f"ViT: images: got shape {images.shape}, expected (B, {_listed(self.image_shape)})")
        count = self.patch_count
        if visible is not None:
            if visible.dtype.kind not in "iu" or visible.ndim != 2 or len(visible) != len(images):
                raise ValueError(
                    f"ViT: visible: got shape {visible.shape}, dtype {visible.dtype}, "
                    f"expected integers ({len(images)}, V)"
                )
            low, high = backend_of(visible).extremes(visible) if visible.shape[1] else (-1, -1)
            if low < 0 or high >= count:
                raise ValueError(f"ViT: visible: expected one patch or more an image, numbered 0 to {count - 1}")
            count = visible.shape[1]
        if (replace is None) != (mask_token is None):
            raise ValueError("ViT: mask_token: expected together with replace, or neither")
        if replace is not None and (replace.dtype.kind != "b" or replace.shape != (len(images), count)):
            raise ValueError(
                f"ViT: replace: got shape {replace.shape}, dtype {replace.dtype}, "
                f"expected booleans ({len(images)}, {count})"
            )
        if mask_token is not None and mask_token.shape != (self.width,):
            raise ValueError(f"ViT: mask_token: got shape {mask_token.shape}, expected ({self.width},)")
        if any(number not in range(1, self.depth + 1) for number in layers):
            raise ValueError(f"ViT: layers: got {tuple(layers)}, expected numbers from 1 to {self.depth}")


@definition(ViT)
def vit_definition(encoder, images):
    return pooled_definition(encoder, images, lambda number, block, x: block_definition(block, x))


def pooled_definition(encoder, images, layer):
    """Pooled rows in plain NumPy, an image at a time.

    Args:
        layer: ``layer(number, block, x)``, the tokens (N, D) of one image after block ``number``.
    """
    state, side, pooled = encoder.state_dict(), encoder.patch, []
    for image in images:
        clip = image if image.ndim == 4 else image[None]
        frames, _, height, width = clip.shape
        starts = (range(0, length, step) for length, step in ((frames, encoder.tube), (height, side), (width, side)))
        boxes = [clip[t : t + encoder.tube, :, i : i + side, j : j + side] for t, i, j in product(*starts)]
        patches = np.stack([box.transpose(0, 2, 3, 1).reshape(-1) for box in boxes])
        positions = state["positions"]
        if "times" in state:
            positions = np.concatenate([positions + time for time in state["times"]])
        x = patches @ state["embed.weight"] + state["embed.bias"] + positions
        if "class_token" in state:
            x = np.concatenate([state["class_token"][None], x])
        for number, block in enumerate(encoder.blocks, 1):
            x = layer(number, block, x)
        rows = normalised(x, state["norm.gain"], state["norm.bias"])
        pooled.append({"cls": rows[0], "mean": rows.mean(axis=0), "max": rows.max(axis=0)}[encoder._pooling])
    return np.stack(pooled)


@primitive
def placed(rows, positions, first, /):
    """rows (B, P, D) + positions (P, D) or (B, P, D), behind the row ``first`` (D,) where there is one."""
    if first is None:
        return rows + positions, lambda g: (g, g, None)
    batch, count, width = rows.shape
    output = backend_of(rows).xp.empty((batch, count + 1, width), dtype=rows.dtype)
    output[:, 0] = first
    backend_of(rows).xp.add(rows, positions, out=output[:, 1:])

    def backward(g):
        return g[:, 1:], g[:, 1:], g[:, 0]

    return output, backward


def patch_grid(owner, patch, height, width):
    """(side of a patch, (rows, columns) of patches) of images; a ``patch`` of None is chosen.

    Raises:
        ValueError: a patch that does not divide both sides; names the owner.
    """
    side = choose_patch(height, width) if patch is None else patch
    if height % side or width % side:
        raise ValueError(f"{owner}: patch: got {patch}, expected a common divisor of {height} and {width}")
    return side, (height // side, width // side)


def choose_patch(height, width):
    """Side of a patch for about eight of them along the shorter side: the largest common divisor up to a seventh.

    8 x 8 pixels: 2 (16 patches); 28 x 28: 4 (49); 32 x 32: 4 (64); 224 x 224: 32 (49).
    """
    limit = max(2, min(height, width) // 7)
    return max(side for side in range(1, limit + 1) if height % side == 0 and width % side == 0)


def sine_positions(grid, width, dtype=np.float32):
    """(rows * columns, width): sine and cosine of the row number, then of the column number, a quarter each.

    A grid (times, rows, columns) gives (times * rows * columns, width): to these are added sine and cosine of the time,
    half each, with as many frequencies again.

    Vaswani et al. 2017, arXiv 1706.03762, section 3.5, in two dimensions: Chen et al. 2021, arXiv 2104.02057;
    frequencies 10000^(-4k/width), k = 0 .. width/4 - 1.
    """
    if width % 4:
        raise ValueError(f"sine_positions: width: got {width}, expected a multiple of 4")
    frequency = 10000.0 ** (-np.arange(width // 4) / (width / 4))
    row, column = (number.reshape(-1, 1) * frequency for number in np.indices(grid[-2:]))
    table = np.concatenate([np.sin(row), np.cos(row), np.sin(column), np.cos(column)], axis=1)
    if len(grid) == 3:
        time = np.arange(grid[0])[:, None] * 10000.0 ** (-np.arange(width // 2) / (width / 2))
        table = np.concatenate([np.sin(time), np.cos(time)], axis=1)[:, None] + table
    return table.reshape(-1, width).astype(dtype)


def _listed(sizes):
    return ", ".join(map(str, sizes))
