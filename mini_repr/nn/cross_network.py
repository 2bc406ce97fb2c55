"""Crosses of a row's columns of every degree up to the number of layers: the cross network of DCN."""

import numpy as np

from mini_repr.autograd import Tensor
from mini_repr.nn.init import xavier_uniform, zeros
from mini_repr.nn.layers import at_least_one
from mini_repr.nn.module import Module


class CrossNetwork(Module):
    """x_{l+1} = x_0 (x_l·w_l) + b_l + x_l for rows x_0 (B, D): (B, D) after ``layers`` layers.

    Source: Wang, Fu, Fu, Wang 2017, arXiv 1708.05123, eq. 3.
    """

    def __init__(self, width, layers, rng, dtype=np.float32):
        count = at_least_one("layers", layers)
        self.weights = [Tensor(xavier_uniform(rng, (width, 1), dtype), True) for _ in range(count)]
        self.biases = [Tensor(zeros(rng, (width,), dtype), True) for _ in range(count)]

    def forward(self, x):
        crossed = x
        for weight, bias in zip(self.weights, self.biases, strict=True):
            crossed = x * (crossed @ weight) + bias + crossed
        return crossed
