"""Modules as plain classes over the engine: layers, encoders and heads.

An *encoder* is a module with a ``width`` that returns ``Encoded``. Image encoders are made by
``make(image_shape, rng)`` and called on images (B, C, H, W); text encoders by ``make(rng)``, called on
``*encoder.tokenise(texts)``. Their keyword-only arguments are what a user may set.
"""

from typing import NamedTuple

from mini_repr.nn.encoded import Encoded
from mini_repr.nn.heads import Heads, LinearHead, PredictionHead, ProjectionHead
from mini_repr.nn.init import he_normal, truncated_normal, xavier_uniform, zeros
from mini_repr.nn.layers import (
    ACTIVATIONS,
    BatchNorm,
    Dropout,
    Embedding,
    LayerNorm,
    Linear,
    Sequential,
    activation_named,
    batch_statistics,
)
from mini_repr.nn.linear_encoder import LinearEncoder
from mini_repr.nn.mlp import MLP, ImageMLP
from mini_repr.nn.module import Module, copy_of
from mini_repr.nn.patches import patchify, unpatchify
from mini_repr.nn.text import TextEncoder, tokenise, word_counts
from mini_repr.nn.text_transformer import LanguageHead, TextTransformer
from mini_repr.nn.transformer import Block
from mini_repr.nn.vit import ViT, sine_positions


class Encoder(NamedTuple):
    """An entry of the registry: the class, one line about it, and what it takes, "images" or "texts"."""

    make: type
    description: str
    takes: str


ENCODERS = {
    "vit": Encoder(ViT, "small vision transformer: patches, pre-norm blocks, class token or mean", "images"),
    "mlp": Encoder(ImageMLP, "multi-layer perceptron on flattened images", "images"),
    "linear": Encoder(LinearEncoder, "one matrix on flattened images", "images"),
    "text": Encoder(TextEncoder, "mean of hashed word embeddings, then an MLP", "texts"),
    "text_transformer": Encoder(TextTransformer, "words and positions through pre-norm blocks", "texts"),
}
