"""What there is beside the pages: primitives and kernels of the engine, views, data and stand-ins."""

import importlib
import pkgutil
from functools import cache

from mini_repr import kernels
from mini_repr.autograd import primitives
from mini_repr.data import EMBEDDED, VIEWS
from mini_repr.data.pictures import PICTURED


@cache
def all_primitives():
    """{name: function on tensors} of the primitives, those of ``kernels/`` among them, by room and file."""
    found = {}
    for package in (primitives, kernels):
        for module in sorted(info.name for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")):
            members = vars(importlib.import_module(module))
            found |= {n: f for n, f in members.items() if hasattr(f, "on_arrays") and f.__module__ == module}
    return found


def all_views():
    """{name: class} of the augmentations."""
    return dict(VIEWS)


def all_data():
    """{name: what makes them, a function or a module whose text says what they are} of the data that need no file."""
    return EMBEDDED | {name: importlib.import_module(f"mini_repr.data.generated.{name}") for name in PICTURED}
