"""Stochastic gradient descent with momentum, plain or Nesterov's.

    d = g + weight_decay * p          v = momentum * v + d
    p = p - lr * v                    (Nesterov: p - lr * (d + momentum * v))

The decay is the gradient of an L2 penalty and passes through the momentum. Source: Sutskever et al. 2013, "On the
importance of initialization and momentum in deep learning", in the form that PyTorch uses: the learning rate stands
outside the velocity v, so that a schedule acts on all of it at once.
"""

from mini_repr.optim.optimizer import Optimizer


class SGD(Optimizer):
    """See ``Optimizer`` for the shared arguments; ``momentum`` in [0, 1), ``nesterov`` needs it to be above 0."""

    def __init__(self, parameters, lr, momentum=0.0, nesterov=False, weight_decay=0.0, exclude=()):
        self._momentum = self._fraction("momentum", momentum)
        if nesterov and momentum == 0.0:
            raise ValueError(f"SGD: nesterov needs momentum above 0, got {momentum}")
        self._nesterov = nesterov
        super().__init__(parameters, lr, weight_decay, exclude, ("velocity",) if momentum > 0.0 else ())

    def _update(self, lr, weight_decay, step):
        momentum, nesterov = self._momentum, self._nesterov

        def kernel(data, grad, velocity=None):
            direction = grad
            if weight_decay:
                direction = data * weight_decay
                direction += grad
            if velocity is not None:
                velocity *= momentum
                velocity += direction
                direction = direction + velocity * momentum if nesterov else velocity
            data -= direction * lr

        return kernel
