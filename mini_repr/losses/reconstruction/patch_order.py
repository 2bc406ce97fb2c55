"""Patch order: say which of two hidden patches is harder to rebuild.

Definition. With p_i the score predicted for patch i, t_i the error with which it was rebuilt (``error``, a constant),
and pairs of hidden patches of one image whose errors differ, U of them in the batch, each counted once,

    "relative"   L = 1/U sum_{t_i > t_j} softplus(-(p_i - p_j))
    "absolute"   L = mean over hidden patches of (p_i - (t_i - mean(t)) / sqrt(var(t) + eps))²,
                 mean and unbiased variance over the hidden patches of an image

The first is the binary cross-entropy of p_i - p_j against the order of the errors, so a shift of an image's scores and
an increasing map of its errors leave it as it is. Equal scores cost log 2. Without such a pair L is 0.

Gradient. "relative": dp_i = 1/U sum_j [sigmoid(p_i - p_j) - 1(t_i > t_j)] over the j whose errors differ, which sums to
0 in every image. "absolute": twice the difference, over the number of hidden patches. Visible patches receive 0.

Shapes: prediction, error (B, P), mask (B, P), True = hidden, with at least one True. O(B P²) memory. An image with one
hidden patch has no pair, and 0 for its standardised error.

Source. Wang et al. 2023, arXiv 2304.05919; checked against the official code, Haochen-Wang409/HPM,
models_mae_learn_loss.py (forward_learning_loss): it adds 1e-6 inside the logarithms and sums over both orders of a
pair, over twice as many. Its scripts train "relative".
"""

import math

from mini_repr.autograd import softplus, sqrt
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Choice, Mask, Positive, Rows
from mini_repr.pages.invariants import at_least, constant_shift, exact, permutation
from mini_repr.pages.loss import definition, loss, variant

_HIDDEN = [[True, True, True, False]]

_TEX = {
    "definition": r"""
L = \frac{1}{U} \sum_{t_i > t_j} \log \bigl( 1 + e^{-(p_i - p_j)} \bigr)

U: \text{the number of pairs whose errors differ}
""",
    "gradient": r"""
\mathrm{d}p_i = \frac{1}{U} \sum_j \bigl( \sigma(p_i - p_j) - [t_i > t_j] \bigr)
""",
}


@loss(
    paper=("002", "031"),
    tex=_TEX,
    variants={"absolute": variant("squared distance from the standardised error", form="absolute")},
    invariants=[
        permutation("B"),
        permutation("P"),
        constant_shift("prediction"),
        constant_shift("error"),
        constant_shift("error", form="absolute"),
        at_least(0),
        exact("equal scores", math.log(2), prediction=[[1.0] * 4], error=[[3.0, 2.0, 5.0, 9.0]], mask=_HIDDEN),
        exact("equal errors have no order", 0.0, prediction=[[1.0, 2.0, 3.0, 4.0]], error=[[2.0] * 4], mask=_HIDDEN),
        exact(
            "scores that are the standardised errors",
            0.0,
            prediction=[[-1.0, 0.0, 1.0, 7.0]],
            error=[[1.0, 2.0, 3.0, 9.0]],
            mask=_HIDDEN,
            form="absolute",
            eps=1e-30,
        ),
    ],
)
def patch_order(
    prediction: Rows("B P"),
    error: Rows("B P", frozen=True),
    mask: Mask("B P"),
    form: Choice("relative", "absolute") = "relative",
    eps: Positive = 1e-6,
):
    xp = backend_of(prediction).xp
    if form == "absolute":
        goal = _standardised(error, mask, eps)
        difference = xp.where(mask, prediction - goal, 0)
        count = mask.sum()
        return (difference * difference).sum() / count, lambda g: ((2 * g / count) * difference,)

    harder = _ordered(error, mask)
    pairs = xp.maximum(harder.sum(), 1).astype(prediction.dtype)
    cost, back = softplus.on_arrays(prediction[:, None, :] - prediction[:, :, None])

    def backward(g):
        slope = back(harder * (g / pairs).astype(prediction.dtype))
        return (slope.sum(axis=1) - slope.sum(axis=2),)

    return (cost * harder).sum() / pairs, backward


def _ordered(error, mask):
    """(B, P, P) booleans: both hidden, the first with the larger error."""
    return (error[:, :, None] > error[:, None, :]) & mask[:, :, None] & mask[:, None, :]


def _standardised(error, mask, eps):
    """(B, P) the errors to mean 0 and unbiased variance 1 over the hidden patches of each image."""
    xp = backend_of(error).xp
    hidden = mask.sum(axis=1, keepdims=True)
    centred = xp.where(mask, error, 0)
    centred = xp.where(mask, error - centred.sum(axis=1, keepdims=True) / xp.maximum(hidden, 1), 0)
    variance = (centred * centred).sum(axis=1, keepdims=True) / xp.maximum(hidden - 1, 1)
    return (centred / xp.sqrt(variance + eps)).astype(error.dtype)


@definition(patch_order)
def patch_order_definition(prediction, error, mask, form, eps):
    if form == "absolute":
        total, count = 0, 0
        for p, t, hidden in zip(prediction, error, mask, strict=True):
            places = [i for i in range(len(hidden)) if hidden[i]]
            if not places:
                continue
            mean = sum(t[i] for i in places) / len(places)
            variance = sum((t[i] - mean) ** 2 for i in places) / max(len(places) - 1, 1)
            for i in places:
                total = total + (p[i] - (t[i] - mean) / sqrt(variance + eps)) ** 2
                count += 1
        return total / count
    harder = (error[:, :, None] > error[:, None, :]) & mask[:, :, None] & mask[:, None, :]
    cost = softplus(-(prediction[:, :, None] - prediction[:, None, :]))
    return (cost * harder).sum() / max(1, int(harder.sum()))
