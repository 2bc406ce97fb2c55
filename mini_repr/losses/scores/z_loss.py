"""Z-loss: raise the right class's score in standard deviations, whatever the scale of the scores.

Definition. For the scores o of a row with mean m and (population) standard deviation s over its C classes, let
z_k = (o_k - m) / s. With the ``sharpness`` a and the ``threshold`` b, for the label y

    L = softplus(a (b - z_y)) / a,     averaged over rows (``reduction``).

A z_y well above b costs nothing, one below b costs b - z_y; a says how soft the corner is. Adding a constant to a row
or multiplying it by a positive number changes nothing, as with the ranks that top-k error counts: z_y lies between
-sqrt(C - 1) and sqrt(C - 1), reached where all other scores are equal.

Gradient. dL/dz_y = -r sigmoid(a (b - z_y)), r the row's weight in the reduction, and dz_y/do_k = ([k = y] - (1 + z_k
z_y)/C) / s: each row's gradient is orthogonal to the ones and to o.

Shapes: scores (N, C), C >= 2; labels (N,) from 0 to C - 1. Ranges: sharpness > 0, threshold any real. A row of equal
scores has z = 0 and no gradient. With two classes z_y is -1 or 1, and the gradient 0: use it for more.

The loss sees the scores only through o_y, sum o and sum o² (the spherical family), so that an output layer can be
trained at a cost that does not depend on C: ``mini_repr.optim.FactoredOutput``.

Source. de Brébisson, Vincent 2016, arXiv 1604.08859; a and b are to be tuned for each task. The default a = 1, b = 0 is
that of the authors' code (pascal20100/factored_output_layer, which sums over rows and adds 1e-12 to the deviation).
Another loss bears the name: the penalty (log sum e^o)² that mesh-tensorflow and PaLM add to the cross-entropy.
"""

import math

from mini_repr.autograd import softplus, sqrt, where
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Labels, Positive, Real, Reduction, Rows
from mini_repr.pages.invariants import at_least, constant_shift, exact, permutation, row_scaling
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

_TEX = {
    "definition": r"""
L = \frac{1}{N} \sum_i \frac{1}{a} \log \bigl( 1 + e^{a (b - z_{i y_i})} \bigr)

z_k = \frac{o_k - m}{s}

m, s: \text{mean and deviation of the row's scores}
""",
    "gradient": r"""
\mathrm{d}z_y = -r \, \sigma \bigl( a (b - z_y) \bigr)

\frac{\mathrm{d}z_y}{\mathrm{d}o_k} = \frac{1}{s} \Bigl( [k = y] - \frac{1 + z_k z_y}{C} \Bigr)
""",
}


@loss(
    paper="063",
    tex=_TEX,
    variants={
        "sum": variant("the authors' code: summed over rows", reduction="sum"),
    },
    invariants=[
        permutation("N"),
        constant_shift("scores"),
        row_scaling("scores"),
        at_least(0),
        exact(
            "equal scores give softplus(a b) / a",
            math.log1p(math.e) / 2,
            scores=[[0.1] * 3] * 2,
            labels=[0, 2],
            sharpness=2.0,
            threshold=0.5,
        ),
        exact("one class above equal others", math.log1p(math.exp(-2)), scores=[[0.0, 0.0, 7.0, 0.0, 0.0]], labels=[2]),
    ],
)
def z_loss(
    scores: Rows("N C>=2"),
    labels: Labels("N", classes="C"),
    sharpness: Positive = 1.0,
    threshold: Real = 0.0,
    reduction: Reduction = "mean",
):
    xp = backend_of(scores).xp
    own = (xp.arange(len(labels)), labels)
    z = scores - scores.max(axis=1, keepdims=True)  # exact zeros where all are equal
    z -= z.mean(axis=1, keepdims=True)
    deviation = xp.sqrt((z * z).mean(axis=1))
    flat = deviation == 0
    xp.copyto(deviation, 1, where=flat)
    z /= deviation[:, None]
    own_z = z[own]
    corner, to_short = softplus.on_arrays(sharpness * (threshold - own_z))
    value, spread = reduce_rows(corner / sharpness, reduction)

    def backward(g):
        g_own_z = -to_short(spread(g)) / deviation
        xp.copyto(g_own_z, 0, where=flat)
        g_scores = z * -own_z[:, None]
        g_scores -= 1
        g_scores *= (g_own_z / scores.shape[1])[:, None]
        g_scores[own] += g_own_z
        return (g_scores,)

    return value, backward


@definition(z_loss)
def z_loss_definition(scores, labels, sharpness, threshold, reduction):
    centred = scores - scores.mean(axis=1, keepdims=True)
    variance = (centred * centred).mean(axis=1)
    varied = variance.data.real > 0
    deviation = sqrt(where(varied, variance, 1))
    z = where(varied, centred[backend_of(labels).xp.arange(len(labels)), labels] / deviation, 0)
    return reduced(softplus(sharpness * (threshold - z)) / sharpness, reduction)
