"""Barlow Twins: make the cross-correlation of two views the identity, so that dimensions agree and do not repeat.

Definition. Every column is standardised over the batch of B rows, each view separately,

    U_ik = (a_ik - mean_k) / sqrt(var_k + eps),  V likewise from b,  C = Uᵀ V / B   (D x D),
    L = scale_loss ( sum_k (1 - C_kk)² + redundancy_weight sum_{k != l} C_kl² )

``unbiased`` divides the variance by B - 1; C is divided by B all the same, so that C_kk <= (B - 1)/B and the first term
never reaches 0. The third return value holds ``invariance`` and ``redundancy`` as they enter L, weights included.

Gradient. dL/dC_kk = -2 (1 - C_kk), dL/dC_kl = 2 redundancy_weight C_kl, so dL/dU = V (dL/dC)ᵀ / B and
dL/dV = U (dL/dC) / B. Back through the standardisation, with n the rows that divide the variance:
da = (g - mean(g) - U sum(g U)/n) / sqrt(var + eps), column by column, g = dL/dU.
Time O(B D²), or O(B² D) without any D x D matrix where 2B <= D.

Shapes: a, b (B, D), B >= 2. Ranges: redundancy_weight, eps >= 0; scale_loss > 0. A constant column gives C_kk = 0 and
no gradient; with eps = 0 it has no correlation, and is a ValueError.

Source. Zbontar, Jing, Misra, LeCun, Deny 2021, arXiv 2103.03230: the loss, and C as cosines of centred columns (eps 0).
github.com/facebookresearch/barlowtwins, main.py: 0.0051, and BatchNorm1d without affine parameters, so the population
variance and eps 1e-5. TLDR, arXiv 2110.09455, uses this loss between nearest neighbours.

Public implementations differ in the variance (torch.std is the unbiased one), in redundancy_weight, and in a factor on
the whole loss: the first official release multiplied it by ``scale_loss`` 1/32, or 0.024 for a projector of 8192
(barlowtwins issues 9, 23). One library standardised both views with common statistics (lightly pull request 1806);
since then lightly's BarlowTwinsLoss is this page's default at redundancy_weight 0.005.
"""

from functools import partial

from mini_repr.autograd import diagonal, off_diagonal, sqrt, standardise_columns
from mini_repr.backend import backend_of
from mini_repr.kernels.cross_products import cross_products
from mini_repr.pages.arguments import Flag, NonNegative, Positive, Rows
from mini_repr.pages.invariants import at_least, exact, permutation, swap, translation
from mini_repr.pages.loss import definition, loss, variant

_WHITE = [[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]
_OPPOSITE = [[-x for x in row] for row in _WHITE]

_TEX = {
    "definition": r"""
U_{ik} = \frac{a_{ik} - \mathrm{mean}_k}{\sqrt{\mathrm{var}_k + \varepsilon}}

C = \frac{1}{B} U^\top V

L = f \, \Bigl( \sum_k (1 - C_{kk})^2 + \lambda \sum_{k \ne l} C_{kl}^2 \Bigr)

f, \lambda: \text{scale\_loss, redundancy\_weight}
""",
    "gradient": r"""
\frac{\mathrm{d}L}{\mathrm{d}C_{kk}} = -2 f \, (1 - C_{kk})

\frac{\mathrm{d}L}{\mathrm{d}C_{kl}} = 2 f \lambda \, C_{kl}

g = \frac{\mathrm{d}L}{\mathrm{d}U} = \frac{1}{B} V \Bigl( \frac{\mathrm{d}L}{\mathrm{d}C} \Bigr)^\top

\mathrm{d}a_{ik} = \frac{g_{ik} - \frac{1}{B} \sum_j g_{jk}
- \frac{1}{n} U_{ik} \sum_j g_{jk} U_{jk}}{\sqrt{\mathrm{var}_k + \varepsilon}}
""",
}


@loss(
    paper="077",
    tex=_TEX,
    variants={
        "unbiased": variant("standardised by torch.std, B - 1 and no epsilon", unbiased=True, eps=0.0),
        "equation": variant("cosines of centred columns, no epsilon", eps=0.0),
        "scaled": variant("the first official release: all multiplied by 1/32", scale_loss=1 / 32),
    },
    invariants=[
        permutation("B"),
        permutation("D"),
        translation("a", "b", shared=False),
        swap("a", "b"),
        at_least(0),
        exact("white views that agree give 0", 0.0, a=_WHITE, b=_WHITE, eps=0.0),
        exact("white views that are opposite give 4D", 8.0, a=_WHITE, b=_OPPOSITE, eps=0.0),
        exact("collapsed views give D", 2.0, a=[[1.0, 2.0]] * 4, b=_WHITE),
    ],
)
def barlow_twins(
    a: Rows("B>=2 D"),
    b: Rows("B>=2 D"),
    redundancy_weight: NonNegative = 0.0051,
    scale_loss: Positive = 1.0,
    eps: NonNegative = 1e-5,
    unbiased: Flag = False,
):
    for name, x in {"a": a, "b": b}.items():
        if eps == 0 and bool((x.max(axis=0) == x.min(axis=0)).any()):
            raise ValueError(
                f"barlow_twins: {name}: got a constant column with eps 0, expected eps > 0 or none constant"
            )
    rows, backend, size = len(a), backend_of(a), a.nbytes + b.nbytes
    standardise = partial(standardise_columns.on_arrays, eps=eps, ddof=int(unbiased))
    (white_a, to_a), (white_b, to_b) = backend.at_once([partial(standardise, a), partial(standardise, b)], size)
    (own, others), back = cross_products.on_arrays(white_a, white_b)
    short = 1 - own / rows
    invariance = scale_loss * (short * short).sum()
    redundancy = scale_loss * redundancy_weight / rows**2 * others

    def backward(g):
        g = g * (scale_loss / rows)
        g_a, g_b = back((-2 * g * short, g * (redundancy_weight / rows)))
        return tuple(backend.at_once([partial(to_a, g_a), partial(to_b, g_b)], size))

    return invariance + redundancy, backward, {"invariance": invariance, "redundancy": redundancy}


@definition(barlow_twins)
def barlow_twins_definition(a, b, redundancy_weight, scale_loss, eps, unbiased):
    rows = a.shape[0]

    def standardised(x):
        centred = x - x.mean(axis=0)
        variance = (centred**2).sum(axis=0) / (rows - unbiased)
        return centred / sqrt(variance + eps)

    correlation = standardised(a).T @ standardised(b) / rows
    invariance = ((1 - diagonal(correlation)) ** 2).sum()
    redundancy = (off_diagonal(correlation) ** 2).sum()
    return scale_loss * (invariance + redundancy_weight * redundancy)
