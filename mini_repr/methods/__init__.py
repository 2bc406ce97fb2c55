"""Methods: how encoder, heads, views and loss become one step. What a loss compares decides which can train it.

Read ``method.py`` (the parts of a step), ``simclr.py`` (one method), ``build.py`` (settings to a method).
"""

from mini_repr.methods.build import build_encoder, build_method, encoded_kind, kind_of
from mini_repr.methods.encode import encode, encode_layer_codes, encode_layer_tokens, encode_layers, encode_tokens
from mini_repr.methods.method import Batch
