"""LLaVE: InfoNCE in which a negative counts the more, the more similar it is to the anchor.

Definition. With u_i = a_i/|a_i|, v_j = b_j/|b_j|, s_ij = u_i·v_j, temperature t, ``hardness`` h, sg the stop-gradient,

    w_ij = e^{h sg(s_ij)}
    l(a_i) = -log( e^{s_ii/t} / (e^{s_ii/t} + sum_{j != i} w_ij e^{s_ij/t}) ),      L = mean_i [ l(a_i) + l(b_i) ] / 2

h = 0 is InfoNCE. ``symmetric=False`` keeps the anchors a_i only; ``reduction="none"`` gives one value per pair. The
weight stands for what a reward model thinks of the pair; as in the official code, the trained model is its own.

Gradient. The weights are constants, but they sit in the softmax P_i over (s_ii/t, s_ij/t + h s_ij): the logits s/t
receive G_ij = r_i (P_ij - [j = i]), r_i the weight of anchor i in the reduction. Summed over both directions,
du = G v / t, dv = Gᵀ u / t, dt = -sum_ij G_ij s_ij / t²; da = (du - u (u·du)) / |a|. It is not the slope of the value:
a hard negative is pushed away with w_ij times the force, and nothing is gained by making w_ij smaller.
The negatives' logits are (1/t + h) s_ij, so that their log-sum-exp is InfoNCE's at another scale: O(B * tile) memory.

Shapes: a, b (B, D) with B >= 2. Ranges: temperature > 0, hardness >= 0 (official script: 1/t = 50, h = 9). A zero row
has similarity 0 to everything and a zero gradient.

Source. Lan, Niu, Meng, Zhou, Su 2025, arXiv 2503.04812; checked against the official code, DeepLearnXMU/LLaVE,
llava/model/language_model/loss.py: both directions, weight 1 for the partner, weights detached, logit_scale 50 and
alpha (this page's hardness) 9 in the training script, 0.5 where nothing is said. It adds log(exp(alpha s)) to
the logits, which is alpha s; embeddings of all ranks are gathered first.
"""

import math

from mini_repr.autograd import concatenate, logsumexp, off_diagonal, softplus, stop_gradient, unit_rows
from mini_repr.kernels.log_sum_exp import similarity_logsumexp
from mini_repr.pages.arguments import Flag, NonNegative, Positive, Reduction, Rows, Tile, WithGradient
from mini_repr.pages.invariants import at_least, exact, permutation, rotation, row_scaling, swap
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

_SAME = {"a": [[1.0, 2.0]] * 4, "b": [[1.0, 2.0]] * 4}

_TEX = {
    "definition": r"""
\ell(a_i) = -\log \frac{e^{s_{ii}/t}}{e^{s_{ii}/t} + \sum_{j \ne i} w_{ij} \, e^{s_{ij}/t}}

w_{ij} = e^{h \, \mathrm{sg}(s_{ij})}

L = \frac{1}{2B} \sum_i \bigl[ \ell(a_i) + \ell(b_i) \bigr]
""",
    "gradient": r"""
G_{ij} = r_i \, \bigl( P_{ij} - [j = i] \bigr)

P_{ij} = \frac{w_{ij} \, e^{s_{ij}/t}}{e^{s_{ii}/t} + \sum_{k \ne i} w_{ik} \, e^{s_{ik}/t}} \quad (j \ne i)

\mathrm{d}u = \frac{G v}{t}
""",
}


@loss(
    paper="118",
    tex=_TEX,
    variants={
        "code_default": variant("the official code's alpha where the script sets none", hardness=0.5),
        "one_direction": variant("anchors in a only", symmetric=False),
        "infonce": variant("hardness 0: every negative counts the same", hardness=0.0),
        "sum": variant("summed over pairs instead of averaged", reduction="sum"),
    },
    invariants=[
        permutation("B"),
        rotation("D"),
        row_scaling("a", "b"),
        swap("a", "b"),
        at_least(0),
        exact("identical rows give log(1 + (B - 1) e^h)", math.log(1 + 3 * math.exp(2)), hardness=2.0, **_SAME),
    ],
)
def llave(
    a: Rows("B>=2 D"),
    b: Rows("B>=2 D"),
    temperature: WithGradient(Positive) = 0.02,
    hardness: NonNegative = 9.0,
    symmetric: Flag = True,
    reduction: Reduction = "mean",
    tile: Tile = None,
):
    (u, to_a), (v, to_b) = unit_rows.on_arrays(a), unit_rows.on_arrays(b)
    scale = 1 / temperature
    positive = (u * v).sum(axis=1)
    negatives, back = similarity_logsumexp.on_arrays(
        u, v, scale + hardness, columns=symmetric, skip_diagonal=True, tile=tile, unit=True
    )
    # -log of the partner's probability is softplus(log-sum-exp of the negatives - the partner's logit), a direction.
    directions = [softplus.on_arrays(over - positive * scale) for over in negatives if over is not None]
    value, spread = reduce_rows(sum(cost for cost, _ in directions) / len(directions), reduction)

    def backward(g):
        r = spread(g) / len(directions)
        pushes = [to_excess(r) for _, to_excess in directions]
        g_u, g_v, g_scale = back((*pushes, None)[:2])
        push = sum(pushes)
        g_u *= scale / (scale + hardness)  # the similarities' gradient through the logits s/t alone
        g_v *= scale / (scale + hardness)
        g_u -= (push * scale)[:, None] * v
        g_v -= (push * scale)[:, None] * u
        g_scale -= (push * positive).sum()
        return to_a(g_u), to_b(g_v), -g_scale * scale**2

    return value, backward


@definition(llave)
def llave_definition(a, b, temperature, hardness, symmetric, reduction):
    u, v = unit_rows(a), unit_rows(b)
    own = (u * v).sum(axis=1, keepdims=True) / temperature

    def over(anchors, partners):
        s = off_diagonal(anchors @ partners.T)
        weighted = s / temperature + hardness * stop_gradient(s)  # log(w e^{s/t})
        return logsumexp(concatenate(own, weighted, axis=1), axis=1) - own[:, 0]

    per_pair = (over(u, v) + over(v, u)) / 2 if symmetric else over(u, v)
    return reduced(per_pair, reduction)
