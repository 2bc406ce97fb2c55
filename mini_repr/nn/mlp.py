"""The multi-layer perceptron, and an image encoder made of one."""

import math

import numpy as np

from mini_repr.nn.encoded import Encoded
from mini_repr.nn.init import he_normal, xavier_uniform
from mini_repr.nn.layers import BatchNorm, Dropout, LayerNorm, Linear, activation_named
from mini_repr.nn.module import Module

NORMS = {"batch": BatchNorm, "layer": LayerNorm}


class MLP(Module):
    """Linear layers with norm, activation and dropout between them: (N, sizes[0]) to (N, sizes[-1]).

    Args:
        sizes: two or more widths, input first, output last.
        activation: gelu, relu or tanh.
        norm: None, "batch" or "layer": before each activation. A linear layer in front of a norm has no bias.
        last_norm: None or "batch": batch norm without gain and bias on the output (SimSiam's projector).
        dropout: rate after each activation.
    """

    def __init__(self, sizes, rng, *, activation="relu", norm=None, last_norm=None, dropout=0.0, dtype=np.float32):
        if len(sizes) < 2:
            raise ValueError(f"MLP: sizes: got {tuple(sizes)}, expected two or more widths")
        if norm is not None and norm not in NORMS:
            raise ValueError(f"MLP: norm: got {norm!r}, expected None, {' or '.join(NORMS)}")
        if last_norm not in (None, "batch"):
            raise ValueError(f"MLP: last_norm: got {last_norm!r}, expected None or batch")
        self._activation = activation_named(activation)
        init = he_normal if activation == "relu" else xavier_uniform
        last = len(sizes) - 2
        self.linears = []
        for k in range(last):
            self.linears.append(Linear(sizes[k], sizes[k + 1], rng, bias=norm is None, init=init, dtype=dtype))
        self.linears.append(
            Linear(sizes[last], sizes[last + 1], rng, bias=last_norm is None, init=xavier_uniform, dtype=dtype)
        )
        self.norms = [NORMS[norm](size, dtype=dtype) for size in sizes[1:-1]] if norm else []
        self.last_norm = BatchNorm(sizes[-1], affine=False, dtype=dtype) if last_norm else None
        self.dropout = Dropout(dropout, rng) if dropout else None

    def forward(self, x):
        for rows in self.layers(x):
            x = rows
        return x

    def layers(self, x):
        """Yield the rows after each linear layer with all that follows it, the output last."""
        for k, layer in enumerate(self.linears[:-1]):
            x = layer(x)
            if self.norms:
                x = self.norms[k](x)
            x = self._activation(x)
            if self.dropout is not None:
                x = self.dropout(x)
            yield x
        x = self.linears[-1](x)
        yield x if self.last_norm is None else self.last_norm(x)


class ImageMLP(Module):
    """An MLP on flattened images: (B, C, H, W) to ``Encoded`` with pooled (B, width) and no tokens.

    Args:
        image_shape: (C, H, W).
        width: of the output. hidden: width of the hidden layers. depth: number of linear layers.
        norm, activation, dropout: as in ``MLP``.
    """

    def __init__(
        self,
        image_shape,
        rng,
        dtype=np.float32,
        *,
        width=128,
        hidden=512,
        depth=3,
        activation="relu",
        norm="batch",
        dropout=0.0,
    ):
        if depth < 1:
            raise ValueError(f"ImageMLP: depth: got {depth}, expected 1 or more")
        self.image_shape, self.width = tuple(image_shape), width
        sizes = (math.prod(image_shape), *[hidden] * (depth - 1), width)
        self.mlp = MLP(sizes, rng, activation=activation, norm=norm, dropout=dropout, dtype=dtype)

    def forward(self, images):
        if images.shape[1:] != self.image_shape:
            raise ValueError(f"ImageMLP: images: got shape {images.shape}, expected (B, {_listed(self.image_shape)})")
        return Encoded(self.mlp(images.reshape(len(images), -1)))

    def layer_rows(self, images):
        """One row an image after each layer: a list of (B, width of the layer)."""
        return list(self.mlp.layers(images.reshape(len(images), -1)))


def _listed(sizes):
    return ", ".join(map(str, sizes))
