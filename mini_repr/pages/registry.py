"""Every page there is, by kind and name."""

import importlib
import pkgutil
from functools import cache

from mini_repr.pages.page import KINDS

# What a loss compares, which is the folder it lives in: see losses/.
COMPARES = ("pairs", "labels", "scores", "teachers", "reconstruction", "embeddings", "maps", "towers")
_pages = {}


def register(page):
    """Add a page; returns it.

    Raises:
        ValueError: one of its kind has that name.
    """
    if (page.kind, page.name) in _pages:
        raise ValueError(f"a {page.kind} named {page.name} is registered already")
    _pages[page.kind, page.name] = page
    return page


def pages_of(kind):
    """{name: page} of a kind; the first call imports the packages that hold them."""
    for package in KINDS[kind]:
        _import_package(package)
    return {name: page for (k, name), page in sorted(_pages.items(), key=_place) if k == kind}


def all_losses():
    """{name: loss}, by folder and name."""
    return pages_of("loss")


@cache
def _import_package(name):
    package = importlib.import_module(f"mini_repr.{name}")
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)


def _place(item):
    (kind, name), page = item
    return kind, getattr(page, "compares", ""), name
