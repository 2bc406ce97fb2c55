"""PRO: each pair of texts outscores all that are less alike, by more where it is more alike by more.

Definition. N pairs have scores s and graded similarities y. J_k holds the pairs less alike than pair k, those with
y_k - y_j > 1e-8; with the weights w_kj = y_k - y_j, the largest of them W_k, and temperature t,

    L = mean over k with J_k not empty of  -log( e^{W_k s_k/t} / (e^{W_k s_k/t} + sum_{j in J_k} e^{w_kj s_j/t}) )

0 where no two similarities differ. The scores are multiplied by weights, so neither an offset of all scores nor the
scale of y leaves L as it is.

Gradient. With p_k the probability of k within its sum, p_kj that of j, and c the number of k that count, s_k receives
W_k (p_k - 1) / (c t) and every s_j of J_k receives w_kj p_kj / (c t). Memory O(N²).

Shapes: scores (N,), N >= 2; similarity (N,), never differentiated. Ranges: temperature > 0.

Source. The loss over preferences: Song et al. 2023, arXiv 2306.17492; for graded similarity Zhang et al. 2025,
arXiv 2508.11442 (CoDiEmb). Compared with TencentCloudADP/youtu-embedding, training/CoDiEmb/train/loss.py (its
lines are repeated in a test): it sorts by y first, to the same sums.
"""

import math

from mini_repr.autograd import concatenate, logsumexp
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Positive, Rows
from mini_repr.pages.invariants import at_least, constant_shift, exact, permutation
from mini_repr.pages.loss import definition, loss

_APART = 1e-8

_TEX = {
    "definition": r"""
L = -\frac{1}{c} \sum_k \log \frac{e^{W_k s_k / t}}{e^{W_k s_k / t} + \sum_{j \in J_k} e^{w_{kj} s_j / t}}

w_{kj} = y_k - y_j

W_k = \max_{j \in J_k} w_{kj}
""",
    "gradient": r"""
\mathrm{d}s_k \leftarrow \frac{W_k \, (p_k - 1)}{c \, t}

\mathrm{d}s_j \leftarrow \frac{w_{kj} \, p_{kj}}{c \, t} \quad (j \in J_k)
""",
}


@loss(
    paper="115",
    tex=_TEX,
    invariants=[
        permutation("N"),
        constant_shift("similarity"),
        at_least(0),
        exact(
            "two pairs of similarities 1 and 0 and scores 0: log 2",
            math.log(2),
            scores=[0.0, 0.0],
            similarity=[1.0, 0.0],
        ),
        exact("equal similarities ask for nothing", 0.0, scores=[0.3, -0.2, 0.9], similarity=[1.0] * 3),
    ],
)
def pro(scores: Rows("N>=2"), similarity: Rows("N", frozen=True), temperature: Positive = 0.05):
    xp = backend_of(scores).xp
    z = scores / temperature
    weights = (similarity[:, None] - similarity).astype(scores.dtype)
    lower = weights > _APART
    largest = weights.max(axis=1)
    own = largest * z
    logits = xp.where(lower, weights * z, -xp.inf)
    top = xp.maximum(logits.max(axis=1), own)
    others = xp.exp(logits - top[:, None])
    first = xp.exp(own - top)
    total = first + others.sum(axis=1)
    counting = lower.any(axis=1)
    share = counting / xp.maximum(counting.sum(), 1)

    def backward(g):
        scale = (g / temperature) * (share / total)
        pulled = (others * weights * scale[:, None]).sum(axis=0)
        pulled += largest * scale * (first - total)
        return (pulled.astype(scores.dtype),)

    return (share * (top + xp.log(total) - own)).sum().astype(scores.dtype), backward


@definition(pro)
def pro_definition(scores, similarity, temperature):
    terms = []
    for k in range(len(similarity)):
        lower = similarity[k] - similarity > _APART
        if lower.any():
            weights = (similarity[k] - similarity)[lower]
            own = (weights.max() * scores[k] / temperature).reshape(1)
            terms.append(logsumexp(concatenate(own, weights * scores[lower] / temperature), axis=0) - own[0])
    return sum(terms, 0 * scores[0]) / max(len(terms), 1)
