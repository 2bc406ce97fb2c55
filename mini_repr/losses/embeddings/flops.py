"""FLOPs regulariser: rows that share few non-zero dimensions, so that comparing two of them costs few multiplications.

Definition. For activations z (B, D), as they are or as unit rows (``normalize``), with m_j = 1/B sum_i |z_ij|,

    "flops"   L = sum_j m_j²
    "l1"      L = sum_j m_j       the usual lasso, mean_i |z_i|_1, for comparison

An inverted index multiplies only where query and candidate are both non-zero: sum_j p_j² times per pair on average, p_j
the share of rows active in j (``metrics.expected_flops``). That count has no gradient; m_j in place of p_j has. The
slope 2 m_j is steepest where a dimension is used most: at a given L1 norm, L is least where all are used equally.

Gradient. "flops": dz_ij = 2 m_j sign(z_ij) / B; "l1": dz_ij = sign(z_ij) / B; then dz = (du - u (u·du)) / |z| under
``normalize``. sign(0) = 0: what an activation set to zero stays there.

Shapes: z (B, D), B >= 1. A row of zeros has no gradient, a batch of zeros the value 0. Exact zeros come from the
activation in front: a ReLU, or ``soft_threshold`` below, where activations may be negative.

Source. Paria et al. 2020, arXiv 2004.05665, and its official code (biswajitsc/sparse-embed, model.py): both forms,
on rows that were divided by their norm after the activation (variant ``unit_rows``); soft threshold 0.1 to 0.5; the
weight of the regulariser grows with the square of the step up to its final value.

Public ports (SPLADE's, sentence-transformers' FlopsLoss) take no absolute value, for their activations are never
negative; the latter can leave out rows with few non-zeros. SPLADE penalises queries and documents with two weights.
"""

from mini_repr.autograd import absolute, relu, unit_rows
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Choice, Flag, Rows
from mini_repr.pages.invariants import at_least, between, exact, permutation, row_scaling
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import rows_of

_ROWS = [[1.0, -3.0], [3.0, 0.0]]


def soft_threshold(x, threshold):
    """sign(x) max(|x| - threshold, 0) on tensors or arrays: exact zeros within the threshold, gradient 0 there."""
    return relu(x - threshold) - relu(-x - threshold)


_TEX = {
    "definition": r"""
L = \sum_j m_j^2

m_j = \frac{1}{B} \sum_i |z_{ij}|
""",
    "gradient": r"""
\mathrm{d}z_{ij} = \frac{2 \, m_j \, \mathrm{sign}(z_{ij})}{B}
""",
}


@loss(
    paper="022",
    tex=_TEX,
    variants={
        "unit_rows": variant("of unit rows, as the official code trains", normalize=True),
        "l1": variant("mean L1 norm of the rows", form="l1"),
    },
    invariants=[
        permutation("B"),
        permutation("D"),
        at_least(0),
        row_scaling("z", normalize=True),
        between(1 / 5, 1, form="flops", normalize=True),  # of 5 dimensions
        exact("mean sizes 2 and 1.5", 6.25, z=_ROWS),
        exact("mean L1 norm", 3.5, z=_ROWS, form="l1"),
        exact("one and the same dimension costs 1", 1.0, z=[[2.0, 0.0, 0.0]] * 3, normalize=True),
        exact("dimensions used equally cost 1/D", 1 / 2, z=[[5.0, 0.0], [0.0, -1.0]], normalize=True),
    ],
)
def flops(z: Rows("B D"), form: Choice("flops", "l1") = "flops", normalize: Flag = False):
    xp = backend_of(z).xp
    u, to_z = rows_of(z, normalize)
    mean = abs(u).mean(axis=0)
    slope = 2 * mean if form == "flops" else xp.ones_like(mean)
    value = (mean * mean).sum() if form == "flops" else mean.sum()
    return value, lambda g: (to_z(xp.sign(u) * (slope * (g / len(z)))),)


@definition(flops)
def flops_definition(z, form, normalize):
    mean = absolute(unit_rows(z) if normalize else z).mean(axis=0)
    return (mean * mean).sum() if form == "flops" else mean.sum()
