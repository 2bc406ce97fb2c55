"""One linear map from pixels to rows."""

import math

import numpy as np

from mini_repr.nn.encoded import Encoded
from mini_repr.nn.layers import Linear
from mini_repr.nn.module import Module


class LinearEncoder(Module):
    """Images (B, C, H, W), flattened, times a matrix: ``Encoded`` with pooled (B, width) and no tokens.

    What principal components are, with a matrix that training finds: the encoder of TLDR (Kalantidis et al. 2021, arXiv
    2110.09455; github.com/naver/tldr: one linear layer with a bias, to 32 columns).

    Args:
        image_shape: (C, H, W), or (D,) for plain rows. width: of the output. bias: whether a vector is added.
    """

    def __init__(self, image_shape, rng, dtype=np.float32, *, width=32, bias=True):
        self.image_shape, self.width = tuple(image_shape), width
        self.linear = Linear(math.prod(image_shape), width, rng, bias=bias, dtype=dtype)

    def forward(self, images):
        if images.shape[1:] != self.image_shape:
            expected = ", ".join(map(str, ("B", *self.image_shape)))
            raise ValueError(f"LinearEncoder: images: got shape {images.shape}, expected ({expected})")
        return Encoded(self.linear(images.reshape(len(images), -1)))

    def layer_rows(self, images):
        """One row an image after its only layer: a list of one (B, width)."""
        return [self.forward(images).pooled]
