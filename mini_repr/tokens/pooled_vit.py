"""A vision transformer that goes on with fewer tokens after each block.

Source: Marin et al. 2021, arXiv 2110.03860.
"""

import numpy as np

from mini_repr.autograd import concatenate
from mini_repr.nn import ViT
from mini_repr.nn.transformer import block_definition
from mini_repr.nn.vit import pooled_definition
from mini_repr.pages.arguments import Choice, Count, FractionBelowOne, Positive, Scalar
from mini_repr.pages.declare import part
from mini_repr.pages.page import definition
from mini_repr.tokens.pooling import METHODS, pool_tokens, significance


@part("encoder", "pooled_vit", paper="024")
class PooledViT(ViT):
    """Token pooling: a ViT that replaces its tokens by fewer clusters after each block.

    Marin et al. 2021, arXiv 2110.03860: attention smooths its tokens, so that many say the same; clusters weighted by
    the attention that a token receives lose little. After the last block nothing is pooled, and the class token never.
    Takes whole images only: hidden patches have no place once tokens are clusters.

    Args:
        keep: the share of the patch tokens that is left after a block. by: "medoids" or "means" (``pool_tokens``), or
            "top", which drops the tokens that receive least.
        others: as in ``vit``.
    """

    hides_patches = False

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
        mlp_ratio: Positive = 4.0,
        positions: Choice("learned", "sine") = "learned",
        dropout: FractionBelowOne = 0.0,
        keep: Scalar(low=0, high=1, low_open=True) = 0.5,
        by: Choice(*METHODS) = "medoids",
    ):
        settings = {"patch": patch, "width": width, "depth": depth, "heads": heads, "mlp_ratio": mlp_ratio}
        super().__init__(image_shape, rng, dtype, **settings, positions=positions, dropout=dropout)
        self.keep, self.by = keep, by

    def counts(self):
        """How many patch tokens enter each block."""
        counts = [self.patch_count]
        for _ in range(self.depth - 1):
            counts.append(max(1, round(self.keep * counts[-1])))
        return counts

    def _between(self, number, x, weights):
        if number == self.depth:
            return x
        row, tokens = self._cut(x)
        centres, _ = pool_tokens(tokens, significance(weights)[:, 1:], self.counts()[number], self.by)
        return concatenate(row.reshape(len(x), 1, self.width), centres, axis=1)


@definition(PooledViT)
def pooled_vit_definition(encoder, images):
    def layer(number, block, x):
        weights, x = block(x[None])[1], block_definition(block, x)
        if number == encoder.depth:
            return x
        count = encoder.counts()[number]
        centres = pool_tokens.on_arrays(x[None, 1:], significance(weights)[:, 1:], count, encoder.by)[0][0]
        return np.concatenate([x[:1], centres[0]])

    return pooled_definition(encoder, images, layer)
