"""Sparsemax loss: the cross-entropy's counterpart for sparse probabilities, zero once the margin is 1.

Definition. With p = sparsemax(z), the projection of the scores z on the probability simplex, S = {j: p_j > 0} its
support and tau its threshold (p_j = z_j - tau on S), for the label y of each row

    L = -z_y + 1/2 sum_{j in S} (z_j² - tau²) + 1/2,     averaged over rows (``reduction``).

With z_j² - tau² = p_j² + 2 tau p_j and sum p_j = 1 this is 1/2 (1 + |p|²) + tau - z_y, and so, with e_y one-hot,

    L = 1/2 |p - e_y|² + max(0, tau - z_y),

the form computed here: two parts that no round-off turns negative. L is 0 exactly where z_y >= 1 + every other score.
For two classes it is the modified Huber loss of m = z_y - z_other: 0 for m >= 1, (1 - m)²/4 between, -m for m <= -1.

Gradient. dz = r (p - e_y) with r the row's weight in the reduction: p takes the place of the softmax. (The sum
moves by sum_S z_j dz_j - |S| tau dtau, and |S| dtau = sum_S dz_j makes that p·dz.) It is continuous: L has no kinks.

Shapes: scores (N, C), C >= 2; labels (N,) from 0 to C - 1. No temperature: the paper has none (scale the scores).

Source. Martins, Astudillo 2016, arXiv 1602.02068, section 3. Public code (OpenNMT-py's SparsemaxLoss, tf-addons) uses
the first form, which round-off can turn negative; OpenNMT-py cuts it off at 0. tf-addons takes one-hot or multi-label
targets (1/2 |q|² in place of the last 1/2 and q·z of z_y): see ``sparsemax_multilabel``. entmax's SparsemaxLoss is this
page's default.
"""

from mini_repr.autograd import sparsemax as simplex_projection
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Labels, Reduction, Rows
from mini_repr.pages.invariants import at_least, constant_shift, exact, permutation
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

_TEX = {
    "definition": r"""
L = -z_y + \frac{1}{2} \sum_{j \in S} (z_j^2 - \tau^2) + \frac{1}{2} = \frac{1}{2} \lVert p - e_y \rVert^2 + \max(0,
\tau - z_y)

p = \mathrm{sparsemax}(z)

p_j = z_j - \tau \quad (j \in S)
""",
    "gradient": r"""
\mathrm{d}z = r \, (p - e_y)
""",
}


@loss(
    paper="060",
    tex=_TEX,
    variants={"sum": variant("summed over rows instead of averaged", reduction="sum")},
    invariants=[
        permutation("N"),
        constant_shift("scores"),
        at_least(0),
        exact("zero once the margin is 1", 0.0, scores=[[2.0, 1.0, -3.0], [0.5, 4.0, 0.5]], labels=[0, 1]),
        exact("equal scores give (1 - 1/C) / 2", 0.375, scores=[[0.3] * 4] * 2, labels=[1, 3]),
        exact("far on the wrong side it is the margin", 5.0, scores=[[0.0, 5.0]], labels=[0]),
    ],
)
def sparsemax(scores: Rows("N C>=2"), labels: Labels("N", classes="C"), reduction: Reduction = "mean"):
    xp = backend_of(scores).xp
    own = (xp.arange(len(labels)), labels)
    p, _ = simplex_projection.on_arrays(scores)
    tau = scores.max(axis=1) - p.max(axis=1)  # the largest score is always in the support
    beyond = xp.where(p[own] > 0, 0, tau - scores[own])
    gap = p
    gap[own] -= 1
    value, spread = reduce_rows(0.5 * (gap * gap).sum(axis=1) + beyond, reduction)
    return value, lambda g: (spread(g)[:, None] * gap,)


@definition(sparsemax)
def sparsemax_definition(scores, labels, reduction):
    support = simplex_projection(scores).data.real > 0
    tau = ((scores * support).sum(axis=1, keepdims=True) - 1) / support.sum(axis=1, keepdims=True)
    own = scores[backend_of(support).xp.arange(len(labels)), labels]
    per_row = -own + 0.5 * (support * (scores * scores - tau * tau)).sum(axis=1) + 0.5
    return reduced(per_row, reduction)
