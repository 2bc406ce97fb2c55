"""What every encoder returns."""

from typing import NamedTuple

from mini_repr.autograd import Tensor


class Encoded(NamedTuple):
    """The output of an encoder.

    pooled: (B, D), one row per input. tokens: (B, P, D) where the encoder has tokens, else None. layers: the tokens
    after each block that was asked for. attention: for each block, where asked for, plain arrays (B, heads, N, N).
    projections: of each block that was asked for, the (queries, keys, values) of the tokens, (B, P, D) each.
    """

    pooled: Tensor
    tokens: Tensor | None = None
    layers: tuple = ()
    attention: tuple = ()
    projections: tuple = ()
