"""Circle: push each similarity by how far it still is from its optimum.

Definition. With u_i = z_i/|z_i| (``normalize``), s_ij = u_i·u_j, margin m and scale g, an anchor i, its positives p
(other rows of its label) and its negatives n (rows of other labels)

    l_i = log( 1 + sum_n e^{g a_n (s_in - m)} sum_p e^{-g a_p (s_ip - (1 - m))} ),
    a_n = [s_in + m]_+,    a_p = [1 + m - s_ip]_+,    both constants for the gradient,

and L = the mean of l_i over the anchors that have a positive and a negative; others have l_i = 0 and still serve as
negatives. ``over="batch"`` takes one l for all pairs i < j, the same for every row. ``weighted=False`` sets all weights
to 1: the unified loss log(1 + sum_n sum_p e^{g (s_in - s_ip + m')}) with m' = 1 - 2m. That is a smooth triplet loss:
l_i / g tends to [max s_n - min s_p + m']_+ as g grows. With class vectors for the other rows it is AM-Softmax: see
``circle_scores``.

Gradient. With x = s for negatives and 1 - s for positives, both logits are g (y² - m²), y = max(x, -m), of slope w = g
(y + m) in x with the weights as constants. Let P_i, N_i be the two log-sum-exps and q = sigmoid(P_i + N_i). Negative
s_in receives r_i q e^{logit - N_i} w and positive s_ip -r_i q e^{logit - P_i} w, r_i being the anchor's weight in the
reduction. With G these numbers, du = (G + Gᵀ) u and dz = (du - u (u·du)) / |z|. Rows are sorted by class, so that the
positives of a tile of rows lie side by side; tiles give value and gradient in O(N * tile) memory.

Shapes: z (N, D), N >= 3; labels (N,), any integers, two of them equal and two different. Ranges: 0 <= margin <= 1,
scale > 0. A zero row has similarity 0 to everything and a zero gradient.

Source. Sun et al. 2020, arXiv 2002.10857: unified loss in section 2, weights and margins in section 3; for pairs margin
0.4 and scale 80 (retrieval), for class vectors 0.25 and 256. Public codes differ in what one logarithm spans:
pytorch-metric-learning's CircleLoss takes one per anchor (this page's default); TinyZeaMays/CircleLoss and its many
copies one per batch (variant ``one_for_all``; some count a pair as (i, j) and (j, i), a factor 4 in the product of the
sums). TinyZeaMays also finds the sign of eq. 10, the paper's gradient for s_p, to be a slip. mangye16/ReID-Survey
leaves masked pairs in the sums with s = 0.
"""

import math

from mini_repr.autograd import logsumexp, maximum, softplus, stop_gradient, unit_rows, where
from mini_repr.backend import backend_of
from mini_repr.kernels.class_log_sum_exp import class_logsumexp
from mini_repr.pages.arguments import Choice, Flag, Fraction, Labels, Positive, Reduction, Rows, Tile
from mini_repr.pages.invariants import at_least, exact, permutation, relabelling, rotation, row_scaling
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced, rows_of

_SAME = {"z": [[1.0, 2.0]] * 5, "labels": [0, 0, 1, 1, 1]}

_TEX = {
    "definition": r"""
\ell_i = \log \Bigl( 1 + \sum_n e^{\gamma a_n (s_{in} - m)} \sum_p e^{-\gamma a_p (s_{ip} - (1 - m))} \Bigr)

a_n = [s_{in} + m]_+

a_p = [1 + m - s_{ip}]_+

L = \frac{1}{|A|} \sum_{i \in A} \ell_i

A: \text{anchors with a positive and a negative}
""",
    "gradient": r"""
\mathrm{d}s_{in} = r_i \, q_i \, P_{in} \, \gamma \, a_n

\mathrm{d}s_{ip} = -r_i \, q_i \, P_{ip} \, \gamma \, a_p

q_i = 1 - e^{-\ell_i}

P_{in}, P_{ip}: \text{softmax of the logits over negatives, over positives}
""",
}


@loss(
    paper="040",
    tex=_TEX,
    variants={
        "one_for_all": variant("one logarithm over all pairs of the batch, as most public codes", over="batch"),
        "face": variant("the paper's setting for faces and re-identification", margin=0.25, scale=256.0),
        "unified": variant("all weights 1: a smooth triplet loss with margin 0.2", weighted=False, margin=0.4),
        "sum": variant("summed over anchors", reduction="sum"),
        "raw_dot": variant("dot products of the rows as they are", normalize=False, scale=1.0),
    },
    invariants=[
        permutation("N"),
        permutation("N", over="batch"),
        rotation("D"),
        row_scaling("z"),
        relabelling(),
        at_least(0, scale=5.0),
        exact(
            "identical rows, unit weights: log(1 + (N - n)(n - 1) e^{g m'})",
            (2 * (math.log1p(3 * math.e)) + 3 * math.log1p(4 * math.e)) / 5,
            weighted=False,
            margin=0.0,
            scale=1.0,
            **_SAME,
        ),
        exact("no weight past the optimum", math.log(2), z=[[1.0, 0], [1, 0], [-1, 0]], labels=[0, 0, 1], margin=0.0),
    ],
)
def circle(
    z: Rows("N>=3 D"),
    labels: Labels("N", stays=True),
    margin: Fraction = 0.4,
    scale: Positive = 80.0,
    over: Choice("anchor", "batch") = "anchor",
    weighted: Flag = True,
    normalize: Flag = True,
    reduction: Reduction = "mean",
    tile: Tile = None,
):
    backend, label_xp = backend_of(z), backend_of(labels).xp
    xp = backend.xp
    order = label_xp.argsort(labels)
    kind = labels[order]
    members = label_xp.searchsorted(kind, kind, side="right") - label_xp.searchsorted(kind, kind)
    largest = int(members.max())
    if largest in (1, len(z)):
        came = "no two equal" if largest == 1 else "all equal"
        raise ValueError(f"circle: labels: got {came}, expected two equal and two different ones")
    anchor = members > 1
    anchors = int(anchor.sum())
    order, anchor = backend.asarray(order), backend.asarray(anchor)
    u, to_z = rows_of(z, normalize)
    (over_n, over_p), back = class_logsumexp.on_arrays(u[order], kind, margin, scale, weighted, tile)  # N_i, P_i

    if over == "anchor":
        weight = (anchor * (len(u) / anchors if reduction == "mean" else 1.0)).astype(u.dtype)
        cost, to_sums = softplus.on_arrays(over_n + over_p)
        per_row = xp.empty_like(cost)
        per_row[order] = cost * weight
    else:
        shares, totals = zip(*(_shares(xp, x) for x in (over_n, over_p)), strict=True)
        cost, to_sums = softplus.on_arrays(totals[0] + totals[1] - 2 * math.log(2))  # a pair stands in two rows
        per_row = cost + xp.zeros(len(u), dtype=u.dtype)
    value, to_rows = reduce_rows(per_row, reduction)

    def backward(g):
        if over == "anchor":
            g_n = g_p = to_sums(to_rows(g)[order] * weight)  # r_i q
        else:
            g_n, g_p = (to_sums(to_rows(g).sum()) * share for share in shares)
        du = xp.empty_like(u)
        du[order] = back((g_n, g_p))
        return (to_z(du),)

    return value, backward


def _shares(xp, sums):
    """softmax (N,) and log-sum-exp of finite numbers and -inf."""
    top = sums.max()
    shares = xp.exp(sums - top)
    total = shares.sum()
    return shares / total, top + xp.log(total)


@definition(circle)
def circle_definition(z, labels, margin, scale, over, weighted, normalize, reduction):
    xp = backend_of(labels).xp
    u = unit_rows(z) if normalize else z
    s = u @ u.T
    same, numbers = labels[:, None] == labels, xp.arange(len(labels))
    positive, negative = same & (numbers[:, None] != numbers), ~same
    if over == "batch":
        positive, negative = (pairs & (numbers[:, None] < numbers) for pairs in (positive, negative))
    weight_p, weight_n = 1, 1
    if weighted:
        weight_p, weight_n = maximum(stop_gradient(1 + margin - s), 0), maximum(stop_gradient(s + margin), 0)
    logit_p = where(positive, -scale * weight_p * (s - (1 - margin)), -math.inf)
    logit_n = where(negative, scale * weight_n * (s - margin), -math.inf)
    if over == "batch":
        return reduced(softplus(logsumexp(logit_n) + logsumexp(logit_p)) * xp.ones(len(labels)), reduction)
    anchors = positive.any(axis=1)
    per_row = where(anchors, softplus(logsumexp(logit_n, axis=1) + logsumexp(logit_p, axis=1)), 0)
    return per_row.sum() / anchors.sum() if reduction == "mean" else reduced(per_row, reduction)
