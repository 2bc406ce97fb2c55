"""Check the parameter gradients of a whole module along random directions."""

import numpy as np

from mini_repr.autograd import gradcheck, no_grad


def check_parameter_gradients(module, loss, rng, directions=2, tolerance=1e-6):
    """``loss()`` returns a scalar tensor of ``module`` (float64); every parameter must have received its gradient."""
    module.zero_grad()
    loss().backward()
    parameters = module.parameters()
    gradients = [np.zeros_like(p.data) if p.grad is None else p.grad.copy() for p in parameters]
    start = [p.data.copy() for p in parameters]

    def value_at(*arrays):
        for p, array in zip(parameters, arrays, strict=True):
            p.data = array
        with no_grad():
            return loss().item()

    gradcheck(value_at, start, gradients, rng, directions=directions, step=1e-4, tolerance=tolerance)
    for p, array in zip(parameters, start, strict=True):
        p.data = array
