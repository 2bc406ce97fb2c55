"""Ranks of numbers, equal numbers sharing the mean of theirs."""

from mini_repr.backend import backend_of


def average_ranks(values):
    """Ranks (N,) from 0 of values (N,), the smallest first, as float64; equal values share the mean of their ranks."""
    xp = backend_of(values).xp
    ordered = xp.sort(values)
    below, up_to = (xp.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return (below + up_to - 1).astype("float64") / 2
