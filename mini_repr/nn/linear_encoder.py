"""One linear map from pixels to rows: what principal components are, with a matrix that training finds.

Source: the encoder of TLDR, Kalantidis et al. 2021, arXiv 2110.09455; github.com/naver/tldr: one linear layer with a
bias, to 32 columns.
"""

import math

import numpy as np

from mini_repr.nn.encoded import Encoded
from mini_repr.nn.layers import Linear
from mini_repr.nn.module import Module
from mini_repr.pages.arguments import Count, Flag
from mini_repr.pages.declare import part
from mini_repr.pages.page import definition


@part("encoder", "linear", paper="077")
class LinearEncoder(Module):
    """One matrix on flattened images.

    Images (B, C, H, W) to ``Encoded`` with pooled (B, width) and no tokens.

    Args:
        image_shape: (C, H, W), or (D,) for plain rows. width: of the output. bias: whether a vector is added.
    """

    takes = "images"

    def __init__(self, image_shape, rng, dtype=np.float32, *, width: Count() = 32, bias: Flag = True):
        self.image_shape, self.width = tuple(image_shape), width
        self.linear = Linear(math.prod(image_shape), width, rng, bias=bias, dtype=dtype)

    def forward(self, images):
        if images.shape[1:] != self.image_shape:
            expected = ", ".join(map(str, ("B", *self.image_shape)))
            raise ValueError(f"LinearEncoder: images: got shape {images.shape}, expected ({expected})")
        return Encoded(self.linear(images.reshape(len(images), -1)))

    def layer_rows(self, images):
        """One row per image after its only layer: a list of one (B, width)."""
        return [self.forward(images).pooled]


@definition(LinearEncoder)
def linear_encoder_definition(encoder, images):
    state = encoder.state_dict()
    return images.reshape(len(images), -1) @ state["linear.weight"] + state.get("linear.bias", 0)
