"""ALIGN: find the partner among a batch of noisy pairs, with a target that leaves room for errors.

Definition. With u_i = a_i/|a_i|, v_j = b_j/|b_j|, s_ij = u_i·v_j, temperature t, B pairs, e the ``label_smoothing``,
P_i the softmax of s_i1/t ... s_iB/t and Q_j that of s_1j/t ... s_Bj/t,

    q_ij = (1 - e) [j = i] + e / B
    l(a_i) = - sum_j q_ij log P_ij,   l(b_j) = - sum_i q_ij log Q_ij,      L = mean_i [ l(a_i) + l(b_i) ]

The two directions are added, not averaged: e = 0 is twice CLIP's loss. ``reduction="none"`` gives one value per pair.

Gradient. With r_i the weight of pair i in the reduction, the logits s/t receive G_ij = r_i (P_ij - q_ij) +
r_j (Q_ij - q_ij); du = G v / t, dv = Gᵀ u / t, dt = -sum_ij G_ij s_ij / t²; da = (du - u (u·du)) / |a|. It is 0 where
P = Q = q: pairs are drawn together until P_ii = 1 - e + e/B and no further, and L is never below 2 H(q).
The target's part needs no matrix, sum_j q_ij s_ij = (1 - e) s_ii + (e/B) u_i·sum_j v_j: O(B * tile) memory.

Shapes: a, b (B, D) with B >= 2. Ranges: temperature > 0 (learned, from 1 on); 0 <= label_smoothing <= 1. A zero row has
similarity 0 to everything and a zero gradient.

Source. Jia et al. 2021, arXiv 2102.05918; neither its text nor code of its authors was read. Two re-implementations:
kakaobrain/coyo-align, align.py, which adds the two directions too, spreads e = 0.1 over all B targets and learns the
temperature itself, from 1, not its logarithm; transformers' ``align_loss``, half of this page, since it averages them.
"""

import math

from mini_repr.autograd import diagonal, logsumexp, unit_rows
from mini_repr.backend import backend_of
from mini_repr.kernels.log_sum_exp import similarity_logsumexp
from mini_repr.pages.arguments import Fraction, Positive, Reduction, Rows, Tile, WithGradient
from mini_repr.pages.invariants import at_least, exact, permutation, rotation, row_scaling, swap
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

_SAME = {"a": [[1.0, 2.0]] * 4, "b": [[1.0, 2.0]] * 4}

_TEX = {
    "definition": r"""
\ell(a_i) = -\sum_j q_{ij} \log P_{ij}

\ell(b_j) = -\sum_i q_{ij} \log Q_{ij}

q_{ij} = (1 - \epsilon) \, [j = i] + \frac{\epsilon}{B}

L = \frac{1}{B} \sum_i \bigl[ \ell(a_i) + \ell(b_i) \bigr]

P_{ij}, Q_{ij}: \text{softmax of } s_{ij}/t \text{ over } j, \text{ over } i
""",
    "gradient": r"""
G_{ij} = r_i \, (P_{ij} - q_{ij}) + r_j \, (Q_{ij} - q_{ij})

\mathrm{d}u = \frac{G v}{t}

\mathrm{d}v = \frac{G^\top u}{t}

\mathrm{d}t = -\frac{1}{t^2} \sum_{i,j} G_{ij} \, s_{ij}
""",
}


@loss(
    paper="053",
    tex=_TEX,
    variants={
        "unsmoothed": variant("no label smoothing: twice CLIP's loss", label_smoothing=0.0),
        "sum": variant("summed over pairs instead of averaged", reduction="sum"),
    },
    invariants=[
        permutation("B"),
        rotation("D"),
        row_scaling("a", "b"),
        swap("a", "b"),
        at_least(0),
        exact("identical rows give 2 log B", 2 * math.log(4), **_SAME),
    ],
)
def align(
    a: Rows("B>=2 D"),
    b: Rows("B>=2 D"),
    temperature: WithGradient(Positive) = 1.0,
    label_smoothing: Fraction = 0.1,
    reduction: Reduction = "mean",
    tile: Tile = None,
):
    column_sums = backend_of(a).column_sums
    (u, to_a), (v, to_b) = unit_rows.on_arrays(a), unit_rows.on_arrays(b)
    scale = 1 / temperature
    on_partner, on_each = 2 * (1 - label_smoothing), label_smoothing / len(a)
    u_sum, v_sum = column_sums(u), column_sums(v)
    expected = on_partner * (u * v).sum(axis=1) + on_each * (u @ v_sum + v @ u_sum)  # q·s, of both directions
    over, back = similarity_logsumexp.on_arrays(u, v, scale, columns=True, tile=tile, unit=True)
    value, to_rows = reduce_rows(over.rows + over.columns - expected * scale, reduction)

    def backward(g):
        r = to_rows(g)
        du, dv, d_scale = back((r, r))
        pull = (r * scale)[:, None]
        du -= pull * (on_partner * v + on_each * v_sum) + on_each * column_sums(pull * v)
        dv -= pull * (on_partner * u + on_each * u_sum) + on_each * column_sums(pull * u)
        d_scale -= (r * expected).sum()
        return to_a(du), to_b(dv), -d_scale * scale**2

    return value, backward


@definition(align)
def align_definition(a, b, temperature, label_smoothing, reduction):
    logits = unit_rows(a) @ unit_rows(b).T / temperature

    def smoothed(logits):
        log_p = logits - logsumexp(logits, axis=1)[:, None]
        return -(1 - label_smoothing) * diagonal(log_p) - label_smoothing * log_p.mean(axis=1)

    return reduced(smoothed(logits) + smoothed(logits.T), reduction)
