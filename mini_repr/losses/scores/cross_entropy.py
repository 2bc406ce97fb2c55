"""Cross-entropy: raise the softmax probability of the right class.

Definition. With p = softmax(scores / temperature), C classes and e the ``label_smoothing``, for the label y of a row

    L = -sum_k q_k log p_k,     q_k = (1 - e) [k = y] + e/C,     averaged over rows (``reduction``).

Gradient. The scores receive r (p - q) / temperature, r the row's weight in the reduction; each row's gradient sums to
0. The temperature receives -sum_ik r_i (p_ik - q_ik) scores_ik / temperature².

Shapes: scores (N, C), C >= 2; labels (N,) from 0 to C - 1. Ranges: temperature > 0; 0 <= label_smoothing <= 1. With
smoothing the least value is the entropy of q, not 0. Equal scores give log C. Scores of any size are safe.

Source. Label smoothing with the uniform distribution: Szegedy et al. 2015, arXiv 1512.00567, section 7. The baseline
that supervised contrastive learning is compared with: Khosla et al. 2020, arXiv 2004.11362, section 4. It is the
definition of torch.nn.functional.cross_entropy. Some codes spread e over the C - 1 wrong classes only (then the right
class keeps 1 - e): the same loss at label_smoothing e C / (C - 1). OpenNMT divides by C - 2, leaving out padding.
"""

import math

from mini_repr.autograd import log_softmax
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Fraction, Labels, Positive, Reduction, Rows, WithGradient
from mini_repr.pages.invariants import at_least, constant_shift, exact, permutation
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

_TEX = {
    "definition": r"""
L = -\frac{1}{N} \sum_i \sum_k q_{ik} \log p_{ik}

p_i = \mathrm{softmax} \Bigl( \frac{s_i}{t} \Bigr)

q_{ik} = (1 - \epsilon) \, [k = y_i] + \frac{\epsilon}{C}
""",
    "gradient": r"""
\mathrm{d}s_i = \frac{r_i \, (p_i - q_i)}{t}

\mathrm{d}t = -\frac{1}{t^2} \sum_{i,k} r_i \, (p_{ik} - q_{ik}) \, s_{ik}
""",
}


@loss(
    paper="093",
    tex=_TEX,
    variants={
        "smoothed": variant("label smoothing 0.1, as in Inception v3 and most ImageNet recipes", label_smoothing=0.1),
        "sum": variant("summed over rows instead of averaged", reduction="sum"),
    },
    invariants=[
        permutation("N"),
        constant_shift("scores"),
        constant_shift("scores", label_smoothing=0.3),
        at_least(0),
        exact("equal scores give log C", math.log(3), scores=[[5.0] * 3] * 2, labels=[0, 2], label_smoothing=0.2),
        exact("a distant right class costs nothing", 0.0, scores=[[1e4, 0.0], [0.0, 1e4]], labels=[0, 1]),
    ],
)
def cross_entropy(
    scores: Rows("N C>=2"),
    labels: Labels("N", classes="C"),
    temperature: WithGradient(Positive) = 1.0,
    label_smoothing: Fraction = 0.0,
    reduction: Reduction = "mean",
):
    backend = backend_of(scores)
    xp, scale, classes = backend.xp, 1 / temperature, scores.shape[1]
    gap = scores * scale  # becomes p - q in place, block by block of rows
    cost, tilt = (xp.empty(len(gap), gap.dtype) for _ in range(2))  # tilt: sum_k (p_k - q_k) scores_k, for d t

    def of_rows(scores, labels, gap, cost, tilt):
        own = (xp.arange(len(labels)), labels)
        gap -= gap.max(axis=1, keepdims=True)
        target = (1 - label_smoothing) * gap[own]  # q · logits
        if label_smoothing:
            target += label_smoothing * gap.mean(axis=1)
        p = xp.exp(gap, out=gap)
        total = p.sum(axis=1)
        xp.subtract(xp.log(total), target, out=cost)
        p /= total[:, None]
        gap[own] -= 1 - label_smoothing
        if label_smoothing:
            gap -= label_smoothing / classes
        tilt[...] = backend.row_dots(gap, scores)[:, 0]

    backend.row_blocks(of_rows, scores, labels, gap, cost, tilt)
    value, spread = reduce_rows(cost, reduction)

    def backward(g):
        g_scores, weight = xp.empty_like(gap), spread(g) * scale
        backend.row_blocks(xp.multiply, weight[:, None], gap, g_scores)
        return g_scores, -(weight * tilt).sum() * scale

    return value, backward


@definition(cross_entropy)
def cross_entropy_definition(scores, labels, temperature, label_smoothing, reduction):
    xp = backend_of(labels).xp
    classes = scores.shape[1]
    q = (1 - label_smoothing) * (labels[:, None] == xp.arange(classes)) + label_smoothing / classes
    return reduced(-(log_softmax(scores / temperature) * q).sum(axis=1), reduction)
