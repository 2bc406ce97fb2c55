"""SupCon: the rows of one's own class against all other rows.

Definition. With u_i = z_i/|z_i| (``normalize``), temperature t, A(i) all rows but i, P(i) those of them with i's label,

    p_ij = e^{u_i·u_j/t} / sum_{a in A(i)} e^{u_i·u_a/t}
    "out"  l_i = -1/|P(i)| sum_{p in P(i)} log p_ip        "in"  l_i = -log( 1/|P(i)| sum_{p in P(i)} p_ip )

and L = the mean of l_i over the anchors that have a positive (``mean_over="anchors"``). A row alone in its class is no
anchor: its l_i is 0, and it still serves as a negative. ``mean_over="rows"`` divides by all N rows. "in" <= "out" by
Jensen. ``base_temperature`` multiplies L by t / base_temperature.

Two views of a batch are 2N rows with the labels given twice. Every label different, each row has one positive, its
other view, and both forms are NT-Xent: ``infonce(a, b, negatives="views")``.

Gradient. With r_i the weight of anchor i, the logit of i and j receives r_i (p_ij - x_ij), where x_ij is, on P(i),
1/|P(i)| for "out" and the softmax over P(i) alone for "in", and 0 elsewhere. With G these numbers, du = (G + Gᵀ) u / t,
then dz = (du - u (u·du)) / |z|. The temperature receives -sum_ij G_ij u_i·u_j / t², and L / t through the factor. Tiles
of rows give value and gradient in O(N * tile) memory; the mean over positives needs the sums of the classes only.

Shapes: z (N, D), N >= 2; labels (N,), any integers. Ranges: temperature > 0. No two labels equal is an error. A zero
row has similarity 0 to everything and a zero gradient.

Source. Khosla et al. 2020, arXiv 2004.11362, eq. 2 ("out") and 3 ("in"), both written as sums over anchors; gradient
eq. 4 and 5; temperature 0.1 and the loss rescaled by t ("base_temperature" 1) in section 4.5.

Public implementations differ: the official PyTorch code (HobbitLong/SupContrast) has temperature and base_temperature
0.07, a mean over all rows, and NaN for a row alone in its class in its first versions; it does not normalise.
pytorch-metric-learning's SupConLoss is this page's default, and ``all_rows`` with its MeanReducer; its NTXentLoss given
class labels is neither form: the denominator of each pair leaves out the anchor's other positives.
"""

import math

from mini_repr.autograd import logsumexp, off_diagonal, unit_rows, where
from mini_repr.backend import backend_of
from mini_repr.kernels.class_sums import class_sums
from mini_repr.kernels.log_sum_exp import within_logsumexp
from mini_repr.pages.arguments import Choice, Flag, Labels, Optional, Positive, Reduction, Rows, Tile, WithGradient
from mini_repr.pages.invariants import at_least, exact, permutation, relabelling, rotation, row_scaling
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced, rows_of

_SAME = {"z": [[1.0, 2.0]] * 5, "labels": [0, 1, 0, 1, 1]}

_TEX = {
    "definition": r"""
p_{ij} = \frac{e^{u_i \cdot u_j / t}}{\sum_{a \in A(i)} e^{u_i \cdot u_a / t}}

\ell_i = -\frac{1}{|P(i)|} \sum_{p \in P(i)} \log p_{ip} \quad \text{(“out”)}

\ell_i = -\log \Bigl( \frac{1}{|P(i)|} \sum_{p \in P(i)} p_{ip} \Bigr) \quad \text{(“in”)}
""",
    "gradient": r"""
G_{ij} = r_i \, (p_{ij} - x_{ij})

x_{ij} = \frac{[j \in P(i)]}{|P(i)|} \quad \text{(“out”)}

x_{ij} = \frac{[j \in P(i)] \, p_{ij}}{\sum_{p \in P(i)} p_{ip}} \quad \text{(“in”)}

\mathrm{d}u = \frac{(G + G^\top) \, u}{t}

\mathrm{d}z = \frac{\mathrm{d}u - u \, (u \cdot \mathrm{d}u)}{\lVert z \rVert}
""",
}


@loss(
    paper=("093", "013"),
    tex=_TEX,
    variants={
        "in": variant("the mean over positives inside the logarithm", form="in"),
        "all_rows": variant("mean over all rows; one alone in its class counts 0", mean_over="rows"),
        "official_code": variant(
            "the factor t / 0.07 and a mean over all rows", base_temperature=0.07, mean_over="rows"
        ),
        "times_temperature": variant("rescaled by t, as the paper trains", base_temperature=1.0),
        "sum": variant("eq. 2 to the letter: summed over anchors", reduction="sum"),
        "raw_dot": variant("dot products of the rows as they are", normalize=False),
    },
    invariants=[
        permutation("N"),
        permutation("N", form="in"),
        rotation("D"),
        row_scaling("z"),
        relabelling(),
        at_least(0),
        exact("identical rows give log(N - 1)", math.log(4), **_SAME),
        exact("identical rows give log(N - 1) inside too", math.log(4), form="in", **_SAME),
    ],
)
def supcon(
    z: Rows("N>=2 D"),
    labels: Labels("N", stays=True),
    temperature: WithGradient(Positive) = 0.1,
    form: Choice("out", "in") = "out",
    normalize: Flag = True,
    base_temperature: Optional(Positive) = None,
    mean_over: Choice("anchors", "rows") = "anchors",
    reduction: Reduction = "mean",
    tile: Tile = None,
):
    backend = backend_of(z)
    xp = backend.xp
    _, kind, members = backend_of(labels).xp.unique(labels, return_inverse=True, return_counts=True)
    positives = (members[kind] - 1).astype(z.dtype)  # |P(i)|
    anchors = int((positives > 0).sum())
    if not anchors:
        raise ValueError(f"supcon: labels: got {len(z)} different ones, expected two that are equal")
    kind, positives = backend.asarray(kind), backend.asarray(positives)
    u, to_z = rows_of(z, normalize)
    scale = 1 / temperature

    # l_i = log-sum-exp over A(i) - the mean logit over P(i) ("out"), or the log of their mean e^logit ("in").
    over_all, back_all = within_logsumexp.on_arrays(u, scale, tile=tile, unit=normalize)
    if form == "out":
        over_positives, back_positives = _mean_logit(u, kind, positives, scale)
    else:
        over_positives, back_positives = within_logsumexp.on_arrays(u, scale, tile=tile, same=kind, unit=normalize)
        over_positives = xp.where(positives > 0, over_positives - xp.log(xp.maximum(positives, 1)), 0)

    weight = (positives > 0).astype(z.dtype)
    if reduction == "mean" and mean_over == "anchors":
        weight *= len(z) / anchors
    if base_temperature is not None:
        weight *= temperature / base_temperature
    per_row = (over_all - over_positives) * weight
    value, to_rows = reduce_rows(per_row, reduction)

    def backward(g):
        r = to_rows(g) * weight
        # (G + Gᵀ) u / t with G = r (p - x): the first sum gives p, the second x.
        du, d_scale = back_all(r)
        du_positives, d_scale_positives = back_positives(r)
        du -= du_positives
        d_temperature = (d_scale_positives - d_scale) * scale**2
        if base_temperature is not None:
            d_temperature += (to_rows(g) * per_row).sum() * scale
        return to_z(du), d_temperature

    return value, backward


def _mean_logit(u, kind, positives, scale):
    """Each row's mean logit with its positives (0 without any), and its backward: to u and the scale."""
    share = 1 / backend_of(u).xp.maximum(positives, 1)  # 1 / |P(i)|

    def sum_over_positives(rows):
        return class_sums.on_arrays(rows, kind)[0] - rows

    centre = sum_over_positives(u) * (share * (positives > 0))[:, None]
    logit = (u * centre).sum(axis=1) * scale

    def backward(r):
        du = r[:, None] * centre + sum_over_positives((r * share)[:, None] * u)
        du *= scale
        return du, (r * logit).sum() / scale

    return logit, backward


@definition(supcon)
def supcon_definition(z, labels, temperature, form, normalize, base_temperature, mean_over, reduction):
    xp = backend_of(labels).xp
    u = unit_rows(z) if normalize else z
    positive = off_diagonal.on_arrays(labels[:, None] == labels)[0]
    count = xp.maximum(positive.sum(axis=1), 1)
    logits = off_diagonal(u @ u.T) / temperature
    log_p = logits - logsumexp(logits, axis=1, keepdims=True)
    if form == "out":
        per_row = -(positive * log_p).sum(axis=1) / count
    else:
        per_row = xp.log(count) - logsumexp(where(positive, log_p, -math.inf), axis=1)
    per_row = where(positive.any(axis=1), per_row, 0)
    if base_temperature is not None:
        per_row = per_row * (temperature / base_temperature)
    if reduction == "mean" and mean_over == "anchors":
        return per_row.sum() / positive.any(axis=1).sum()
    return reduced(per_row, reduction)
