"""How image tokens are pruned in stages, chosen so that the question's end says the same with few tokens as with all.

A strategy keeps a share k_1 of the tokens before the decoder, merging the others (``recycling``), and shares k_2 and
k_3 of what is left after two of its blocks, by the same importance: no stage reads the question. With L_1, L_2, L_3
blocks in the stages, L in all, the third share follows from the budget β, the mean share of tokens over blocks:

    k_3 = min(1, (β L - k_1 L_1 - k_1 k_2 L_2) / (k_1 k_2 L_3))

The others, the threshold t, the cell m and the weight α are searched for the largest sum over questions of cos(h, h'),
h and h' the decoder's last row at the question's end with all tokens and with those that are left.

Source: Yang et al. 2025, arXiv 2508.05211 (VFlowOpt), read by its code: sihany077/VFlowOpt, llava_ov_opt_all.py and the
patched modeling_qwen2.py: stages from blocks 0, 9 and 18 of 28, k_1 from β to 1.5 β at β = 0.25, k_2 from 0.2/0.375 to
1, t from 0 to 50, m from 3 to 24 of a side of 27, α from -1 to 1; 300 calls of a Gaussian-process optimiser, of which
27 are random. Here one third of the calls is random and the others are steps from the best so far, and m is one of the
sides that divide the grid: on a small one others leave more tokens than the budget. The released strategies have α = 0.
"""

from typing import NamedTuple

import numpy as np

from mini_repr.autograd import Tensor, concatenate, no_grad, unit_rows
from mini_repr.backend import backend_of
from mini_repr.pages.declare import part
from mini_repr.tokens.keep import best
from mini_repr.tokens.recycling import importance, patch_entropy, recycled

STAGES = (9 / 28, 18 / 28)  # at what share of the decoder's blocks the second and the third begin
SECOND, THRESHOLD, WEIGHT = (0.2 / 0.375, 1.0), (0.0, 50.0), (-1.0, 1.0)
STEP = 0.15  # of a range, standard deviation


class Strategy(NamedTuple):
    """shares (k_1, k_2, k_3); threshold t; cell m, None to drop without merging; weight α of the entropy."""

    shares: tuple
    threshold: float = 0.0
    cell: float | None = None
    weight: float = 0.0


class Pruned(NamedTuple):
    """rows (B, Q, D) at the questions' ends. by_block: host integers (B, depth), image tokens in each block."""

    rows: Tensor
    by_block: np.ndarray


class Found(NamedTuple):
    """strategy: the best. value: its mean cosine. tried: [(strategy, value)] of all calls."""

    strategy: Strategy
    value: float
    tried: list


def stage_ends(depth):
    """After which blocks, from 1, the second and the third stage begin."""
    return tuple(max(k, round(share * depth)) for k, share in enumerate(STAGES, 1))


def third_share(first, second, depth, budget):
    """k_3, at most 1; not above 0 where the first two stages spend the budget."""
    one, two = stage_ends(depth)
    left = budget * depth - first * one - first * second * (two - one)
    return min(1.0, left / (first * second * (depth - two)))


def ranked_places(importance, counts):
    """{number of a block: places (B, K), in order, of the image tokens of the largest importance after it}.

    Each counts among those that the stage before has left.

    Args:
        importance: (B, N) of the tokens that enter the first block. counts: {number of a block: K}, which do not grow.
    """
    rows, places = backend_of(importance).xp.arange(len(importance))[:, None], {}
    for number in sorted(counts):
        places[number] = best(importance, counts[number])
        importance = importance[rows, places[number]]
    return places


@part("procedure", "flow_pruned", paper="098")
def flow_pruned(decoder, images, ids, strategy):
    """A decoder's rows at the ends of questions, with the image's tokens pruned by a ``Strategy``: ``Pruned``.

    What is kept has no gradient; a merged token's goes to its members by their weights.

    Args:
        decoder: ``nn.VisionDecoder`` with vision blocks. images: (B, C, H, W). ids: (B, Q, T), Q questions each.
    """
    tokens, attention = decoder.see(images)
    if attention is None:
        raise ValueError("flow_pruned: decoder: got one without vision blocks, expected a vision_depth of 1 or more")
    backend = backend_of(tokens.data)
    maps = importance(attention, patch_entropy(images, decoder.patch), strategy.threshold, strategy.weight)
    each = [recycled(one, strategy.shares[0], decoder.grid, strategy.cell) for one in backend.to_numpy(maps)]
    entered = np.array([len(one.importance) for one in each])
    by_block, order, rows = np.repeat(entered[:, None], decoder.depth, axis=1), [], []
    for count in np.unique(entered):  # images with as many tokens left go through together
        chosen = np.flatnonzero(entered == count)
        merge, ranks = (backend.asarray(np.stack([each[k][part] for k in chosen])) for part in (0, 1))
        counts, left = {}, int(count)
        for end, share in zip(stage_ends(decoder.depth), strategy.shares[1:], strict=True):
            left = counts[end] = max(1, left - round(left * (1 - share)))
            by_block[chosen, end:] = left
        order.append(chosen)
        rows.append(
            decoder.read(Tensor(merge) @ tokens[backend.asarray(chosen)], ids[chosen], ranked_places(ranks, counts))
        )
    return Pruned(concatenate(*rows)[backend.asarray(np.argsort(np.concatenate(order)))], by_block)


@part("procedure", "flow_search", paper="098")
def flow_search(decoder, images, ids, budget, rng, *, calls=40, merging=True, entropy=True):
    """The ``Strategy`` with which a decoder's rows at the ends of questions stay nearest to those with all tokens.

    Args:
        decoder, images, ids: as of ``flow_pruned``; no answers are asked for. budget: mean share of tokens over blocks,
            from 1/N, at most 2/3. rng: host generator. calls: strategies that are tried. merging, entropy: False to
            search among strategies that drop without merging, or that leave the entropy out.
    Returns:
        ``Found``.
    """
    if not 0 < budget <= 2 / 3 or calls < 1 or decoder.depth < 3:
        raise ValueError(
            f"flow_search: got budget {budget:g}, {calls} calls, {decoder.depth} blocks; "
            "expected a budget above 0, at most 2/3, 1 call or more, 3 blocks or more"
        )
    with no_grad():
        full = unit_rows.on_arrays(decoder.read(decoder.see(images)[0], ids).data)[0]
    sides = [side for side in range(2, min(decoder.grid) + 1) if not any(n % side for n in decoder.grid)]
    ranges = np.array([(budget, 1.5 * budget), SECOND, THRESHOLD, (0, len(sides) if merging else 0), WEIGHT])
    ranges[4] *= entropy

    def strategy_of(point):
        first, second, threshold, side, weight = (ranges[:, 0] + point * (ranges[:, 1] - ranges[:, 0])).tolist()
        cell = sides[min(int(side), len(sides) - 1)] if merging and sides else None
        shares = (first, second, third_share(first, second, decoder.depth, budget))
        return Strategy(shares, threshold, cell, weight)

    tried, best_point, best_value = [], None, -np.inf
    while len(tried) < calls:
        point = rng.random(len(ranges))
        if len(tried) >= calls / 3:
            point = np.clip(best_point + STEP * rng.standard_normal(len(ranges)), 0, 1)
        strategy = strategy_of(point)
        if strategy.shares[2] <= 0:
            continue
        with no_grad():
            rows = flow_pruned(decoder, images, ids, strategy).rows.data
        value = float((unit_rows.on_arrays(rows)[0] * full).sum(axis=2).mean())
        tried.append((strategy, value))
        if value > best_value:
            best_point, best_value = point, value
    return Found(max(tried, key=lambda one: one[1])[0], best_value, tried)
