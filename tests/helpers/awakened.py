"""Networks whose outputs and gates say something: they start at zero."""

import numpy as np


def awake(module):
    """The module in evaluation mode, every parameter moved by noise and without a gradient."""
    rng = np.random.default_rng(1)
    for parameter in module.parameters():
        parameter.data += 0.2 * rng.standard_normal(parameter.shape).astype(np.float32)
        parameter.requires_grad = False
    return module.eval()
