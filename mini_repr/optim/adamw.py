"""AdamW: Adam with weight decay taken out of the gradient.

    m = b1 m + (1 - b1) g             v = b2 v + (1 - b2) g²
    p = p - lr * weight_decay * p - lr * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)

Source: Loshchilov & Hutter 2017, arXiv 1711.05101, algorithm 2, with the learning rate in front of the decay too, as in
public implementations (the paper's schedule multiplier is then lr itself). t counts the updates of each parameter.
"""

import math

import numpy as np

from mini_repr.fused import elementwise
from mini_repr.optim.optimizer import Optimizer
from mini_repr.pages.arguments import FractionBelowOne, NonNegative, Positive, Several
from mini_repr.pages.declare import part
from mini_repr.pages.page import definition


@part("optimiser", "adamw")
class AdamW(Optimizer):
    """Adam with decoupled weight decay.

    See ``Optimizer`` for the shared arguments.
    """

    def __init__(
        self,
        parameters,
        lr: NonNegative,
        betas: Several(FractionBelowOne, FractionBelowOne) = (0.9, 0.999),
        eps: Positive = 1e-8,
        weight_decay: NonNegative = 0.05,
        exclude=(),
    ):
        self._betas, self._eps = betas, eps
        super().__init__(parameters, lr, weight_decay, exclude, ("first_moment", "second_moment"))

    def _update(self, lr, weight_decay, step):
        beta1, beta2 = self._betas
        keep = 1.0 - lr * weight_decay
        # Both bias corrections go into two numbers (Kingma & Ba 2014, arXiv 1412.6980, end of section 2).
        root_correction = math.sqrt(1.0 - beta2**step)
        step_size = lr * root_correction / (1.0 - beta1**step)
        eps = self._eps * root_correction

        return adamw_update, (step_size, eps, beta1, 1.0 - beta1, beta2, 1.0 - beta2, keep)


@elementwise(
    "number step_size, number eps, number beta1, number rest1, number beta2, number rest2, number keep, T grad",
    "T data, T first, T second",
    """
    first = beta1 * first + rest1 * grad;
    second = beta2 * second + rest2 * (grad * grad);
    data = keep * data - step_size * (first / (sqrt(second) + eps));
    """,
)
def adamw_update(backend, step_size, eps, beta1, rest1, beta2, rest2, keep, grad, data, first, second):
    xp = backend.xp
    scratch = grad * rest1  # the one temporary: every later term is written over it
    first *= beta1
    first += scratch
    xp.multiply(grad, grad, out=scratch)
    scratch *= rest2
    second *= beta2
    second += scratch
    xp.sqrt(second, out=scratch)
    scratch += eps
    xp.divide(first, scratch, out=scratch)
    scratch *= step_size
    if keep != 1.0:
        data *= keep
    data -= scratch


@definition(AdamW)
def adamw_definition(data, gradients, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05):
    """A host array after one update per gradient, number by number."""
    result = data.copy()
    for place in np.ndindex(data.shape):
        p, m, v = result[place], 0.0, 0.0
        for t, gradient in enumerate(gradients, 1):
            g = gradient[place]
            m = betas[0] * m + (1 - betas[0]) * g
            v = betas[1] * v + (1 - betas[1]) * g * g
            step = m / (1 - betas[0] ** t) / (math.sqrt(v / (1 - betas[1] ** t)) + eps)
            p = p - lr * weight_decay * p - lr * step
        result[place] = p
    return result
