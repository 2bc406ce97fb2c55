"""The multi-layer perceptron, and an image encoder made of one.

Source of the parts: batch norm, Ioffe & Szegedy 2015, arXiv 1502.03167; dropout, Srivastava et al. 2014.
"""

import math

import numpy as np

from mini_repr.autograd import linear_layers, relu, tanh
from mini_repr.nn.encoded import Encoded
from mini_repr.nn.init import he_normal, xavier_uniform
from mini_repr.nn.layers import ACTIVATIONS, BatchNorm, Dropout, LayerNorm, Linear, activation_named
from mini_repr.nn.module import Module
from mini_repr.pages.arguments import Choice, Count, FractionBelowOne, Optional
from mini_repr.pages.declare import part
from mini_repr.pages.page import definition

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
        # A layer may have been replaced, by one whose weight is masked for example.
        plain = not self.norms and self.dropout is None and {type(layer) for layer in self.linears} == {Linear}
        if plain and self._activation in (relu, tanh):
            parts = (part for layer in self.linears for part in (layer.weight, layer.bias))
            x = linear_layers(self.linears[0].checked(x), *parts, activation=self._activation.__name__)
            return x if self.last_norm is None else self.last_norm(x)
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


@part("encoder", "mlp")
class ImageMLP(Module):
    """Multi-layer perceptron on flattened images.

    Images (B, C, H, W) to ``Encoded`` with pooled (B, width) and no tokens.

    Args:
        image_shape: (C, H, W).
        width: of the output. hidden: width of the hidden layers. depth: number of linear layers.
        norm, activation, dropout: as in ``MLP``.
    """

    takes = "images"

    def __init__(
        self,
        image_shape,
        rng,
        dtype=np.float32,
        *,
        width: Count() = 128,
        hidden: Count() = 512,
        depth: Count() = 3,
        activation: Choice(*ACTIVATIONS) = "relu",
        norm: Optional(Choice(*NORMS)) = "batch",
        dropout: FractionBelowOne = 0.0,
    ):
        self.image_shape, self.width = tuple(image_shape), width
        sizes = (math.prod(image_shape), *[hidden] * (depth - 1), width)
        self.mlp = MLP(sizes, rng, activation=activation, norm=norm, dropout=dropout, dtype=dtype)

    def forward(self, images):
        if images.shape[1:] != self.image_shape:
            raise ValueError(f"ImageMLP: images: got shape {images.shape}, expected (B, {_listed(self.image_shape)})")
        return Encoded(self.mlp(images.reshape(len(images), -1)))

    def layer_rows(self, images):
        """One row per image after each layer: a list of (B, width of the layer)."""
        return list(self.mlp.layers(images.reshape(len(images), -1)))


@definition(ImageMLP)
def image_mlp_definition(encoder, images):
    return mlp_definition(encoder.mlp, images.reshape(len(images), -1))


def mlp_definition(mlp, x):
    """An MLP without ``last_norm``, in evaluation mode."""
    state, activation = mlp.state_dict(), mlp._activation.__name__
    for k in range(len(mlp.linears)):
        x = x @ state[f"linears.{k}.weight"] + state.get(f"linears.{k}.bias", 0)
        if k == len(mlp.linears) - 1:
            return x
        norm = {name.rpartition(".")[2]: value for name, value in state.items() if name.startswith(f"norms.{k}.")}
        if "running_mean" in norm:
            x = (x - norm["running_mean"]) / np.sqrt(norm["running_variance"] + 1e-5) * norm["gain"] + norm["bias"]
        elif norm:
            x = normalised(x, norm["gain"], norm["bias"])
        x = np.maximum(x, 0) if activation == "relu" else np.tanh(x) if activation == "tanh" else tanh_gelu(x)


def normalised(x, gain, bias):
    """Layer norm in plain NumPy."""
    mean = x.mean(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(((x - mean) ** 2).mean(axis=-1, keepdims=True) + 1e-6) * gain + bias


def tanh_gelu(x):
    """GELU by its tanh form (Hendrycks & Gimpel 2016, arXiv 1606.08415) in plain NumPy."""
    return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _listed(sizes):
    return ", ".join(map(str, sizes))
