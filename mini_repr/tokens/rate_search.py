"""How many image tokens each block needs: found by a search, with or without a budget.

Source: Zhao et al. 2024, arXiv 2412.00556. No official code was found; what its abstract leaves open is marked.
"""

import math

import numpy as np

from mini_repr.backend import backend_of
from mini_repr.pages.declare import part
from mini_repr.tokens.keep import best


@part("procedure", "attended_keep", paper="099")
def attended_keep(by_block):
    """A hook of ``nn.VisionDecoder`` that keeps the image tokens at which the question's end looked in the last block.

    Ranked by the attention of the block that has run, mean over heads; PyramidDrop computes that of the next one.

    Source: Zhao et al. 2024, arXiv 2412.00556 (the attention from the question's end alone is this page's choice).

    Args:
        by_block: [tokens in block 1, in block 2, ...], which do not grow.
    """

    def keep(number, tokens, weights, count, last):
        if by_block[number] >= count:
            return None
        backend = backend_of(weights)
        rows = weights[backend.xp.arange(len(weights)), :, backend.asarray(last), :count]
        return best(rows.mean(axis=1), by_block[number])

    return keep


@part("procedure", "g_search", paper="099")
def g_search(score, depth, tokens, *, tolerance=0.01):
    """The fewest tokens in each block with which a score stays within ``tolerance`` of that with all: [tokens a block].

    Block after block, from the second, the least number k is found by bisection for which

        score( those found, k, k, ..., k ) >= score( all ) - tolerance

    Later blocks take as many as the one that is searched: tokens that they need must still be there, and they are taken
    to need no more. Where block l needs e_l tokens and e_2 >= e_3 >= ..., this finds e: the least of every cost that
    grows with the numbers. It takes at most sum_l ceil(log2 k_{l-1}) + 1 scores.

    Source: Zhao et al. 2024, arXiv 2412.00556, G-Search. Whether later blocks take the same number or all while one is
    searched the abstract leaves open; of numbers that never grow both ask the same.

    Args:
        score: [tokens in each block] to a number, more is better; it must not fall as the numbers grow.
    """
    found = [tokens] * depth
    least = score(found) - tolerance
    for block in range(1, depth):
        low, high = 1, found[block - 1]
        while low < high:
            middle = (low + high) // 2
            if score(found[:block] + [middle] * (depth - block)) >= least:
                high = middle
            else:
                low = middle + 1
        found[block:] = [high] * (depth - block)
    return found


@part("procedure", "sigmoid_search", paper="099")
def sigmoid_search(score, depth, tokens, budget, *, slopes=(0.0, 2.0, 4.0, 8.0, 16.0, 64.0)):
    """The best of a family of falling numbers of tokens with one mean share: [tokens a block].

    Shares 1 / (1 + e^{slope (u - centre)}), u from 0 at the first block to 1 at the last; the first block has all. For
    each slope the centre follows from the budget, so that one number is left to choose. Slope 0 keeps one share, a
    large one drops all at once.

    Source: Zhao et al. 2024, arXiv 2412.00556, P-Sigmoid, which chooses by Bayesian optimisation; the exact form of the
    sigmoid is not known.

    Args:
        score: as in ``g_search``. budget: mean share of tokens over all blocks, above 1/depth, below 1.
    """
    each = [rounded(sigmoid_rates(depth, slope, centre_of(depth, slope, budget)), tokens) for slope in slopes]
    return max(each, key=score)


def sigmoid_rates(depth, slope, centre):
    """(depth,) shares, the first of them 1."""
    u = np.arange(depth) / max(depth - 1, 1)
    rates = 1 / (1 + np.exp(np.clip(slope * u - centre, -500, 500)))
    rates[0] = 1.0
    return rates


def centre_of(depth, slope, budget):
    """The centre, times the slope, at which the mean of ``sigmoid_rates`` is the budget, by bisection.

    Raises:
        ValueError: a budget that no centre gives.
    """
    if not 1 / depth < budget < 1:
        raise ValueError(f"sigmoid_search: budget: got {budget:g}, expected a number above {1 / depth:.3g}, below 1")
    low, high = -100.0, 100.0 + slope
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if sigmoid_rates(depth, slope, middle).mean() < budget else (low, middle)
    return high


def rounded(rates, tokens):
    """[tokens a block]: shares rounded up, at least one token and no more than before."""
    counts = []
    for rate in rates:
        counts.append(max(1, min(math.ceil(rate * tokens - 1e-6), counts[-1] if counts else tokens)))
    return counts


def dropped_once(depth, tokens, block, budget):
    """[tokens a block]: all until ``block``, from 2, then as few as the budget asks for."""
    rate = (budget * depth - (block - 1)) / (depth - block + 1)
    return rounded([1.0] * (block - 1) + [rate] * (depth - block + 1), tokens)
