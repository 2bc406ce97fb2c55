"""Tensors of other libraries, PyTorch's, JAX's and all that speak DLPack: taken in as arrays, gradients given back."""

import sys

import numpy as np

from mini_repr.backend import DeviceError, get_backend, is_array

# DLPack's numbers of the kinds of memory that arrays here can lie in.
_HOST, _CUDA = 1, 2
# Where a library that defines a tensor has its ``from_dlpack``; of others gradients come back as arrays.
_GIVERS = {"torch": "torch", "jax": "jax.numpy", "jaxlib": "jax.numpy"}


def library_of(value):
    """The package that a foreign tensor comes from, such as "torch"; None for arrays of ours, numbers and the rest."""
    # Asked of the type: an object may answer every name in its own way.
    if is_array(value) or not hasattr(type(value), "__dlpack__") or isinstance(value, np.generic):
        return None
    return type(value).__module__.partition(".")[0]


def taken_in(page, arguments):
    """({name: value} with arrays in place of foreign tensors, a function that gives an array back as the first came).

    Memory is shared, not copied. A tensor that asks for a gradient is taken without it: gradients here are explicit.

    Raises:
        ValueError: a tensor that cannot be had as an array; names the page and the argument.
    """
    libraries = {name: library_of(value) for name, value in arguments.items()}
    first = next((library for library in libraries.values() if library), None)
    if first is None:
        return arguments, lambda array: array
    taken = {n: _array(page, n, value) if libraries[n] else value for n, value in arguments.items()}
    giver = sys.modules.get(_GIVERS.get(first, ""))
    return taken, giver.from_dlpack if giver else lambda array: array


def _array(page, name, tensor):
    tensor = tensor.detach() if hasattr(tensor, "detach") else tensor
    try:
        kind, number = tensor.__dlpack_device__()
        library = np if kind == _HOST else get_backend(f"gpu:{number}").xp if kind == _CUDA else None
        if library is None:
            raise BufferError("its memory is neither the host's nor a CUDA device's")
        return library.from_dlpack(tensor)
    except (BufferError, RuntimeError, TypeError, DeviceError) as error:
        came = f"a {library_of(tensor)} tensor ({str(error).splitlines()[0]})"
        raise ValueError(f"{page.name}: {name}: got {came}, expected one that NumPy or CuPy can read") from None
