"""A linear map with few weights: a product of low rank and some whole input channels, both cut from one dense weight.

A dense weight W0 (inputs, outputs) is drawn and parted by its singular values, W0 = sum_i σ_i u_i v_iᵀ:

    A = U_r Σ_r^{1/2} (inputs, r),    B = Σ_r^{1/2} V_rᵀ (r, outputs)      the r largest
    C = sum_{i>r} σ_i u_i v_iᵀ                                             what they leave
    S (k, outputs)                                                        the k longest rows of C, I their numbers

    y = γ (x A) B + (1 - γ) x_I S + bias = x W + bias,      W = γ A B + (1 - γ) scatter_I(S)

A, B and S are trained, W0 is forgotten and I stays: r (inputs + outputs) + k outputs weights in place of inputs
outputs. So the channels carry what the product cannot, at the start at least. With k = inputs and γ = 1/2 the start is
W0 / 2; with k = 0 and γ = 1 it is the best map of rank r.

Gradient, of dW: dA = γ dW Bᵀ,  dB = γ Aᵀ dW,  dS = (1 - γ) dW_I.

W is composed in each step, which lets blocks that take a dense weight take this one. Weights, their gradients and the
optimiser's moments are those of A, B and S; the products cost what dense ones cost (from the factors they would cost
r (inputs + outputs) + k outputs per row).

Source: Li et al. 2025, arXiv 2508.02668, by its abstract and notes on its text; its code was not to be had. Read
beside it: a public adapter of the same parts for fine-tuning, class HybridSparseAdapter, whose γ is 1/2 and whose
channels are inputs too, the longest rows of singular directions r + 1 to 2 r alone; there S starts as rows of W0, not
of C, W0 stays as a frozen term, and an option puts SiLU between A and B. γ of the paper's runs is not confirmed.
"""

from functools import partial

import numpy as np

from mini_repr.autograd import Tensor, linear, primitive
from mini_repr.nn.init import xavier_uniform
from mini_repr.nn.layers import Linear, at_least_one
from mini_repr.nn.module import Module


class LostLinear(Module):
    """x (..., inputs) to (..., outputs), as ``Linear``, by a product of low rank and some input channels.

    Args:
        rank: r, at most the smaller side. channels: k, at most ``inputs``; 0 for the product alone. share: γ.
        init: function of ``nn.init`` that draws W0.
    Raises:
        ValueError: a rank or a number of channels that the sizes do not allow.
    """

    def __init__(
        self, inputs, outputs, rng, *, rank, channels=0, share=0.5, bias=True, init=xavier_uniform, dtype=np.float32
    ):
        at_least_one("inputs", inputs), at_least_one("outputs", outputs)
        if at_least_one("rank", rank) > min(inputs, outputs):
            raise ValueError(f"LostLinear: rank: got {rank}, expected at most {min(inputs, outputs)}")
        if channels not in range(inputs + 1):
            raise ValueError(f"LostLinear: channels: got {channels}, expected 0 to {inputs}, the inputs")
        u, values, v = np.linalg.svd(init(rng, (inputs, outputs), np.float64), full_matrices=False)
        root = np.sqrt(values[:rank])
        rest = (u[:, rank:] * values[rank:]) @ v[rank:]
        chosen = np.sort(np.argsort(-np.linalg.norm(rest, axis=1), kind="stable")[:channels])
        self.left = Tensor((u[:, :rank] * root).astype(dtype), True)
        self.right = Tensor((root[:, None] * v[:rank]).astype(dtype), True)
        self.rows = Tensor(rest[chosen].astype(dtype), True) if channels else None
        self.bias = Tensor(np.zeros(outputs, dtype), True) if bias else None
        self.register_buffer("chosen", chosen)
        self._share = share

    @property
    def weight(self):
        """W (inputs, outputs), a tensor through which gradients reach A, B and S."""
        return composed_weight(self.left, self.right, self.rows, chosen=self.chosen, share=self._share)

    def forward(self, x):
        if x.shape[-1] != self.left.shape[0]:
            raise ValueError(f"LostLinear: x: got shape {x.shape}, expected {self.left.shape[0]} along the last axis")
        return linear(x, self.weight, self.bias)


@primitive
def composed_weight(left, right, rows, /, chosen, share):
    """γ A B + (1 - γ) scatter_I(S): A (inputs, r), B (r, outputs), S (k, outputs) or None, I (k,) all different."""
    weight = left @ right
    weight *= share
    if rows is not None:
        weight[chosen] += (1 - share) * rows

    def backward(g):
        return (
            lambda: share * (g @ right.T),
            lambda: share * (left.T @ g),
            None if rows is None else lambda: (1 - share) * g[chosen],
        )

    return weight, backward


def linear_of_rank(rank, channels, share):
    """What makes the linear maps of a network: ``Linear`` where ``rank`` is None, else ``LostLinear`` of these."""
    return Linear if rank is None else partial(LostLinear, rank=rank, channels=channels, share=share)
