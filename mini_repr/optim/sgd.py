"""Stochastic gradient descent with momentum, plain or Nesterov's.

    d = g + weight_decay * p          v = momentum * v + d
    p = p - lr * v                    (Nesterov: p - lr * (d + momentum * v))

The decay is the gradient of an L2 penalty and passes through the momentum.

Source: Sutskever et al. 2013, "On the
importance of initialization and momentum in deep learning", in the form that PyTorch uses: the learning rate stands
outside the velocity v, so that a schedule acts on all of it at once.
"""

import numpy as np

from mini_repr.fused import elementwise
from mini_repr.optim.optimizer import Optimizer
from mini_repr.pages.arguments import Flag, FractionBelowOne, NonNegative
from mini_repr.pages.declare import part
from mini_repr.pages.page import definition


@part("optimiser", "sgd")
class SGD(Optimizer):
    """Stochastic gradient descent with momentum.

    See ``Optimizer`` for the shared arguments.
    """

    def __init__(
        self,
        parameters,
        lr: NonNegative,
        momentum: FractionBelowOne = 0.0,
        nesterov: Flag = False,
        weight_decay: NonNegative = 0.0,
        exclude=(),
    ):
        if nesterov and momentum == 0.0:
            raise ValueError("optimiser sgd: nesterov: got True with momentum 0, expected momentum above 0")
        self._momentum, self._nesterov = momentum, nesterov
        super().__init__(parameters, lr, weight_decay, exclude, ("velocity",) if momentum > 0.0 else ())

    def _update(self, lr, weight_decay, step):
        if self._momentum == 0.0:
            return sgd_update, (lr, weight_decay)
        return momentum_update, (lr, weight_decay, self._momentum, self._nesterov)


@elementwise("number lr, number weight_decay, T grad", "T data", "data -= lr * (weight_decay * data + grad);")
def sgd_update(backend, lr, weight_decay, grad, data):
    data -= _decayed(grad, data, weight_decay) * lr


@elementwise(
    "number lr, number weight_decay, number momentum, number nesterov, T grad",
    "T data, T velocity",
    """
    const T direction = weight_decay * data + grad;
    velocity = momentum * velocity + direction;
    data -= lr * (nesterov != 0 ? direction + momentum * velocity : velocity);
    """,
)
def momentum_update(backend, lr, weight_decay, momentum, nesterov, grad, data, velocity):
    direction = _decayed(grad, data, weight_decay)
    velocity *= momentum
    velocity += direction
    data -= (direction + velocity * momentum if nesterov else velocity) * lr


def _decayed(grad, data, weight_decay):
    """The gradient with that of the L2 penalty."""
    if not weight_decay:
        return grad
    direction = data * weight_decay
    direction += grad
    return direction


@definition(SGD)
def sgd_definition(data, gradients, lr, momentum=0.0, nesterov=False, weight_decay=0.0):
    """A host array after one update per gradient, number by number."""
    result = data.copy()
    for place in np.ndindex(data.shape):
        p, v = result[place], 0.0
        for gradient in gradients:
            d = gradient[place] + weight_decay * p
            v = momentum * v + d
            p = p - lr * (d + momentum * v if nesterov else v)
        result[place] = p
    return result
