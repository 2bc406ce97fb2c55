"""Sparsemax with several labels: fit sparse probabilities to a target distribution.

Definition. ``targets`` holds one row of proportions for each row of scores z: 0-1 marks of the labels, or any weights.
With q = targets / sum(targets), p = sparsemax(z), S its support and tau its threshold (p_j = z_j - tau on S),

    L = -q·z + 1/2 sum_{j in S} (z_j² - tau²) + 1/2 |q|²,     averaged over rows (``reduction``).

With z_j² - tau² = p_j² + 2 tau p_j, sum p_j = 1 and z_j = p_j + tau - [tau - z_j]_+ this is

    L = 1/2 |p - q|² + sum_j q_j max(0, tau - z_j),

the form computed here: two parts that no round-off turns negative. It is the Fenchel-Young loss of the regulariser
1/2 |p|²: with f(z) = max over the simplex of p·z - 1/2 |p|², L = f(z) + 1/2 |q|² - q·z. L is 0 exactly where p = q.

Gradient. dz = r (p - q), r the row's weight in the reduction: continuous, and zero where both p and q are.

Shapes: scores, targets (N, C), C >= 2; targets >= 0, some above 0 in each row, never differentiated. A row of marks
weighs its k labels 1/k each, as in the paper's experiments. One mark per row gives the loss ``sparsemax``.

Source. Martins, Astudillo 2016, arXiv 1602.02068, section 3 (the several-label form, of which 1/2 |q|² does not depend
on z). As Fenchel-Young loss: Blondel, Martins, Niculae 2018, arXiv 1805.09717. Public code: tf-addons' sparsemax_loss
takes targets as they are, so marks that do not sum to 1 give another loss there.
"""

from mini_repr.autograd import sparsemax as simplex_projection
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Reduction, Rows
from mini_repr.pages.invariants import at_least, constant_shift, exact, permutation, row_scaling
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

_TEX = {
    "definition": r"""
L = -q \cdot z + \frac{1}{2} \sum_{j \in S} (z_j^2 - \tau^2) + \frac{1}{2} \lVert q \rVert^2 = \frac{1}{2} \lVert p -
q \rVert^2 + \sum_j q_j \max(0, \tau - z_j)

p = \mathrm{sparsemax}(z)
""",
    "gradient": r"""
\mathrm{d}z = r \, (p - q)
""",
}


@loss(
    paper="060",
    tex=_TEX,
    variants={"sum": variant("summed over rows instead of averaged", reduction="sum")},
    invariants=[
        permutation("N"),
        permutation("C"),
        constant_shift("scores"),
        row_scaling("targets"),
        at_least(0),
        exact("zero where the projection is the target", 0.0, scores=[[7.5, 7.5, 6.0]], targets=[[1.0, 1.0, 0.0]]),
        exact("equal scores give (1/k - 1/C) / 2", 0.125, scores=[[0.3] * 4], targets=[[0.0, 1.0, 0.0, 1.0]]),
    ],
)
def sparsemax_multilabel(
    scores: Rows("N C>=2"), targets: Rows("N C", frozen=True, least=0, no_zero_row=True), reduction: Reduction = "mean"
):
    xp = backend_of(scores).xp
    q = targets / targets.sum(axis=1, keepdims=True)
    p, _ = simplex_projection.on_arrays(scores)
    tau = (scores.max(axis=1) - p.max(axis=1))[:, None]  # the largest score is always in the support
    beyond = xp.where(p > 0, 0, tau - scores)
    gap = p
    gap -= q
    value, spread = reduce_rows(0.5 * (gap * gap).sum(axis=1) + (q * beyond).sum(axis=1), reduction)
    return value, lambda g: (spread(g)[:, None] * gap,)


@definition(sparsemax_multilabel)
def sparsemax_multilabel_definition(scores, targets, reduction):
    q = targets / targets.sum(axis=1, keepdims=True)
    support = simplex_projection(scores).data.real > 0
    tau = ((scores * support).sum(axis=1, keepdims=True) - 1) / support.sum(axis=1, keepdims=True)
    quadratic = 0.5 * (support * (scores * scores - tau * tau)).sum(axis=1)
    return reduced(-(q * scores).sum(axis=1) + quadratic + 0.5 * (q * q).sum(axis=1), reduction)
