"""Differentiate a function of arrays without touching tensors."""

from mini_repr.autograd.tensor import Tensor


def value_and_grad(function, *arrays, **params):
    """Value of a scalar ``function(*tensors, **params)`` at ``arrays``, and its gradient for each of them.

    Args:
        function: takes tensors, returns a one-element tensor.
        arrays: floating-point arrays.
    Returns:
        (value as a 0-d array, tuple of gradients shaped like the arrays; zeros where the value does not depend on one).
    """
    tensors = [Tensor(array, requires_grad=True) for array in arrays]
    output = function(*tensors, **params)
    if output.requires_grad:
        output.backward()
    gradients = tuple(t.data * 0 if t.grad is None else t.grad for t in tensors)
    return output.data, gradients
