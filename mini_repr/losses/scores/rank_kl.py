"""Ranks as a target distribution: the softmax of scores is drawn to the softmax of what ranks ask for.

Definition. N pairs have scores s and graded similarities y. With r_i the rank of y_i from 0, the least first, ties
sharing the mean of their ranks, and temperature t,

    T = softmax( r / ((N - 1) t) ),     P = softmax( s / t ),     L = (1/N) sum_i T_i log(T_i / P_i)

At the minimum scores are r_i / (N - 1) and a constant: evenly spaced, however unevenly y is. ``reduction="sum"`` leaves
out 1/N.

Gradient. s_i receives (P_i - T_i) / (N t), which sums to 0.

Shapes: scores (N,), N >= 2; similarity (N,), never differentiated. Ranges: temperature > 0.

Source. Zhang et al. 2025, arXiv 2508.11442 (CoDiEmb). Compared with TencentCloudADP/youtu-embedding,
training/CoDiEmb/train/loss.py (its lines are repeated in a test), whose "batchmean" over a vector divides by N.
"""

from mini_repr.autograd import log_softmax
from mini_repr.backend import backend_of
from mini_repr.kernels.average_ranks import average_ranks
from mini_repr.pages.arguments import Choice, Positive, Rows
from mini_repr.pages.invariants import at_least, constant_shift, exact, permutation
from mini_repr.pages.loss import definition, loss, variant

_TEX = {
    "definition": r"""
L = \frac{1}{N} \sum_i T_i \log \frac{T_i}{P_i}

T = \mathrm{softmax} \Bigl( \frac{r}{(N - 1) \, t} \Bigr)

P = \mathrm{softmax} \Bigl( \frac{s}{t} \Bigr)

r_i: \text{the rank of } y_i \text{, from } 0
""",
    "gradient": r"""
\mathrm{d}s_i = \frac{P_i - T_i}{N t}
""",
}


@loss(
    paper="115",
    tex=_TEX,
    variants={"sum": variant("the divergence itself, not divided by the number of pairs", reduction="sum")},
    invariants=[
        permutation("N"),
        constant_shift("scores"),
        constant_shift("similarity"),
        at_least(0),
        exact("evenly spaced scores in order give 0", 0.0, scores=[0.7, -0.3, 0.2], similarity=[9.0, 0.0, 0.1]),
        exact("equal similarities and scores give 0", 0.0, scores=[0.2] * 3, similarity=[1.0] * 3),
    ],
)
def rank_kl(
    scores: Rows("N>=2"),
    similarity: Rows("N", frozen=True),
    temperature: Positive = 0.05,
    reduction: Choice("mean", "sum") = "mean",
):
    xp = backend_of(scores).xp
    asked = (average_ranks(similarity) / (len(scores) - 1)).astype(scores.dtype)
    log_t, log_p = (log_softmax.on_arrays(x[None] / temperature)[0][0] for x in (asked, scores))
    target, share = xp.exp(log_t), 1 / len(scores) if reduction == "mean" else 1.0
    gap = xp.exp(log_p) - target
    return share * (target * (log_t - log_p)).sum(), lambda g: (gap * (g * share / temperature),)


@definition(rank_kl)
def rank_kl_definition(scores, similarity, temperature, reduction):
    xp, count = backend_of(similarity).xp, len(similarity)
    below, same = (similarity < similarity[:, None]).sum(axis=1), (similarity == similarity[:, None]).sum(axis=1)
    target = xp.exp((below + (same - 1) / 2) / (count - 1) / temperature)
    target = target / target.sum()
    divergence = (target * (xp.log(target) - log_softmax(scores.reshape(1, count) / temperature)[0])).sum()
    return divergence / count if reduction == "mean" else divergence
