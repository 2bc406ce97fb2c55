"""Arguments of pages as a training step hands them over."""

import numpy as np


def on_device(backend, page, name, value, dtype):
    """An array on the device, in this precision; labels and masks stay on the host."""
    if not isinstance(value, np.ndarray) or page.parameters[name].annotation.bare.from_host:
        return value
    return backend.asarray(value.astype(dtype) if value.dtype.kind == "f" else value)


def uploaded(backend, value, dtype):
    """A number by a copy, where CuPy's own way is a kernel, which writes nothing here; an array as it is."""
    return backend.asarray(np.full(1, value, dtype)).reshape(()) if np.isscalar(value) else value
