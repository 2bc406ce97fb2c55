"""G-Search and P-Sigmoid: how many image tokens each block needs is found on few questions and holds for others.

Zhao et al. 2024, arXiv 2412.00556. The stand-in ``scenes-lmm`` (two trainings, by the parity of the seed): sixteen
image tokens, six blocks; eight questions, one at a time, on each of 128 test scenes, searches on 64 training scenes.
*all*: no token is dropped; *g-search*: the fewest tokens for a loss of one point; and, mean over budgets of 0.5, 0.4
and 0.3 of all tokens, *sigmoid*: the best of six slopes; *one drop*: at the best of all blocks at which the budget
leaves a token; *even*: one share from the second block on. *accuracy* of answers; *cost*: multiply-adds, as a share of
those of all tokens. *ranks*: mean correlation of the ranks that two blocks give the tokens: *later*: blocks 2 to 6;
*first*: block 1 with these.
"""

from itertools import combinations

import numpy as np

from mini_repr.claims.bench.answers import Answers
from mini_repr.claims.bench.claim import Claim, below, higher, no_worse
from mini_repr.data import digits
from mini_repr.standins.scenes_lmm import answered
from mini_repr.tokens.rate_search import attended_keep, dropped_once, g_search, sigmoid_search

BUDGETS = (0.5, 0.4, 0.3)


def measure(seed):
    test, calibration = Answers(seed, 128), Answers(1000 + seed, 64, digits().train)
    decoder, depth, tokens = test.decoder, test.decoder.depth, test.decoder.image_count

    def score(by_block):
        return calibration.accuracy(attended_keep(by_block))

    def measured(by_block):
        return {"accuracy": test.accuracy(attended_keep(by_block)), "cost": test.cost(by_block)}

    found = {"all": measured([tokens] * depth), "g-search": measured(g_search(score, depth, tokens))}
    of_budgets = {"sigmoid": [], "one drop": [], "even": []}
    for budget in BUDGETS:
        once = [dropped_once(depth, tokens, k, budget) for k in range(2, depth) if budget * depth > k - 1]
        of_budgets["sigmoid"].append(measured(sigmoid_search(score, depth, tokens, budget)))
        of_budgets["one drop"].append(measured(max(once, key=score)))
        of_budgets["even"].append(measured(sigmoid_search(score, depth, tokens, budget, slopes=(0.0,))))
    for arm, each in of_budgets.items():
        found[arm] = {name: float(np.mean([one[name] for one in each])) for name in each[0]}
    return found | rank_correlations(decoder, test)


def rank_correlations(decoder, test):
    """{"later", "first"}: {"ranks": mean correlation of two blocks' ranks of the tokens}."""
    ranks = []

    def watch(number, tokens, weights, count, last):
        scores = weights[np.arange(len(weights)), :, last, :count].mean(axis=1)
        ranks.append(scores.argsort(axis=1).argsort(axis=1) - (count - 1) / 2)

    answered(decoder, test.images, test.ids, watch)
    found = {}
    for arm, pairs in (("later", combinations(ranks[1:], 2)), ("first", ((ranks[0], other) for other in ranks[1:]))):
        each = [(a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()) for a, b in pairs]
        found[arm] = {"ranks": float(np.mean(each))}
    return found


CLAIM = Claim(
    paper="099",
    says="a search on few questions finds how many image tokens each block needs, and ranks agree but for the first",
    measure=measure,
    expects=(
        no_worse("accuracy", "g-search", "all", by=0.02),
        below("cost", "g-search", 0.6),
        higher("accuracy", "sigmoid", "one drop"),
        higher("accuracy", "sigmoid", "even"),
        higher("ranks", "later", "first", by=0.05),
    ),
    seeds=8,
    designs=1,
)
