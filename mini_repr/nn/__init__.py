"""Modules as plain classes over the engine: layers, encoders and heads.

An *encoder* is a module with a ``width`` that returns ``Encoded``. Image encoders are made by
``make(image_shape, rng)`` and called on images (B, C, H, W) or clips (B, T, C, H, W); text encoders by ``make(rng)``,
called on ``*encoder.tokenise(texts)``; ``takes`` says which. ``pages_of("encoder")`` lists them: ``page.thing`` is the
class, and what is annotated among its arguments is what a user may set.
"""

from mini_repr.nn.alit import Alit, AlitDecoder
from mini_repr.nn.crate import Crate, CrateDecoder
from mini_repr.nn.decoders import CrossDecoder, Decoder
from mini_repr.nn.denoiser import Denoiser
from mini_repr.nn.encoded import Encoded
from mini_repr.nn.fields import Fields
from mini_repr.nn.gaps import at_places
from mini_repr.nn.heads import FixedReweighting, Heads, LinearHead, PredictionHead, ProjectionHead
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
from mini_repr.nn.lost import LostLinear
from mini_repr.nn.masked_mixer import MaskedMixer
from mini_repr.nn.mlp import MLP, ImageMLP
from mini_repr.nn.module import Module, copy_of
from mini_repr.nn.patches import frames_of_tubes, patchify, unpatchify
from mini_repr.nn.text import TextEncoder, tokenise, trimmed, word_counts
from mini_repr.nn.text_transformer import LanguageHead, TextTransformer
from mini_repr.nn.tiles import TileMLP, tile_of
from mini_repr.nn.transformer import Block
from mini_repr.nn.vit import ViT, sine_positions
from mini_repr.nn.weight_masks import WeightMasks
from mini_repr.nn.word_decoder import WordDecoder
from mini_repr.nn.word_generator import WordGenerator
