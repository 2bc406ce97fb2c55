"""Prompt information: InfoNCE on scores that are given, of one positive against the negatives of its own row.

Definition. For row i with the positive's score f_i and those of its negatives, f_ik where ``mask`` has them (without a
mask all),

    l_i = -log( e^{f_i} / (e^{f_i} + sum_k e^{f_ik}) ),     L = mean_i l_i                (``reduction``)

``ceiling``: no l_i counts for more, and one above it has no gradient.

log(1 + K) - L of K negatives is a lower bound of the mutual information of what the scores compare: InfoPrompt raises
that of a soft prompt with the classes, and with what the encoder makes of a text.

Gradient. With p_ik the share of negative k in the sum, f_ik receives r p_ik and f_i receives -r sum_k p_ik, r the row's
weight in the reduction: each row's gradient sums to 0.

Shapes: positives (N,), negatives (N, K), mask (N, K) booleans. Equal scores give log(1 + K). A row without negatives
costs 0.

Source. Wu, Yu, Wang, Song, Zhang, Zhao, Lu, Li, Henao 2023, arXiv 2306.04933. JoshuaWu1997/infoprompt,
model/RoBertaPrompt.py, is ``official_code`` (its lines are repeated in a test): it clamps the logarithm at -2, so that
a row whose positive has a probability below e^-2 teaches nothing. Padding it takes out by subtracting 100 from its
scores.
"""

import math

from mini_repr.autograd import concatenate, logsumexp, relu, where
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Mask, Optional, Positive, Reduction, Rows
from mini_repr.pages.invariants import at_least, exact, permutation
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

_TEX = {
    "definition": r"""
L = -\frac{1}{N} \sum_i \log \frac{e^{f_i}}{e^{f_i} + \sum_k e^{f_{ik}}}
""",
    "gradient": r"""
\mathrm{d}f_{ik} = r_i \, p_{ik}

\mathrm{d}f_i = -r_i \sum_k p_{ik}
""",
}


@loss(
    paper="066",
    tex=_TEX,
    variants={
        "masked": variant("some negatives are padding", ["mask"]),
        "official_code": variant("no row counts for more than 2, and those that would have no gradient", ceiling=2.0),
        "sum": variant("summed over rows instead of averaged", reduction="sum"),
    },
    invariants=[
        permutation("N"),
        permutation("K"),
        at_least(0),
        exact("equal scores give log(1 + K)", math.log(4), positives=[2.0, -1.0], negatives=[[2.0] * 3, [-1.0] * 3]),
    ],
)
def prompt_information(
    positives: Rows("N"),
    negatives: Rows("N K"),
    mask: Optional(Mask("N K", may_be_empty=True)) = None,
    ceiling: Optional(Positive) = None,
    reduction: Reduction = "mean",
):
    xp = backend_of(positives).xp
    gaps = negatives - positives[:, None]
    if mask is not None:
        gaps = xp.where(mask, gaps, -xp.inf)
    top = xp.maximum(gaps.max(axis=1), 0)
    shares = xp.exp(gaps - top[:, None])
    total = xp.exp(-top) + shares.sum(axis=1)
    shares /= total[:, None]
    per_row, counting = top + xp.log(total), 1.0
    if ceiling is not None:
        counting = (per_row < ceiling)[:, None]
        per_row = xp.minimum(per_row, ceiling)
    value, to_rows = reduce_rows(per_row, reduction)

    def backward(g):
        pulled = to_rows(g)[:, None] * (counting * shares)
        return -pulled.sum(axis=1), pulled

    return value, backward


@definition(prompt_information)
def prompt_information_definition(positives, negatives, mask, ceiling, reduction):
    own = positives.reshape(-1, 1)
    xp = backend_of(positives.data).xp
    others = negatives if mask is None else where(mask, negatives, -xp.inf)
    per_row = logsumexp(concatenate(own, others, axis=1), axis=1) - positives
    return reduced(per_row if ceiling is None else ceiling - relu(ceiling - per_row), reduction)
