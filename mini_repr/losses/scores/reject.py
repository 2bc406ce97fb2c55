"""Rejection loss: learn when a fixed predictor should abstain, at a cost for each abstention.

Definition. A rejector gives each input a score s_i: s_i > 0 accepts the fixed predictor's answer, s_i <= 0 rejects it.
An accepted wrong answer costs 1, a rejection the ``cost`` c. With a_i = 1 where ``predictions`` equal ``labels`` and -1
elsewhere, the surrogate of that is

    L = Phi(alpha/2 (s_i - a_i)) + c Phi(-beta s_i),     averaged over rows (``reduction``),

Phi(u) = e^u ("exponential") or log2(1 + e^u) ("logistic"): both convex, increasing and at least 1 for u >= 0, so that L
is never below what it stands for. With eta = P(a = 1 | input), acceptance is right exactly where 1 - eta < c. The least
conditional risk lies at s > 0 exactly where its slope at s = 0 is negative, and that is so exactly where 1 - eta < c if

    beta = alpha (c Phi'(alpha/2) + (1 - c) Phi'(-alpha/2)) / (2 c Phi'(0)),

which ``beta=None`` takes (``calibrated_beta``): no threshold need be tuned afterwards. For the exponential it is
2 c beta / alpha = c e^(alpha/2) + (1 - c) e^(-alpha/2).

Gradient. ds_i = r (alpha/2 Phi'(alpha/2 (s_i - a_i)) - c beta Phi'(-beta s_i)), r the row's weight in the reduction.

Shapes: scores (B,); predictions, labels (B,) integers, any that are equal where the answer is right. Ranges: alpha and
beta > 0, 0 < cost <= 1. Where an exponent passes half the dtype's range (44 in float32, 354 in float64), e^u goes on as
its tangent: finite, convex, and still pulling. ``terms`` holds the two parts, averaged over rows.

Source. Mohri et al. 2023, arXiv 2301.09044 (the surrogate, its figure 2 with c = 0.05 and alpha = 2, and that beta is
tied to alpha and c; its experiments use alpha about 4). The tie as stated above and the logistic form are derived here.
Cortes, DeSalvo, Mohri 2016 (Learning with Rejection) has the form for a predictor that is learned as well.

Start the rejector near s = 0: where beta is large, far negative scores cost exponentially much.
"""

import math

from mini_repr.autograd import exp, softplus
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Choice, Labels, Optional, Positive, Reduction, Rows, Scalar
from mini_repr.pages.invariants import at_least, exact, permutation
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

_TEX = {
    "definition": r"""
L = \frac{1}{N} \sum_i \Bigl[ \Phi \Bigl( \frac{\alpha}{2} (s_i - a_i) \Bigr) + c \, \Phi(-\beta s_i) \Bigr]

\Phi(u) = e^u \ \text{or} \ \log_2(1 + e^u)

a_i = \pm 1: \text{the prediction is right or wrong}
""",
    "gradient": r"""
\mathrm{d}s_i = r_i \Bigl[ \frac{\alpha}{2} \, \Phi' \Bigl( \frac{\alpha}{2} (s_i - a_i) \Bigr) - c \, \beta \,
\Phi'(-\beta s_i) \Bigr]
""",
}


@loss(
    paper="065",
    tex=_TEX,
    variants={
        "logistic": variant("log2(1 + e^u) in place of e^u: less weight on outliers", surrogate="logistic"),
        "sum": variant("summed over rows instead of averaged", reduction="sum"),
    },
    invariants=[
        permutation("B"),
        at_least(0),
        exact("undecided on a right answer", math.exp(-1) + 0.05, scores=[0.0], predictions=[7], labels=[7]),
        exact("undecided on a wrong answer", math.e + 0.05, scores=[0.0], predictions=[7], labels=[6]),
    ],
)
def reject(
    scores: Rows("B"),
    predictions: Labels("B"),
    labels: Labels("B"),
    cost: Scalar(0, 1, low_open=True) = 0.05,
    alpha: Positive = 2.0,
    beta: Optional(Positive) = None,
    surrogate: Choice("exponential", "logistic") = "exponential",
    reduction: Reduction = "mean",
):
    xp = backend_of(scores).xp
    beta = calibrated_beta(cost, alpha, surrogate) if beta is None else beta
    phi = _exponential if surrogate == "exponential" else _logistic
    right = xp.where(predictions == labels, 1, -1).astype(scores.dtype)
    accepted, accepted_slope = phi(xp, alpha / 2 * (scores - right))
    rejected, rejected_slope = phi(xp, -beta * scores)
    rejected *= cost
    value, spread = reduce_rows(accepted + rejected, reduction)
    slope = alpha / 2 * accepted_slope
    slope -= cost * beta * rejected_slope
    return value, lambda g: (spread(g) * slope,), {"accepted": accepted.mean(), "rejected": rejected.mean()}


def calibrated_beta(cost, alpha, surrogate="exponential"):
    """The beta with which the surrogate's best score is above 0 just where P(wrong) < cost.

    Raises:
        ValueError: alpha is too large, or the cost too small, for a finite beta.
    """
    gentle = math.exp(-alpha / 2)
    try:
        if surrogate == "exponential":
            beta = alpha * (math.exp(alpha / 2) + (1 - cost) / cost * gentle) / 2
        else:
            beta = alpha * (1 + (1 - cost) / cost * gentle) / (1 + gentle)
    except OverflowError:
        beta = math.inf
    if not math.isfinite(beta):
        raise ValueError(f"reject: alpha: got {alpha:g} with cost {cost:g}, expected a finite beta of them")
    return beta


def _exponential(xp, u):
    """(e^u, its derivative), by the tangent from half the dtype's range on."""
    last = math.log(float(xp.finfo(u.dtype).max)) / 2
    slope = xp.exp(xp.minimum(u, last))
    return slope * (1 + xp.maximum(u - last, 0)), slope


def _logistic(xp, u):
    """(log2(1 + e^u), its derivative)."""
    value, back = softplus.on_arrays(u)
    return value / math.log(2), back(xp.full_like(u, 1 / math.log(2)))


@definition(reject)
def reject_definition(scores, predictions, labels, cost, alpha, beta, surrogate, reduction):
    xp = backend_of(labels).xp
    beta = calibrated_beta(cost, alpha, surrogate) if beta is None else beta
    phi = {"exponential": exp, "logistic": lambda u: softplus(u) / math.log(2)}[surrogate]
    right = 2 * (predictions == labels).astype(xp.float64) - 1
    return reduced(phi(alpha / 2 * (scores - right)) + cost * phi(-beta * scores), reduction)
