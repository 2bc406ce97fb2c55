"""Patch contrast: a place of an image must look like the same place of its source, and unlike its other places.

Definition. With u_i = q_i / |q_i| and v_i = k_i / |k_i| the features of place i of P, of an image and of its source (a
constant), temperature t,

    L = mean over images and places i of  -log( e^{u_i·v_i / t} / sum_j e^{u_i·v_j / t} )

Negatives are the other places of the same source: ``infonce`` in one direction, an image at a time. Equal features of
all places cost log P; the right ones may still be pushed where others resemble them.

Gradient. With p_ij the softmax over j: du_i = (sum_j p_ij v_j - v_i) / (t B P), then dq = (du - u (u·du)) / |q|.

Shapes: query, key (B, P, D), P >= 1; one place costs 0. Range: temperature > 0. A zero row has cosine 0 with all.

Source. Yang, Hwang, Ye 2023, arXiv 2303.08622 (ZeCon), with the loss of Park et al. 2020, arXiv 2007.15651 (CUT);
checked against the official code, YSerin/ZeCon, optimization/losses.py (PatchNCELoss; a test has its lines): there the
positive is taken out of the row by a logit of -10 before the division by t, which at 0.07 is the same to 1e-60 and at
t >= 1 is not; features are raw, with 1e-7 added to their length; CUT learns a map of them.
"""

import math

from mini_repr.autograd import log_softmax, stop_gradient, unit_rows
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Positive, Rows
from mini_repr.pages.invariants import at_least, exact, permutation, rotation, row_scaling
from mini_repr.pages.loss import definition, loss, variant

_TWO = [[[2.0, 0.0], [0.0, 1.0]]]

_TEX = {
    "definition": r"""
L = -\frac{1}{B P} \sum_{b,i} \log \frac{e^{u_i \cdot v_i / t}}{\sum_j e^{u_i \cdot v_j / t}}

u_i = \frac{q_i}{\lVert q_i \rVert}

v_i = \frac{k_i}{\lVert k_i \rVert}
""",
    "gradient": r"""
\mathrm{d}u_i = \frac{\sum_j p_{ij} \, v_j - v_i}{t B P}

\mathrm{d}q = \frac{\mathrm{d}u - u \, (u \cdot \mathrm{d}u)}{\lVert q \rVert}
""",
}


@loss(
    paper="110",
    tex=_TEX,
    variants={"soft": variant("a higher temperature: the nearest other place matters less", temperature=0.5)},
    invariants=[
        permutation("B"),
        permutation("P"),
        rotation("D"),
        row_scaling("query", "key"),
        at_least(0),
        exact("orthogonal places", math.log(1 + math.exp(-2.0)), query=_TWO, key=_TWO, temperature=0.5),
        exact("all places alike", math.log(3), query=[[[1.0, 2.0]] * 3], key=[[[2.0, 4.0]] * 3]),
        exact("one place", 0.0, query=[[[1.0, 2.0]]], key=[[[2.0, 1.0]]]),
    ],
)
def patch_nce(query: Rows("B P D"), key: Rows("B P D", frozen=True), temperature: Positive = 0.07):
    xp = backend_of(query).xp
    u, to_query = unit_rows.on_arrays(query)
    v, _ = unit_rows.on_arrays(key)
    logits = u @ v.swapaxes(1, 2) / temperature
    logits -= logits.max(axis=2, keepdims=True)
    places = xp.arange(u.shape[1])
    own = logits[:, places, places]
    p = xp.exp(logits)
    total = p.sum(axis=2, keepdims=True)
    p /= total
    value = (xp.log(total[..., 0]) - own).mean()

    def backward(g):
        return (to_query((p @ v - v) * (g / (temperature * own.size))),)

    return value, backward


@definition(patch_nce)
def patch_nce_definition(query, key, temperature):
    u, v = unit_rows(query), unit_rows(stop_gradient(key))
    own = backend_of(query.data).xp.eye(query.shape[1], dtype=bool)
    each = [-(log_softmax(u[b] @ v[b].T / temperature) * own).sum(axis=1).mean() for b in range(len(query.data))]
    return sum(each[1:], each[0]) / len(each)
