"""SCoRe, graph cut: little similarity across the borders of classes, much within.

Definition. With u_i = z_i/|z_i| (``normalize``), s_ij = u_i·u_j / temperature, P(i) the other rows of i's label, N(i)
the rows of other labels, V all rows and A_k those of class k, the set function graph cut is
f(A) = sum_{i in V, j in A} s_ij - balance sum_{i, j in A} s_ij. As loss, with the class sets as its sets,

    total information   S_f = sum_k f(A_k)        = sum_i push_i + (1 - balance) pull_i
    total correlation   C_f = sum_k f(A_k) - f(V) = sum_i balance push_i
    push_i = sum_{n in N(i)} s_in        pull_i = sum_{p in P(i)} s_ip

up to the s_ii, a constant for unit rows. L = the mean over rows (``reduction``; "sum" is the set function itself).
balance > 1 makes S_f attract the rows of a class. ``average`` takes means for the sums over P(i) and N(i). ``push`` may
be a log-sum-exp instead of the sum: "soft_negatives" over N(i), "soft_all" over all other rows. So known losses are
instances: "soft_all" with averages and balance 2 is SupCon, and on raw rows, two per class, N-pairs; averages alone
are, where all classes are of one size, the orthogonal projection loss with weight 1 (but for its constant 1 and, in
some codes, the absolute value of the mean push); that loss takes one mean over all pairs, its authors' weight is 0.5.

Gradient. Let p_i and q_i be the weights of row i's push and pull in the reduction, over |N(i)| and |P(i)| with
``average``. Sums run through class sums: du_i = (p_i sum_{N(i)} u_n + sum_{N(i)} p_n u_n) / t, and alike for pulls, in
O(N D). Log-sum-exps run in tiles of O(N * tile) memory, with the softmax for weights. dz = (du - u (u·du)) / |z|.

Shapes: z (N, D), N >= 2; labels (N,), any integers. Ranges: balance >= 0, temperature > 0. An empty P(i) or N(i) gives
0. A zero row has similarity 0 to everything and a zero gradient.

Source. Majee et al. 2023, arXiv 2310.00165: total information and total correlation of class sets, with facility
location, graph cut and log-determinant, and SupCon, N-pairs and orthogonal projection (Ranasinghe et al. 2021, arXiv
2103.14021) as instances; only the abstract was read for this page, the set function is that of submodlib's
documentation. The official code (amajee11us/SCoRe, GraphCut) divides C_f's push by |P(i)| and replaces S_f by
a log of the ratio of the two sums, which needs similarities above 0; both times temperature / 0.07. Its training script
takes cosines, balance 1 and temperature 0.07; the class's own defaults are 0.5 and 0.7. Balance 2, with which S_f pulls
as it pushes, and temperature 1 are this page's.
"""

import math

from mini_repr.autograd import logsumexp, unit_rows, where
from mini_repr.backend import backend_of
from mini_repr.kernels.class_sums import class_sums
from mini_repr.kernels.log_sum_exp import within_logsumexp
from mini_repr.pages.arguments import Choice, Flag, Labels, NonNegative, Positive, Reduction, Rows, Tile
from mini_repr.pages.invariants import exact, permutation, relabelling, rotation, row_scaling
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced, rows_of

_SAME = {"z": [[1.0, 2.0]] * 5, "labels": [0, 0, 1, 1, 1]}

_TEX = {
    "definition": r"""
S_f = \sum_i \Bigl( \sum_{n \in N(i)} s_{in} + (1 - \lambda) \sum_{p \in P(i)} s_{ip} \Bigr)

C_f = \lambda \sum_i \sum_{n \in N(i)} s_{in}

s_{ij} = \frac{u_i \cdot u_j}{t}
""",
    "gradient": r"""
\mathrm{d}u_i = \frac{1}{t} \Bigl( p_i \sum_{n \in N(i)} u_n + \sum_{n \in N(i)} p_n u_n \Bigr) + \ldots

\ldots: \text{alike for the pulls, over } P(i)
""",
}


@loss(
    paper="090",
    tex=_TEX,
    variants={
        "correlation": variant("total correlation, balance 0.5: pushes only", form="correlation", balance=0.5),
        "supcon": variant("SupCon as a graph cut", push="soft_all", average=True, temperature=0.1),
        "n_pairs": variant(
            "N-pairs: raw dot products, two rows per class", push="soft_all", average=True, normalize=False
        ),
        "orthogonal_projection": variant("means within and across classes", average=True),
        "submodular_supcon": variant("the negatives alone in the log", push="soft_negatives", temperature=0.1),
        "sum": variant("the set function itself: summed over rows", reduction="sum"),
    },
    invariants=[
        permutation("N"),
        rotation("D"),
        row_scaling("z"),
        relabelling(),
        exact("identical rows: 2 * 2 * 3 across less 2 * 1 + 3 * 2 within, over 5", 0.8, **_SAME),
        exact("the cut alone", 0.5 * 12 / 5, form="correlation", balance=0.5, **_SAME),
        exact("means cancel", 0.0, average=True, **_SAME),
        exact("log of all 4 others, less a mean", math.log(4), average=True, push="soft_all", **_SAME),
    ],
)
def score_graph_cut(
    z: Rows("N>=2 D"),
    labels: Labels("N", stays=True),
    balance: NonNegative = 2.0,
    form: Choice("information", "correlation") = "information",
    push: Choice("sum", "soft_negatives", "soft_all") = "sum",
    average: Flag = False,
    temperature: Positive = 1.0,
    normalize: Flag = True,
    reduction: Reduction = "mean",
    tile: Tile = None,
):
    backend = backend_of(z)
    xp = backend.xp
    u, to_z = rows_of(z, normalize)
    counted = backend_of(labels).xp.unique(labels, return_inverse=True, return_counts=True)[1:]
    kind, members = map(backend.asarray, counted)
    positives, negatives = members[kind] - 1, len(z) - members[kind]
    push_weight, pull_weight = (balance, 0) if form == "correlation" else (1, 1 - balance)
    pull_share = push_share = 1 / temperature
    if average:
        pull_share, push_share = (
            (1 / (temperature * xp.maximum(n, 1))).astype(z.dtype)[:, None] for n in (positives, negatives)
        )

    def sums_of(rows):
        """Each row's sum over its class, without the row itself, and over all other classes."""
        own = class_sums.on_arrays(rows, kind)[0]
        return own - rows, rows.sum(axis=0) - own

    within, across = sums_of(u)
    per_row = (pull_weight * pull_share * within * u).sum(axis=1)
    if push == "sum":
        per_row += (push_weight * push_share * across * u).sum(axis=1)
    else:
        apart = kind if push == "soft_negatives" else None
        over, back = within_logsumexp.on_arrays(u, 1 / temperature, tile=tile, apart=apart, unit=normalize)
        per_row += push_weight * xp.where(xp.isfinite(over), over, 0)
    value, spread = reduce_rows(per_row, reduction)

    def backward(g):
        r = spread(g)[:, None]
        pulls = r * (pull_weight * pull_share)
        g_u = pulls * within
        g_u += sums_of(pulls * u)[0]
        if push == "sum":
            pushes = r * (push_weight * push_share)
            g_u += pushes * across
            g_u += sums_of(pushes * u)[1]
        else:
            g_u += back(r[:, 0] * push_weight)[0]
        return (to_z(g_u),)

    return value, backward


@definition(score_graph_cut)
def score_graph_cut_definition(z, labels, balance, form, push, average, temperature, normalize, reduction):
    xp = backend_of(labels).xp
    u = unit_rows(z) if normalize else z
    s = u @ u.T / temperature
    same, numbers = labels[:, None] == labels, xp.arange(len(labels))
    positive, negative = same & (numbers[:, None] != numbers), ~same

    def over(pairs):
        return (s * pairs).sum(axis=1) / (xp.maximum(pairs.sum(axis=1), 1) if average else 1)

    if push == "sum":
        pushes = over(negative)
    else:
        candidates = negative if push == "soft_negatives" else negative | positive
        pushes = where(candidates.any(axis=1), logsumexp(where(candidates, s, -math.inf), axis=1), 0)
    per_row = balance * pushes if form == "correlation" else pushes + (1 - balance) * over(positive)
    return reduced(per_row, reduction)
