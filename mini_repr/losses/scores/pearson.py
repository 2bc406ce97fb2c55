"""Pearson's correlation as a loss: scores rise with the graded similarities along a line.

Definition. With the scores s of N pairs and their graded similarities y, means and deviations over the pairs,

    L = 1 - sum_i (s_i - mean(s)) (y_i - mean(y)) / (N sd(s) sd(y))

0 where scores are a rising line of the similarities, 2 where a falling one. Scale and offset of neither count.

Gradient. With standardised scores u_i = (s_i - mean(s)) / sd(s) and v likewise of y, and the correlation r = 1 - L, s_i
receives (r u_i - v_i) / (N sd(s)): it sums to 0 and is orthogonal to s.

Shapes: scores (N,), N >= 2; similarity (N,), on any scale, never differentiated. Where all similarities are equal L is
0 as in the official code, where all scores are (and similarities not) it is 1, and neither has a gradient.

Source. Zhang et al. 2025, arXiv 2508.11442 (CoDiEmb), where L has weight 2 beside ``rank_kl`` with 5 and ``pro`` with
0.5. Compared with TencentCloudADP/youtu-embedding, training/CoDiEmb/train/loss.py (its lines are repeated in a test);
for equal scores it gives NaN.
"""

from mini_repr.autograd import sqrt
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Rows
from mini_repr.pages.invariants import between, constant_shift, exact, permutation, scaling
from mini_repr.pages.loss import definition, loss

_TEX = {
    "definition": r"""
L = 1 - \frac{\sum_i (s_i - \bar s)(y_i - \bar y)}{N \, \mathrm{sd}(s) \, \mathrm{sd}(y)}
""",
    "gradient": r"""
\mathrm{d}s_i = \frac{r u_i - v_i}{N \, \mathrm{sd}(s)}

r = 1 - L

u_i = \frac{s_i - \bar s}{\mathrm{sd}(s)}

v_i = \frac{y_i - \bar y}{\mathrm{sd}(y)}
""",
}


@loss(
    paper="115",
    tex=_TEX,
    invariants=[
        permutation("N"),
        constant_shift("scores"),
        constant_shift("similarity"),
        scaling("scores"),
        scaling("similarity"),
        between(0, 2),
        exact("a rising line gives 0", 0.0, scores=[0.1, 0.4, 0.3], similarity=[0.0, 3.0, 2.0]),
        exact("a falling line gives 2", 2.0, scores=[0.4, 0.1, 0.2], similarity=[0.0, 3.0, 2.0]),
        exact("equal similarities give 0", 0.0, scores=[0.4, 0.1, 0.2], similarity=[2.0] * 3),
        exact("equal scores give 1", 1.0, scores=[0.4] * 3, similarity=[2.0, 1.0, 0.0]),
    ],
)
def pearson(scores: Rows("N>=2"), similarity: Rows("N", frozen=True)):
    xp = backend_of(scores).xp
    (u, size), (v, _) = _standardised(scores), _standardised(similarity)
    r = (u * v).mean()
    level = similarity.max() == similarity.min()

    def backward(g):
        return ((g / len(u)) * (r * u - v) / size * xp.where(level, 0, u.any()),)

    return xp.where(level, 0, 1 - r).astype(scores.dtype), backward


def _standardised(x):
    """((x - mean) / deviation, deviation), where all are equal (0, 1)."""
    xp = backend_of(x).xp
    equal = x.max() == x.min()
    centred = xp.where(equal, 0, x - x.mean())
    size = xp.where(equal, 1, xp.sqrt((centred * centred).mean())).astype(x.dtype)
    return centred / size, size


@definition(pearson)
def pearson_definition(scores, similarity):
    if similarity.max() == similarity.min():
        return 0 * scores.sum()
    if scores.data.max() == scores.data.min():
        return 1 + 0 * scores.sum()
    a, b = scores - scores.mean(), similarity - similarity.mean()
    return 1 - (a * b).mean() / (sqrt((a**2).mean()) * sqrt((b**2).mean()))
