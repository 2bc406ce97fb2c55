"""Number token loss: cross-entropy that knows which wrong numbers are nearly right.

Definition. Of C tokens some are numbers (``is_number``), token k of the value v_k (``values``; the others' are not
looked at). Let p be the softmax of a row's scores over all tokens, and u the softmax over the number tokens only.
With the label y, R the rows of which y is a number, and the ``weight`` of the second term,

    L = mean over all rows of -log p_y  +  weight * mean over the rows R of T,

    "was"   T = sum_k u_k |v_k - v_y|        Wasserstein-1 distance from u to the point v_y
    "mse"   T = (sum_k u_k v_k - v_y)²       squared error of the expected value
    "mae"   T = |sum_k u_k v_k - v_y|

"mse" and "mae" are 0 also where mistakes on both sides cancel; "was" is 0 only where u is sure of v_y. A batch without
a number among its labels has the cross-entropy alone. ``reduction="none"`` gives rows whose mean is L, so that a row of
R carries its T times B / |R|; "sum" is B times the mean.

Gradient. The scores receive r (p - [k = y]) and, on number tokens in rows of R, r weight B/|R| dT with
dT/dscore_k = u_k (|v_k - v_y| - T) for "was" and u_k (v_k - v) t for the others, v = sum u_k v_k their expected value
and t = 2 (v - v_y) or sign(v - v_y); r is the row's weight in the reduction.

Shapes: scores (B, C), C >= 2; labels (B,) from 0 to C - 1; values (C,) and is_number (C,), at least one True, neither
differentiated; ``value_and_grad`` wants all values finite. Ranges: weight >= 0. ``terms`` holds both means.

Source. Zausinger et al. 2024, arXiv 2411.02083; weight 0.3 and "was" are the defaults of its code
(tum-ai/number-token-loss; there the term can also be had without the cross-entropy, and digits are the number tokens).
An earlier version of that code sums the differences of distribution functions without the steps between values: equal
to "was" only where neighbouring numbers differ by 1.
"""

import math

from mini_repr.autograd import absolute, log_softmax, softmax
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Choice, Labels, Mask, NonNegative, Reduction, Rows
from mini_repr.pages.invariants import at_least, constant_shift, exact, permutation
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

_TEX = {
    "definition": r"""
L = -\frac{1}{B} \sum_i \log p_{i y_i} + \frac{\lambda}{|R|} \sum_{i \in R} T_i

T_\mathrm{was} = \sum_k u_k \, |v_k - v_y|

T_\mathrm{mse} = \Bigl( \sum_k u_k v_k - v_y \Bigr)^2

T_\mathrm{mae} = \Bigl| \sum_k u_k v_k - v_y \Bigr|
""",
    "gradient": r"""
\frac{\mathrm{d}T_\mathrm{was}}{\mathrm{d}s_k} = u_k \, \bigl( |v_k - v_y| - T \bigr)

\frac{\mathrm{d}T_\mathrm{mse}}{\mathrm{d}s_k} = 2 \, u_k \, (v_k - \bar v) \, (\bar v - v_y)

\bar v = \sum_k u_k v_k
""",
}


@loss(
    paper="012",
    tex=_TEX,
    variants={
        "mse": variant("NTL-MSE: squared error of the expected value", distance="mse"),
        "mae": variant("absolute error of the expected value, an option of the paper's code", distance="mae"),
        "sum": variant("summed over rows instead of averaged", reduction="sum"),
    },
    invariants=[
        permutation("B"),
        permutation("B", reduction="sum"),
        constant_shift("scores"),
        at_least(0),
        exact(
            "half on a number 4 away",
            math.log(2) + 0.5 * 2,
            scores=[[-1e3, 0.0, 0.0]] * 2,
            labels=[1, 2],
            values=[9.0, 1.0, 5.0],
            is_number=[False, True, True],
            weight=0.5,
        ),
    ],
)
def number_token_loss(
    scores: Rows("B C>=2"),
    labels: Labels("B", classes="C"),
    values: Rows("C", frozen=True),
    is_number: Mask("C", stays=True),
    weight: NonNegative = 0.3,
    distance: Choice("was", "mse", "mae") = "was",
    reduction: Reduction = "mean",
):
    backend = backend_of(scores)
    xp = backend.xp
    numbers = backend.asarray(backend_of(is_number).xp.flatnonzero(is_number))
    is_number = backend.asarray(is_number)
    own = (xp.arange(len(labels)), labels)
    values = xp.where(is_number, values, 0)
    log_p, to_scores = log_softmax.on_arrays(scores)
    counted = is_number[labels]
    v = values[numbers]
    u, to_number_scores = softmax.on_arrays(scores[:, numbers])
    if distance == "was":
        gaps = xp.abs(v - values[labels][:, None])  # |v_k - v_y|
        far = (u * gaps).sum(axis=1)
        slope = gaps
    else:
        miss = u @ v - values[labels]
        far = miss * miss if distance == "mse" else xp.abs(miss)
        slope = (2 * miss if distance == "mse" else xp.sign(miss))[:, None] * v
    share = counted.astype(scores.dtype)
    share *= weight * len(labels) / xp.maximum(counted.sum(), 1)
    value, spread = reduce_rows(share * far - log_p[own], reduction)

    def backward(g):
        r = spread(g)
        g_log_p = xp.zeros_like(scores)
        g_log_p[own] = -r
        g_scores = to_scores(g_log_p)
        g_scores[:, numbers] += to_number_scores((r * share)[:, None] * slope)
        return (g_scores,)

    number_rows = xp.maximum(counted.sum(), 1)
    terms = {"cross_entropy": -log_p[own].mean(), "number_token": (counted * far).sum() / number_rows}
    return value, backward, terms


@definition(number_token_loss)
def number_token_loss_definition(scores, labels, values, is_number, weight, distance, reduction):
    xp = backend_of(labels).xp
    numbers = xp.nonzero(is_number)[0]
    values = xp.where(is_number, values, 0)
    u = softmax(scores[:, numbers])
    target = values[labels]
    if distance == "was":
        far = (u * xp.abs(values[numbers] - target[:, None])).sum(axis=1)
    else:
        miss = (u * values[numbers]).sum(axis=1) - target
        far = miss * miss if distance == "mse" else absolute(miss)
    counted = is_number[labels]
    share = counted * (weight * len(labels) / max(int(counted.sum()), 1))
    cross_entropy = -log_softmax(scores)[xp.arange(len(labels)), labels]
    return reduced(cross_entropy + share * far, reduction)
