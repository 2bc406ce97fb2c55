"""Which papers have a claim, and where it is: module ``claims/KEY.py``, attribute ``CLAIM``."""

import importlib
import pkgutil

from mini_repr import claims
from mini_repr.catalogue import paper, papers


def claim_keys():
    """The catalogue keys of the papers that have a claim, in order of number."""
    written = {module.name for module in pkgutil.iter_modules(claims.__path__)}
    return [one.key for one in papers() if one.key in written]


def find_claim(key):
    """The claim of a paper, by its key or number.

    Raises:
        ValueError: no such paper (names the nearest), or none of its claims is written yet.
    """
    found = paper(key)
    if found.key not in claim_keys():
        raise ValueError(f"claim {key!r}: no experiment for {found.key} yet; `mini-repr list --claims` shows those")
    return importlib.import_module(f"{claims.__name__}.{found.key}").CLAIM
