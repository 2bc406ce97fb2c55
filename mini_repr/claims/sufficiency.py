"""Sufficiency: the nearer a contrastive score is to the least risk, the nearer every downstream answer is to the best.

Lin, Mei 2025, arXiv 2503.17538: an encoder whose InfoNCE risk is near the least is nearly sufficient, whatever its
scores look like, and downstream errors are small. Two views of 30 images of 3 classes among 60 views (discrete_joint),
where all is exact. S = F Fᵀ with F (60, d), trained by 2,000 steps of AdamW on the exact InfoNCE risk for infinitely
many negatives, d = 1 to 16; and, d = 8, on InfoNCE of 64 sampled pairs, with 1 or 15 sampled negatives or the other 63.
*excess*: of the exact risk; *error*: the mean square error of E[u | first view] as the score gives it, over first views
and all tasks u that are 1 or -1 of each second view; *class*: of one task, whether the second view is of class 0, the
only one looked at before (two seeds), whose error is small from width 2 on. Then was asked whether every doubling of
the width lowers the error too: from 8 to 16 the excess falls, and the error rises by 1e-4.
"""

import numpy as np
from scipy.special import softmax
from scipy.stats import spearmanr

from mini_repr.autograd import Tensor, logsumexp
from mini_repr.claims.bench.claim import Claim, Expectation, lower
from mini_repr.claims.bench.fitting import fit
from mini_repr.data.generated.discrete_joint import discrete_joint
from mini_repr.metrics.theory import excess_risk
from mini_repr.metrics.theory.divergences import ratios

VIEWS, STEPS = 60, 2000
WIDTHS, NEGATIVES = (1, 2, 4, 8, 16), (1, 15, 63)


def scores(loss, width, seed):
    """S (X, Y) of a table of rows F trained on ``loss(F, rng)``."""
    rng = np.random.default_rng(seed)
    table = Tensor(rng.normal(size=(VIEWS, width)) / width**0.25, requires_grad=True)
    fit({"table": table}, lambda index: loss(table, rng), VIEWS, rng, steps=STEPS, lr=0.02)
    return table.data @ table.data.T


def exact(joint):
    _, p, q = ratios(joint)

    def loss(table, rng):
        s = table @ table.T
        return (logsumexp(s + np.log(q), axis=1) * p).sum() - (s * joint).sum()

    return loss


def sampled(joint, negatives, pairs=64):
    """InfoNCE of sampled pairs, each with its own negatives from the marginal."""

    def loss(table, rng):
        first, second = np.divmod(rng.choice(joint.size, pairs, p=joint.ravel()), VIEWS)
        others = rng.choice(VIEWS, (pairs, negatives), p=joint.sum(axis=0))
        candidates = table[np.concatenate([second[:, None], others], axis=1)]
        s = (candidates @ table[first].reshape(pairs, -1, 1))[:, :, 0]
        return (logsumexp(s, axis=1) - s[:, 0]).mean()

    return loss


def judged(world, s):
    p, q = world.joint.sum(axis=1), world.joint.sum(axis=0)
    law = softmax(s + np.log(q), axis=1)
    difference = law - world.joint / p[:, None]
    return {
        "excess": excess_risk(world.joint, s, "kl").excess,
        "error": float(p @ (difference**2).sum(axis=1)),  # E_u (difference u)² = |difference|² for random signs u
        "class": float(p @ (difference @ (world.view_classes == 0)) ** 2),
    }


def measure(seed):
    world = discrete_joint(30, VIEWS, 3, np.random.default_rng(seed))
    arms = {f"width {d}": judged(world, scores(exact(world.joint), d, seed)) for d in WIDTHS}
    for k in NEGATIVES:
        arms[f"{k} negatives"] = judged(world, scores(sampled(world.joint, k), 8, seed))
    return arms


def rank_correlation(arms):
    return float(spearmanr(*([arm[number] for arm in arms.values()] for number in ("excess", "error"))).statistic)


CLAIM = Claim(
    paper="007",
    says="the nearer a score is to the least contrastive risk, the nearer downstream answers are to the best",
    measure=measure,
    expects=(
        *(lower("excess", f"width {d}", f"width {d // 2}") for d in WIDTHS[1:]),
        Expectation("rank correlation of excess and error over all scores > 0.9", rank_correlation, 0.9),
        *(lower(number, "63 negatives", "1 negatives") for number in ("excess", "error")),
    ),
    designs=3,
)
