"""Focal image-text contrast: CLIP's loss, which attends to the pairs that are not yet found.

Definition. With u_i = a_i/|a_i| of images, v_i = b_i/|b_i| of texts, s_ij = u_i·v_j, temperature t and B pairs,

    p_i = e^{s_ii/t} / sum_j e^{s_ij/t},     q_i = e^{s_ii/t} / sum_j e^{s_ji/t}
    L = mean_i [ -(1 - p_i)^gamma log p_i - (1 - q_i)^gamma log q_i ] / 2

``gamma=0`` is CLIP's loss, the default of ``infonce``. ``reduction="none"`` gives one value per pair.

Gradient. The weight is differentiated too. With l_i = -log p_i, r_i the weight of pair i in the reduction and
f_i = (1 - p_i)^gamma + gamma p_i (1 - p_i)^(gamma-1) l_i, the logits s/t receive r_i f_i (P_ij - [i = j]) / 2 from the
images, P the softmax over texts, and likewise from the texts; du = G v / t, dv = Gᵀ u / t and dt = -sum_ij G_ij s_ij /
t^2 are as in ``infonce``. A pair with p_i = 1 has value and gradient 0 for gamma > 0. Tiles: O(B * tile) memory.

Shapes: a, b (B, D) with B >= 2. Ranges: temperature > 0, gamma >= 0. A zero row has similarity 0 to everything and a
zero gradient.

Source. Park, Han 2023, arXiv 2304.00719 (text-driven soft masks): the focal loss of Lin et al. 2017, arXiv 1708.02002,
eq. 4, for image-text contrast. No official code was found; gamma = 2 is Lin et al.'s, and that the weight is
differentiated, and the two directions averaged as in ALBEF (Li et al. 2021, arXiv 2107.07651, eq. 2), is our reading.
There are no queue and no soft targets of a momentum model here. ``kalm`` has a focal weight that is a constant.
"""

import math

from mini_repr.autograd import diagonal, exp, logsumexp, unit_rows
from mini_repr.backend import backend_of
from mini_repr.kernels.focal import focal
from mini_repr.kernels.log_sum_exp import similarity_logsumexp
from mini_repr.pages.arguments import NonNegative, Positive, Reduction, Rows, Tile, WithGradient
from mini_repr.pages.invariants import at_least, exact, permutation, rotation, row_scaling, swap
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

_SAME = {"a": [[1.0, 2.0]] * 4, "b": [[1.0, 2.0]] * 4}

_TEX = {
    "definition": r"""
L = -\frac{1}{2B} \sum_i \bigl[ (1 - p_i)^\gamma \log p_i + (1 - q_i)^\gamma \log q_i \bigr]

p_i = \frac{e^{s_{ii}/t}}{\sum_j e^{s_{ij}/t}}

q_i = \frac{e^{s_{ii}/t}}{\sum_j e^{s_{ji}/t}}
""",
    "gradient": r"""
G_{ij} = \frac{r_i}{2} f_i \, \bigl( P_{ij} - [i = j] \bigr) + \ldots

f_i = (1 - p_i)^\gamma - \gamma \, p_i \, (1 - p_i)^{\gamma - 1} \log p_i

\ldots: \text{likewise from the texts}
""",
}


@loss(
    paper="114",
    tex=_TEX,
    variants={
        "unweighted": variant("no focal weight: CLIP's loss", gamma=0.0),
        "sum": variant("summed over pairs instead of averaged", reduction="sum"),
    },
    invariants=[
        permutation("B"),
        rotation("D"),
        row_scaling("a", "b"),
        swap("a", "b"),
        at_least(0),
        exact("identical rows: p = 1/4 both ways", (3 / 4) ** 2 * math.log(4), **_SAME),
    ],
)
def focal_itc(
    a: Rows("B>=2 D"),
    b: Rows("B>=2 D"),
    temperature: WithGradient(Positive) = 0.1,
    gamma: NonNegative = 2.0,
    reduction: Reduction = "mean",
    tile: Tile = None,
):
    xp = backend_of(a).xp
    (u, to_a), (v, to_b) = unit_rows.on_arrays(a), unit_rows.on_arrays(b)
    scale = 1 / temperature
    partner = (u * v).sum(axis=1) * scale
    over, back = similarity_logsumexp.on_arrays(u, v, scale, columns=True, tile=tile, unit=True)
    of_images, of_texts = (focal(xp.maximum(sums - partner, 0), gamma) for sums in over)  # of -log p and -log q
    value, to_rows = reduce_rows((of_images.cost + of_texts.cost) / 2, reduction)

    def backward(g):
        r = to_rows(g) / 2
        on_images, on_texts = r * of_images.slope(), r * of_texts.slope()
        du, dv, d_scale = back((on_images, on_texts))
        both = on_images + on_texts
        pull = (both * scale)[:, None]
        du -= pull * v
        dv -= pull * u
        d_scale -= (both * partner).sum() / scale
        return to_a(du), to_b(dv), -d_scale * scale**2

    return value, backward


@definition(focal_itc)
def focal_itc_definition(a, b, temperature, gamma, reduction):
    logits = unit_rows(a) @ unit_rows(b).T / temperature

    def weighted(logits):
        cost = logsumexp(logits, axis=1) - diagonal(logits)
        return (1 - exp(-cost)) ** gamma * cost

    return reduced((weighted(logits) + weighted(logits.T)) / 2, reduction)
