"""Gradient clipping by the norm over all parameters together (Pascanu et al. 2012, arXiv 1211.5063)."""

import math

from mini_repr.backend import CPU, backend_of
from mini_repr.fused import elementwise


def global_norm(parameters):
    """Euclidean norm, as a float, of all gradients in ``parameters`` (dict name -> Tensor) taken as one vector.

    Parameters without a gradient do not count. Inf or NaN among the gradients makes the norm inf or NaN; so does the
    square of a float32 gradient beyond about 1e19 on the host.
    """
    return math.sqrt(float(squared_norm(parameters)))


def squared_norm(parameters):
    """The square of ``global_norm``, a float64 array without axes on the gradients' device."""
    gradients = [p.grad for p in parameters.values() if p.grad is not None]
    return backend_of(*gradients).sum_of_squares(gradients) if gradients else CPU.asarray(0.0)


def clip_by_global_norm(parameters, limit, norm=None):
    """Scale all gradients in place so that their global norm is at most ``limit`` (> 0); return the norm before.

    A norm that is not finite is returned and leaves the gradients as they are: the caller decides what to do.

    Args:
        norm: of the gradients, where the caller has it.
    Raises:
        ValueError: ``limit`` is not above 0.
    """
    if not limit > 0.0:
        raise ValueError(f"clip_by_global_norm: limit must be above 0, got {limit}")
    norm = global_norm(parameters) if norm is None else norm
    if limit < norm < math.inf:
        gradients = [p.grad for p in parameters.values() if p.grad is not None]
        scale_by.each(backend_of(*gradients), [((limit / norm,), (g,)) for g in gradients])
    return norm


@elementwise("number factor", "T values", "values *= factor;")
def scale_by(backend, factor, values):
    values *= factor
