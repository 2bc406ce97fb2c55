"""Sets of permutations that are far from each other, the classes of a jigsaw puzzle."""

import math

import numpy as np

# More permutations than these are not compared one with all: as many are drawn as candidates.
MOST_CANDIDATES = 5040


def permutation_set(rng, count, length):
    """Permutations (count, length) of 0 .. length - 1, chosen one after the other for a large mean Hamming distance.

    The first is drawn at random; each further one is, of all permutations (of 5,040 that are drawn, where there are
    more), the one that differs in the most places, on average, from those chosen before.

    Source: Noroozi, Favaro 2016, arXiv 1603.09246, algorithm 1.

    Raises:
        ValueError: less than two, or more than there are.
    """
    if not 2 <= count <= math.factorial(length):
        raise ValueError(
            f"permutation_set: got {count} permutations of {length} pieces, expected 2 to {math.factorial(length)}"
        )
    candidates = _candidates(rng, length)
    if count > len(candidates):
        raise ValueError(f"permutation_set: got {count} permutations, expected at most {MOST_CANDIDATES}")
    differing = np.zeros(len(candidates), dtype=int)  # summed over those chosen; -1: chosen itself
    chosen = [int(rng.integers(len(candidates)))]
    while len(chosen) < count:
        differing += (candidates != candidates[chosen[-1]]).sum(axis=1)
        differing[chosen] = -1
        chosen.append(int(differing.argmax()))
    return candidates[chosen]


def _candidates(rng, length):
    """All permutations in order, or as many different ones as are compared."""
    if math.factorial(length) > MOST_CANDIDATES:
        drawn = rng.permuted(np.tile(np.arange(length), (2 * MOST_CANDIDATES, 1)), axis=1)
        first = np.unique(drawn, axis=0, return_index=True)[1]  # without repetitions, in the order of drawing
        return drawn[np.sort(first)[:MOST_CANDIDATES]]
    rows = np.zeros((1, 0), dtype=int)
    for size in range(1, length + 1):  # the new number in every place of each shorter permutation
        rows = np.concatenate([np.insert(rows, place, size - 1, axis=1) for place in range(size)])
    return rows
