"""Class-level circle: push each cosine with a class vector by how far it still is from its optimum.

Definition. With s_ik the cosine of row x_i and class vector w_k, y the label, margin m and scale g,

    L = log( 1 + sum_{k != y} e^{g a_k (s_k - m)} e^{-g a_y (s_y - (1 - m))} ),     averaged over rows (``reduction``),
    a_k = [s_k + m]_+,    a_y = [1 + m - s_y]_+,    both constants for the gradient.

It is the cross-entropy of the logits g a_y (s_y - (1 - m)) and g a_k (s_k - m). ``weighted=False`` sets all weights to
1: AM-Softmax, -log( e^{g (s_y - m')} / (e^{g (s_y - m')} + sum e^{g s_k}) ) with m' = 1 - 2m; m = 1/2 is NormFace.
The same loss between rows of a batch is ``circle``.

Gradient. With P the softmax of the logits and r_i the row's weight in the reduction, s_ik receives
G_ik = r_i (P_ik - [k = y]) g a_ik. With u, v the unit rows, du = G v and dv = Gᵀ u, then dx = (du - u (u·du)) / |x|.

Shapes: x (B, D), class vectors w (C, D), C >= 2; labels (B,) from 0 to C - 1; stores (B, C) scores. Ranges:
0 <= margin <= 1, scale > 0. A zero row or class vector has cosine 0 with everything and a zero gradient.

Source. Sun et al. 2020, arXiv 2002.10857, sections 2 and 3; margin 0.25 and scale 256 for faces and re-identification.
TinyZeaMays/CircleLoss has this form as CircleLossLikeCE; pytorch-metric-learning's CircleLoss takes pairs only.
"""

import math

from mini_repr.autograd import log_softmax, maximum, stop_gradient, unit_rows, where
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Flag, Fraction, Labels, Positive, Reduction, Rows
from mini_repr.pages.invariants import at_least, exact, permutation, rotation, row_scaling
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

_TEX = {
    "definition": r"""
L = \frac{1}{N} \sum_i \log \Bigl( 1 + \sum_{k \ne y} e^{\gamma a_k (s_k - m)} \, e^{-\gamma a_y (s_y - (1 - m))} \Bigr)

a_k = [s_k + m]_+

a_y = [1 + m - s_y]_+

s_{ik} = \cos(x_i, w_k)
""",
    "gradient": r"""
G_{ik} = r_i \, \bigl( P_{ik} - [k = y] \bigr) \, \gamma \, a_{ik}

\mathrm{d}u = G v

\mathrm{d}v = G^\top u
""",
}


@loss(
    paper="040",
    tex=_TEX,
    variants={
        "am_softmax": variant(
            "all weights 1: AM-Softmax, margin 0.35, scale 30", weighted=False, margin=0.325, scale=30.0
        ),
        "normface": variant("all weights 1 and no margin", weighted=False, margin=0.5, scale=30.0),
        "sum": variant("summed over rows instead of averaged", reduction="sum"),
    },
    invariants=[
        permutation("B"),
        rotation("D"),
        row_scaling("x", "w"),
        at_least(0),
        exact(
            "equal cosines, no margin and no weights: log C",
            math.log(2),
            x=[[1.0, 0.0]],
            w=[[1.0, 1.0], [1.0, -1.0]],
            labels=[1],
            margin=0.5,
            weighted=False,
        ),
        exact(
            "at the optimum the two logits are 2 g m² apart",
            math.log1p(math.exp(-2 * 0.25**2)),
            x=[[1.0, 0.0]],
            w=[[1.0, 0.0], [0.0, 1.0]],
            labels=[0],
            scale=1.0,
        ),
    ],
)
def circle_scores(
    x: Rows("B D"),
    w: Rows("C>=2 D"),
    labels: Labels("B", classes="C"),
    margin: Fraction = 0.25,
    scale: Positive = 256.0,
    weighted: Flag = True,
    reduction: Reduction = "mean",
):
    xp = backend_of(x).xp
    own = (xp.arange(len(labels)), labels)
    (u, to_x), (v, to_w) = unit_rows.on_arrays(x), unit_rows.on_arrays(w)
    s = u @ v.T
    slope = scale
    if weighted:
        slope = s + margin
        slope[own] = 1 + margin - s[own]
        xp.maximum(slope, 0, out=slope)
        slope *= scale
    logits = s - margin
    logits[own] = s[own] - (1 - margin)
    logits *= slope
    logits -= logits.max(axis=1, keepdims=True)
    own_logit = logits[own]
    p = xp.exp(logits, out=logits)
    total = p.sum(axis=1)
    value, spread = reduce_rows(xp.log(total) - own_logit, reduction)
    pull = p  # becomes (p - [k = y]) g a in place
    pull /= total[:, None]
    pull[own] -= 1
    pull *= slope

    def backward(g):
        g_s = spread(g)[:, None] * pull
        return to_x(g_s @ v), to_w(g_s.T @ u)

    return value, backward


@definition(circle_scores)
def circle_scores_definition(x, w, labels, margin, scale, weighted, reduction):
    xp = backend_of(labels).xp
    s = unit_rows(x) @ unit_rows(w).T
    own = labels[:, None] == xp.arange(w.shape[0])
    offset = where(own, s - (1 - margin), s - margin)
    weight = maximum(stop_gradient(where(own, 1 + margin - s, s + margin)), 0) if weighted else 1
    log_p = log_softmax(scale * weight * offset)
    return reduced(-log_p[xp.arange(len(labels)), labels], reduction)
