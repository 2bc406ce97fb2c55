"""The focal weight of a cost -log p: what is nearly certain counts little.

Source: Lin et al. 2017, arXiv 1708.02002, eq. 4.
"""

from typing import NamedTuple

from mini_repr.backend import backend_of


class Focal(NamedTuple):
    """weight: (1 - p)^gamma. cost: weight * -log p. slope(): its derivative with respect to -log p; 0 where p is 1."""

    weight: object
    cost: object
    slope: object


def focal(cost, gamma):
    """``Focal`` of costs -log p >= 0, an array of any shape, without a difference of numbers near 1.

    Args:
        gamma: a number >= 0; 0 leaves the cost as it is.
    """
    xp = backend_of(cost).xp
    missing = -xp.expm1(-cost)  # 1 - p
    weight = missing**gamma

    def slope():
        certain = missing == 0
        bend = gamma * (1 - missing) * xp.where(certain, 1, missing) ** (gamma - 1)
        return weight + xp.where(certain, 0, bend * cost)

    return Focal(weight, weight * cost, slope)
