"""A tokeniser of images whose code grows: each round adds latent tokens and looks again."""

import numpy as np

from mini_repr.autograd import Tensor, broadcast_to, concatenate, tanh, where
from mini_repr.nn.encoded import Encoded
from mini_repr.nn.init import truncated_normal
from mini_repr.nn.layers import LayerNorm, Linear
from mini_repr.nn.mlp import normalised
from mini_repr.nn.module import Module
from mini_repr.nn.patches import patchify
from mini_repr.nn.transformer import Block, block_definition, branch_scale
from mini_repr.nn.vit import patch_grid
from mini_repr.pages.arguments import Count
from mini_repr.pages.declare import part
from mini_repr.pages.page import definition


@part("encoder", "alit", paper="017")
class Alit(Module):
    """Adaptive-length image tokeniser: a recurrent encoder of patches and latents.

    Round by round the same blocks run over [patches, latents]; both change. The latents, through a layer norm, are the
    code (``AlitDecoder`` rebuilds the image from them). Then ``latents`` new ones join, the same learned tokens with
    the embedding of their round, and all are normalised. So a code of few tokens is the beginning of the work on a
    longer one. Images (B, C, H, W) to ``Encoded``: pooled (B, width), the mean of the last round's latents, and these
    as tokens.

    Source: Duggal et al. 2024, arXiv 2411.02393, and its official code, ShivamDuggal4/adaptive-length-tokenizer,
    adaptive_vqgan.py, whose tokens are those of a frozen VQ-GAN and a class token before them; here patches alone.

    Args:
        image_shape: (C, H, W). rng: host generator.
        patch: side of a patch in pixels; None chooses (see ``choose_patch``).
        width, depth, heads: of the blocks, which start as the identity.
        rounds: I. latents: n_0, tokens that each adds.
    """

    takes = "images"
    class_token = None
    tube = 1

    def __init__(
        self,
        image_shape,
        rng,
        dtype=np.float32,
        *,
        patch: Count(choose="chosen by choose_patch") = None,
        width: Count() = 48,
        depth: Count() = 2,
        heads: Count() = 4,
        rounds: Count() = 4,
        latents: Count() = 1,
    ):
        if len(image_shape) != 3:
            raise ValueError(f"encoder alit: got clips of shape {tuple(image_shape)}, expected images (C, H, W)")
        channels, height, across = self.image_shape = tuple(image_shape)
        self.patch, self.grid = patch_grid("Alit", patch, height, across)
        self.patch_count, self.width, self.rounds = self.grid[0] * self.grid[1], width, rounds
        self.embed = Linear(self.patch**2 * channels, width, rng, dtype=dtype)
        self.positions = learned(rng, dtype, self.patch_count, width)
        self.latents, self.round_embedding = learned(rng, dtype, latents, width), learned(rng, dtype, rounds, 1, width)
        self.blocks = still_blocks(depth, width, heads, rng, dtype)
        self.norm = LayerNorm(width, dtype=dtype)
        self.norm_between = LayerNorm(width, dtype=dtype) if rounds > 1 else None

    def forward(self, images):
        latents = self.rollout(images)[-1]
        return Encoded(latents.mean(axis=1), latents)

    def rollout(self, images, finished=None, mask_token=None):
        """The latents after each round, a list of (B, n, width) with n = latents, 2 latents, ..., normalised.

        Args:
            images: (B, C, H, W).
            finished: called with these after every round but the last, gives booleans (B, P), True at patches that need
                no more work: from then on each is ``mask_token`` (width,), a tensor of the caller's, and its place.
        """
        if images.shape[1:] != self.image_shape:
            expected = ", ".join(map(str, ("B", *self.image_shape)))
            raise ValueError(f"Alit: images: got shape {images.shape}, expected ({expected})")
        x, found, count = self.embed(patchify(images, self.patch)) + self.positions, [], self.patch_count
        for number in range(self.rounds):
            x = concatenate(x, self._new(number, len(images)), axis=1)
            if number:
                x = self.norm_between(x)
            for block in self.blocks:
                x, _ = block(x)
            found.append(self.norm(x[:, count:]))
            if finished is not None and number + 1 < self.rounds:
                done = finished(found[-1])[:, :, None]
                patches = where(done, mask_token + self.positions, x[:, :count])
                x = concatenate(patches, x[:, count:], axis=1)
        return found

    def _new(self, number, batch):
        """(B, latents, width): the tokens that join in a round."""
        new = self.latents + self.round_embedding[number]
        return broadcast_to(new, (batch, *new.shape))

    def layer_rows(self, images):
        """One row per image after each round, the mean of its latents: a list of (B, D)."""
        return [latents.mean(axis=1) for latents in self.rollout(images)]


class AlitDecoder(Module):
    """Rebuild images from the latents of ``Alit``, any number of them, through a linear bottleneck.

    A mask token in every patch's place and the code's tokens go through blocks; a head of two layers makes pixels of
    the first. The official code quantises the code (4,096 entries), this one does not.

    Args:
        encoder: an ``Alit``. code: columns of the bottleneck. depth, heads: of the blocks, as wide as the encoder.
    """

    def __init__(self, encoder, code, depth, heads, rng, dtype=np.float32):
        width, tokens = encoder.width, encoder.rounds * len(encoder.latents)
        self.bottleneck, self.widen = Linear(width, code, rng, dtype=dtype), Linear(code, width, rng, dtype=dtype)
        self.token, self.positions = learned(rng, dtype, width), learned(rng, dtype, encoder.patch_count, width)
        self.code_positions = learned(rng, dtype, tokens, width)
        self.blocks = still_blocks(depth, width, heads, rng, dtype)
        self.norm, self.hidden = LayerNorm(width, dtype=dtype), Linear(width, width, rng, dtype=dtype)
        self.pixels = Linear(width, encoder.patch**2 * encoder.image_shape[0], rng, dtype=dtype)

    def forward(self, latents):
        """Latents (B, n, width) to pixels (B, P, patch * patch * C)."""
        asked = self.token + self.positions
        told = self.widen(self.bottleneck(latents)) + self.code_positions[: latents.shape[1]]
        x = concatenate(broadcast_to(asked, (len(latents), *asked.shape)), told, axis=1)
        for block in self.blocks:
            x, _ = block(x)
        return self.pixels(tanh(self.hidden(self.norm(x[:, : len(self.positions)]))))


def learned(rng, dtype, *shape):
    """A tensor to be trained, that starts near 0."""
    return Tensor(truncated_normal(rng, shape, dtype), True)


def still_blocks(depth, width, heads, rng, dtype):
    """Transformer blocks that start as the identity."""
    scale = branch_scale("zero", depth)
    return [Block(width, heads, 4.0, rng, branch_scale=scale, dtype=dtype) for _ in range(depth)]


def lengths(errors, threshold, latents=1):
    """(B,) how many tokens each image needs: those of the first round whose error is below ``threshold``, or all.

    Args:
        errors: host array (B, rounds). latents: tokens that a round adds.
    """
    enough = errors < threshold
    return latents * np.where(enough.any(axis=1), enough.argmax(axis=1) + 1, errors.shape[1])


@definition(Alit)
def alit_definition(encoder, images):
    state, side, pooled = encoder.state_dict(), encoder.patch, []
    for image in images:
        height, width = image.shape[1:]
        corners = [(top, left) for top in range(0, height, side) for left in range(0, width, side)]
        patches = [image[:, i : i + side, j : j + side].transpose(1, 2, 0).reshape(-1) for i, j in corners]
        x = np.stack(patches) @ state["embed.weight"] + state["embed.bias"] + state["positions"]
        for number in range(encoder.rounds):
            x = np.concatenate([x, state["latents"] + state["round_embedding"][number]])
            if number:
                x = normalised(x, state["norm_between.gain"], state["norm_between.bias"])
            for block in encoder.blocks:
                x = block_definition(block, x)
        pooled.append(normalised(x[len(patches) :], state["norm.gain"], state["norm.bias"]).mean(axis=0))
    return np.stack(pooled)
