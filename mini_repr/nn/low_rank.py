"""Products of two thin matrices: what little is learned beside a large matrix that stays.

Source: Hu et al. 2021, arXiv 2106.09685 (LoRA), section 4.1, where it is the other factor that starts at 0, and the
product is multiplied by a constant over its rank.
"""

import math

import numpy as np

from mini_repr.autograd import Tensor
from mini_repr.nn.module import Module


class LowRank(Module):
    """x (..., inputs) to (x down) up; down (inputs, rank) starts at 0, up (rank, outputs) even in +-1 / sqrt(rank)."""

    def __init__(self, inputs, outputs, rank, rng, dtype=np.float32):
        bound = 1 / math.sqrt(rank)
        self.down = Tensor(np.zeros((inputs, rank), dtype), requires_grad=True)
        self.up = Tensor(rng.uniform(-bound, bound, (rank, outputs)).astype(dtype), requires_grad=True)

    def forward(self, x):
        return (x @ self.down) @ self.up


class Adapted(Module):
    """What a layer makes of x (..., inputs), plus a product of low rank that starts at nothing."""

    def __init__(self, layer, rank, rng):
        inputs, outputs = layer.weight.shape
        self.layer, self.residual = layer, LowRank(inputs, outputs, rank, rng, layer.weight.dtype)

    def forward(self, x):
        return self.layer(x) + self.residual(x)
