"""CoSENT: of two pairs of texts the one that is more alike gets the larger cosine.

Definition. With the scores s of N pairs, such as the cosines of their two texts, graded similarities y, temperature t,

    L = log( 1 + sum_{a,b: y_a > y_b} e^{(s_b - s_a)/t} )

Every two pairs of different similarity count, by order alone: how much y_a and y_b differ does not. Equal similarities
ask for nothing.

Gradient. With pi_ab = e^{(s_b - s_a)/t - L}, what the two pairs are worth in the sum, s_a receives -sum_b pi_ab / t and
s_b receives sum_a pi_ab / t: the gradient sums to 0. The temperature receives -sum pi_ab (s_b - s_a) / t².

Shapes: scores (N,), N >= 2; similarity (N,), on any scale, never differentiated. Ranges: temperature > 0. Where all
similarities are equal L and its gradient are 0. Memory O(N²).

Source. Su 2022, "CoSENT", kexue.fm/archives/8847 (a blog: no paper); Li et al. 2024, arXiv 2408.15710
(Conan-embedding), for its task of graded similarity. sentence-transformers' CoSENTLoss is this page at its temperature
1/scale = 0.05: a test compares the two.
"""

import math

from mini_repr.autograd import concatenate, logsumexp
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Positive, Rows, WithGradient
from mini_repr.pages.invariants import at_least, constant_shift, exact, permutation
from mini_repr.pages.loss import definition, loss

_TEX = {
    "definition": r"""
L = \log \Bigl( 1 + \sum_{y_a > y_b} e^{(s_b - s_a)/t} \Bigr)
""",
    "gradient": r"""
\pi_{ab} = e^{(s_b - s_a)/t - L}

\mathrm{d}s_a = \frac{1}{t} \Bigl( \sum_{b: \, y_b > y_a} \pi_{ba} - \sum_{b: \, y_a > y_b} \pi_{ab} \Bigr)

\mathrm{d}t = -\frac{1}{t^2} \sum_{y_a > y_b} \pi_{ab} \, (s_b - s_a)
""",
}


@loss(
    paper=("035", "115"),
    tex=_TEX,
    invariants=[
        permutation("N"),
        constant_shift("scores"),
        constant_shift("similarity"),
        at_least(0),
        exact("equal scores of three similarities: log 4", math.log(4), scores=[0.3] * 3, similarity=[2.0, 5.0, 1.0]),
        exact("equal similarities ask for nothing", 0.0, scores=[0.3, -0.2, 0.9], similarity=[1.0] * 3),
    ],
)
def cosent(
    scores: Rows("N>=2"),
    similarity: Rows("N", frozen=True),
    temperature: WithGradient(Positive) = 0.05,
):
    xp = backend_of(scores).xp
    logits = (scores - scores[:, None]) / temperature  # of row a, column b: (s_b - s_a) / t
    counts = similarity[:, None] > similarity
    logits = xp.where(counts, logits, -xp.inf)
    top = xp.maximum(logits.max(), 0)
    weights = xp.exp(logits - top)
    total = xp.exp(-top) + weights.sum()
    weights /= total

    def backward(g):
        pulled = (g / temperature) * (weights.sum(axis=0) - weights.sum(axis=1))
        # sum pi (s_b - s_a) is the scores' product with what each of them receives.
        return pulled, -(pulled * scores).sum() / temperature

    return top + xp.log(total), backward


@definition(cosent)
def cosent_definition(scores, similarity, temperature):
    counts = similarity[:, None] > similarity
    differences = (scores - scores.reshape(-1, 1))[counts] / temperature
    xp = backend_of(similarity).xp
    return logsumexp(concatenate(differences, xp.zeros(1)), axis=0)
