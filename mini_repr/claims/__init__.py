"""One short experiment per paper: ``mini-repr claim KEY`` shows its claim on embedded data, over seeds, with a verdict.

A claim lives in the module of its paper's catalogue key, as ``CLAIM`` (see ``claim.py`` for what that is).
"""

import importlib
import pkgutil

from mini_repr.catalogue import paper, papers


def claim_keys():
    """The catalogue keys of the papers that have a claim, in order of number."""
    written = {module.name for module in pkgutil.iter_modules(__path__)}
    return [one.key for one in papers() if one.key in written]


def find_claim(key):
    """The claim of a paper, by its key or number.

    Raises:
        ValueError: no such paper (names the nearest), or none of its claims is written yet.
    """
    found = paper(key)
    if found.key not in claim_keys():
        raise ValueError(f"claim {key!r}: no experiment for {found.key} yet; `mini-repr list --claims` shows those")
    return importlib.import_module(f"{__name__}.{found.key}").CLAIM
