"""InfoNCE: tell each row's partner from every other row.

Definition. With u_i = a_i/|a_i|, v_i = b_i/|b_i| (``normalize``), s_ij = u_i·v_j, temperature t and B rows per view,

    l(a_i) = -log( e^{s_ii/t} / sum_{c in C_i} e^{s_ic/t} ),      L = mean_i [ l(a_i) + l(b_i) ] / 2

where ``negatives`` says what the candidates C_i of an anchor a_i are, besides its partner b_i:

    "batch"   the other rows of b                                  (B candidates)
    "views"   the other rows of b and the other rows of a: NT-Xent (2B - 1 candidates; an anchor never meets itself)
    "queue"   the rows of ``queue``, not those of the batch: MoCo  (1 + K candidates)

``hard_negatives``, such as one mined negative per pair, are candidates of every anchor a_i beside these, and of no b_i:
they stand on the side of b.

``symmetric=False`` keeps the anchors a_i only. ``decoupled`` leaves the partner out of the sum (DCL): L can then be
negative, and no gradient weakens as the positive is learnt. ``reduction="none"`` gives one value per pair.

Gradient. With P_ic the softmax over C_i and r_i the weight of anchor i in the reduction, the logits s/t receive
G_ic = r_i (P_ic - [c = i]). Summed over the anchors of both views, du = G v / t and dv = Gᵀ u / t; then
da = (du - u (u·du)) / |a|, so that a·da = 0. The temperature receives dt = -sum_ic G_ic s_ic / t^2.
The similarity matrix is never stored: tiles of rows give value and gradient in O(B * tile) memory.

Shapes: a, b (B, D) with B >= 2; queue (K, D), never differentiated; hard_negatives (M, D), the h_k of similarity
u_i·h_k/|h_k|, whose gradient is that of any other candidate. Ranges: temperature > 0 (papers: 0.07 to 0.5).
A zero row has similarity 0 to everything and a zero gradient.

Source. van den Oord, Li, Vinyals 2018, arXiv 1807.03748, eq. 4; the form on unit rows with temperature and its
analysis: Wang, Liu 2021, arXiv 2012.09740, eq. 1. NT-Xent: Chen et al. 2020, arXiv 2002.05709, eq. 1. CLIP's two
directions: Radford et al. 2021, arXiv 2103.00020, figure 3. Queue: He et al. 2020, arXiv 1911.05722, eq. 1.
Decoupled: Yeh et al. 2021, arXiv 2110.06848, section 3.

Public implementations differ in what the negatives are, whether one direction or both count, sum or mean, and whether
the partner stands in the denominator. Some remove the self pair by subtracting e^{1/t} from the sum: the value is
right, but a gradient leaks through the self-similarity. MoCo v3's code multiplies by 2t. open_clip's ClipLoss is this
page's default; NTXentLoss of lightly and of pytorch-metric-learning are variant ``nt_xent``, with lightly's memory bank
``moco``, with the latter's ``ref_emb`` ``one_direction``; lightly's DCLLoss is ``decoupled``; sentence-transformers'
MultipleNegativesRankingLoss is ``hard_negatives``, at its temperature 1/scale = 0.05, its further columns joined.
"""

import math

from mini_repr.autograd import concatenate, logsumexp, off_diagonal, unit_rows
from mini_repr.kernels.log_sum_exp import candidate_logsumexp
from mini_repr.pages.arguments import Choice, Flag, Optional, Positive, Reduction, Rows, Tile, WithGradient
from mini_repr.pages.invariants import at_least, exact, permutation, rotation, row_scaling
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced, rows_of

_QUEUE_RULE = "a queue with negatives='queue' and none otherwise"
_SAME = {"a": [[1.0, 2.0]] * 4, "b": [[1.0, 2.0]] * 4}

_TEX = {
    "definition": r"""
\ell(a_i) = -\log \frac{e^{s_{ii}/t}}{\sum_{c \in C_i} e^{s_{ic}/t}}

s_{ij} = \frac{a_i \cdot b_j}{\lVert a_i \rVert \, \lVert b_j \rVert}

L = \frac{1}{2B} \sum_i \bigl[ \ell(a_i) + \ell(b_i) \bigr]
""",
    "gradient": r"""
P_{ic} = \frac{e^{s_{ic}/t}}{\sum_{k \in C_i} e^{s_{ik}/t}}

G_{ic} = r_i \, \bigl( P_{ic} - [c = i] \bigr)

\mathrm{d}u = \frac{G v}{t}

\mathrm{d}v = \frac{G^\top u}{t}

\mathrm{d}a = \frac{\mathrm{d}u - u \, (u \cdot \mathrm{d}u)}{\lVert a \rVert}

\mathrm{d}t = -\frac{1}{t^2} \sum_{i,c} G_{ic} \, s_{ic}
""",
}


@loss(
    paper=("092", "028"),
    tex=_TEX,
    variants={
        "nt_xent": variant("SimCLR: negatives from both views, 2B - 1 candidates", negatives="views"),
        "one_direction": variant("anchors in a only: CPC, DPR and many retrieval codes", symmetric=False),
        "moco": variant("one direction, negatives from a queue only", ["queue"], negatives="queue", symmetric=False),
        "hard_negatives": variant("anchors in a, further negatives", ["hard_negatives"], symmetric=False),
        "decoupled": variant("DCL: the partner is left out of the denominator", negatives="views", decoupled=True),
        "sum": variant("summed over pairs instead of averaged", reduction="sum"),
        "raw_dot": variant("dot products of the rows as they are", normalize=False),
    },
    invariants=[
        permutation("B"),
        rotation("D"),
        row_scaling("a", "b"),
        at_least(0),
        exact("identical rows give log B", math.log(4), **_SAME),
        exact("identical rows give log(2B - 1) for NT-Xent", math.log(7), negatives="views", **_SAME),
    ],
)
def infonce(
    a: Rows("B>=2 D"),
    b: Rows("B>=2 D"),
    temperature: WithGradient(Positive) = 0.1,
    queue: Optional(Rows("K D", frozen=True)) = None,
    hard_negatives: Optional(Rows("M D")) = None,
    negatives: Choice("batch", "views", "queue") = "batch",
    symmetric: Flag = True,
    decoupled: Flag = False,
    normalize: Flag = True,
    reduction: Reduction = "mean",
    tile: Tile = None,
):
    if (negatives == "queue") != (queue is not None):
        came = "no queue" if queue is None else "a queue"
        raise ValueError(f"infonce: queue: got {came}, expected {_QUEUE_RULE}; negatives is {negatives!r}")
    (u, to_a), (v, to_b) = rows_of(a, normalize), rows_of(b, normalize)
    keys = queue if queue is None else rows_of(queue, normalize)[0]
    hard, to_hard = (None, None) if hard_negatives is None else rows_of(hard_negatives, normalize)

    # l = the log-sum-exp over the candidates - the partner's logit: of the anchors in a and, symmetric, of those in b.
    scale = 1 / temperature
    over, back = candidate_logsumexp.on_arrays(
        u,
        v,
        scale,
        hard,
        among=negatives,
        queue=keys,
        symmetric=symmetric,
        partner=not decoupled,
        tile=tile,
        unit=normalize,
    )
    partner = (u * v).sum(axis=1) * scale
    per_pair = (over.rows + over.columns) / 2 - partner if symmetric else over.rows - partner
    value, to_rows = reduce_rows(per_pair, reduction)

    def backward(g):
        r = to_rows(g)
        # With G = r (P - [c = i]), du = G v / t: the kernel gives the part of r P, the partner's part is -r v / t.
        du, dv, d_scale, *d_hard = back((r / 2, r / 2) if symmetric else (r, None))
        pull = (r * scale)[:, None]
        du -= pull * v
        dv = -pull * u if dv is None else dv - pull * u  # decoupled, in one direction, b is only the partner
        d_scale -= (r * partner).sum() / scale
        return to_a(du), to_b(dv), -d_scale * scale**2, to_hard(*d_hard) if d_hard else None

    return value, backward


@definition(infonce)
def infonce_definition(a, b, temperature, queue, hard_negatives, negatives, symmetric, decoupled, normalize, reduction):
    u, v, keys, hard = (x if x is None or not normalize else unit_rows(x) for x in (a, b, queue, hard_negatives))

    def over(anchors, partners, further=()):
        own = (anchors * partners).sum(axis=1, keepdims=True)
        others = {
            "batch": lambda: [off_diagonal(anchors @ partners.T)],
            "views": lambda: [off_diagonal(anchors @ partners.T), off_diagonal(anchors @ anchors.T)],
            "queue": lambda: [anchors @ keys.T],
        }[negatives]()
        candidates = concatenate(*others if decoupled else [own, *others], *further, axis=1)
        return logsumexp(candidates / temperature, axis=1) - own[:, 0] / temperature

    over_a = over(u, v, () if hard is None else (u @ hard.T,))
    per_pair = (over_a + over(v, u)) / 2 if symmetric else over_a
    return reduced(per_pair, reduction)
