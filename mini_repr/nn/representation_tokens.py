"""Tokens that both towers of a frozen pair read: one small set of rows, mapped into the blocks of each.

Source: Guo, Gu 2025, arXiv 2503.08497 (MMRL) and 2505.10088 (MMRL++). Compared with the official code of both,
yunncheng/MMRL: trainers/mmrl.py, trainers/mmrlpp.py, clip/model_mmrl.py, clip/model_mmrlpp.py (read).
"""

import math

import numpy as np

from mini_repr.autograd import Tensor
from mini_repr.nn.layers import Linear
from mini_repr.nn.low_rank import LowRank
from mini_repr.nn.module import Module


class RepresentationTokens(Module):
    """Rows (count, width), a map of them for each block of each tower, and a map of what the image tower makes of them.

    MMRL: each block has a linear map of its own; the tokens are inserted behind the first token of block ``first`` and
    take the place of what stands there in each later one; the image's tokens pass a new linear map into the common
    space, drawn at random. MMRL++ (a ``rank``): the maps of a tower's blocks are one shared map plus a product of that
    rank for each, with a bias each; of what stands there a share 1 - ``fresh`` remains; and the towers' own map, which
    stays as it is, plus a product of rank ``map_rank`` leads into the common space.

    Args:
        towers: ``CaptionTowers``. rng: host generator. first: number of the first block that has tokens, from 1.
    """

    def __init__(self, towers, rng, *, count=3, width=32, first=2, rank=None, map_rank=8, fresh=1.0):
        if not 0 <= fresh <= 1:
            raise ValueError(f"RepresentationTokens: fresh: got {fresh:g}, expected a number from 0 to 1")
        if count < 1 or not 1 <= first <= towers.depth:
            raise ValueError(
                f"RepresentationTokens: got {count} tokens from block {first}, expected 1 or more, from a block of 1 "
                f"to {towers.depth}"
            )
        dtype = towers.words.weight.dtype
        self.fresh, self.count = fresh, count
        self.rows = Tensor((0.02 * rng.standard_normal((count, width))).astype(dtype), requires_grad=True)
        numbers = range(first, towers.depth + 1)
        maps = OwnMaps if rank is None else SharedMaps
        ranks = {} if rank is None else {"rank": rank}
        self.to_image, self.to_text = (maps(numbers, width, towers.width, rng, dtype, **ranks) for _ in range(2))
        common = towers.image_map.weight.shape[1]
        if rank is None:
            self.image_map = Linear(towers.width, common, rng, bias=False, init=unit_variance, dtype=dtype)
        else:
            self.image_map = LowRank(towers.width, common, map_rank, rng, dtype)
        self.keeps_map = rank is not None

    def images(self, towers, images):
        """(rows (B, dimensions) of images (B, C, H, W) in [0, 1], those of their tokens)."""
        x = towers.image_tokens(images, self.to_image(self.rows), self.fresh)
        mean = x[:, 1 : 1 + self.count].mean(axis=1)
        own = self.image_map(mean)
        return towers.image_map(x[:, 0]), own + towers.image_map(mean) if self.keeps_map else own

    def texts(self, towers, ids):
        """Rows (B, dimensions) of captions (B, T)."""
        return towers.texts(ids, prompts=self.to_text(self.rows), fresh=self.fresh)


class OwnMaps(Module):
    """A linear map for each block: rows (n, inputs) to {number of a block: (n, outputs)}."""

    def __init__(self, numbers, inputs, outputs, rng, dtype=np.float32):
        self._numbers = tuple(numbers)
        self.maps = [Linear(inputs, outputs, rng, dtype=dtype) for _ in self._numbers]

    def forward(self, rows):
        return {number: one(rows) for number, one in zip(self._numbers, self.maps, strict=True)}


class SharedMaps(Module):
    """A linear map for all blocks and a product of low rank, and a bias, for each: as ``OwnMaps``.

    Each product starts at 0, so that all blocks start alike; at the first step only its first factor moves. Rank 0: one
    map.
    """

    def __init__(self, numbers, inputs, outputs, rng, dtype=np.float32, *, rank):
        self._numbers = tuple(numbers)
        self.shared = Linear(inputs, outputs, rng, bias=False, dtype=dtype)
        self.biases = [Tensor(np.zeros(outputs, dtype), requires_grad=True) for _ in self._numbers]
        self.residuals = [LowRank(inputs, outputs, rank, rng, dtype) for _ in self._numbers] if rank else []

    def forward(self, rows):
        common = self.shared(rows)
        found = {number: common + bias for number, bias in zip(self._numbers, self.biases, strict=True)}
        for number, residual in zip(self._numbers, self.residuals, strict=False):
            found[number] = found[number] + residual(rows)
        return found


def unit_variance(rng, shape, dtype=np.float32):
    """An ``init``: normal of variance 1 / inputs, as CLIP draws its maps into the common space."""
    return (rng.standard_normal(shape) / math.sqrt(shape[0])).astype(dtype)
