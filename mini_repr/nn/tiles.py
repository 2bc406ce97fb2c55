"""An encoder that sees an image's tiles one by one, and only then all of them together."""

import numpy as np

from mini_repr.nn.encoded import Encoded
from mini_repr.nn.mlp import MLP, mlp_definition
from mini_repr.nn.module import Module
from mini_repr.nn.patches import patchify
from mini_repr.pages.arguments import Count
from mini_repr.pages.declare import part
from mini_repr.pages.page import definition


@part("encoder", "tiles", paper="081")
class TileMLP(Module):
    """Perceptron of square tiles, shared by all of them; their rows are joined.

    Images (B, C, H, W) to ``Encoded``: tokens (B, tiles, features) and pooled (B, tiles * features). No tile knows its
    place. Source: the nine-fold network of jigsaw puzzles (Noroozi, Favaro 2016, arXiv 1603.09246, figure 3; Kim et
    al. 2018, arXiv 1802.01880), with a perceptron where they have convolutions.

    Args:
        image_shape: (C, H, W).
        side: tiles along a side; None takes 3, or 2 where 3 does not divide the image.
        features: of a tile. hidden: width of the hidden layers. depth: number of linear layers.
    """

    takes = "images"

    def __init__(
        self,
        image_shape,
        rng,
        dtype=np.float32,
        *,
        side: Count(choose="3, or 2 where 3 does not divide the image") = None,
        features: Count() = 64,
        hidden: Count() = 128,
        depth: Count() = 2,
    ):
        self.image_shape = tuple(image_shape)
        if side is None:
            side = 2 if image_shape[-1] % 3 else 3
        self.tile = tile_of(self.image_shape, side, "encoder tiles")
        self.width = side * side * features
        sizes = (image_shape[0] * self.tile**2, *[hidden] * (depth - 1), features)
        self.mlp = MLP(sizes, rng, norm="layer", dtype=dtype)

    def forward(self, images):
        if images.shape[1:] != self.image_shape:
            expected = ", ".join(map(str, ("B", *self.image_shape)))
            raise ValueError(f"TileMLP: images: got shape {images.shape}, expected ({expected})")
        tokens = self.mlp(patchify(images, self.tile))
        return Encoded(tokens.reshape(len(images), -1), tokens)

    def layer_rows(self, images):
        """One row per image after each layer, all tiles' joined: a list of (B, tiles * width of the layer)."""
        return [rows.reshape(len(images), -1) for rows in self.mlp.layers(patchify(images, self.tile))]


def tile_of(image_shape, side, owner):
    """How many pixels a tile has along a side, where ``side`` of them make up a side of the image.

    Raises:
        ValueError: clips, images that are not square, or that so many tiles do not make up; names the ``owner``.
    """
    if len(image_shape) != 3 or image_shape[1] != image_shape[2] or image_shape[1] % side:
        raise ValueError(
            f"{owner}: side: got {side} and images of shape {tuple(image_shape)}, expected square images (C, H, H) and "
            "a divisor of H"
        )
    return image_shape[1] // side


@definition(TileMLP)
def tile_mlp_definition(encoder, images):
    side, rows = encoder.tile, []
    for image in images:
        corners = [(i, j) for i in range(0, image.shape[1], side) for j in range(0, image.shape[2], side)]
        tiles = [image[:, i : i + side, j : j + side].transpose(1, 2, 0).reshape(1, -1) for i, j in corners]
        rows.append(np.concatenate([mlp_definition(encoder.mlp, tile)[0] for tile in tiles]))
    return np.stack(rows)
