"""Gradient clipping by the norm over all parameters together (Pascanu et al. 2012, arXiv 1211.5063)."""

import math

from mini_repr.backend import backend_of


def global_norm(parameters):
    """Euclidean norm, as a float, of all gradients in ``parameters`` (dict name -> Tensor) taken as one vector.

    Parameters without a gradient do not count. Inf or NaN among the gradients makes the norm inf or NaN; so does the
    square of a float32 gradient beyond about 1e19.
    """
    gradients = [p.grad for p in parameters.values() if p.grad is not None]
    if not gradients:
        return 0.0
    xp = backend_of(*gradients).xp
    # One number read from the device for all parameters, not one each.
    squares = xp.stack([xp.vdot(g, g).astype("float64") for g in gradients])
    return math.sqrt(float(squares.sum()))


def clip_by_global_norm(parameters, limit):
    """Scale all gradients in place so that their global norm is at most ``limit`` (> 0); return the norm before.

    A norm that is not finite is returned and leaves the gradients as they are: the caller decides what to do.

    Raises:
        ValueError: ``limit`` is not above 0.
    """
    if not limit > 0.0:
        raise ValueError(f"clip_by_global_norm: limit must be above 0, got {limit}")
    norm = global_norm(parameters)
    if limit < norm < math.inf:
        for parameter in parameters.values():
            if parameter.grad is not None:
                parameter.grad *= limit / norm
    return norm
