"""The modules of ``scripts/``, as those find each other."""

import sys
from importlib import import_module
from pathlib import Path


def script(name):
    """The module of that name, which may have a dot."""
    folder = str(Path(__file__).parents[2] / "scripts")
    if folder not in sys.path:
        sys.path.append(folder)
    return import_module(name)
