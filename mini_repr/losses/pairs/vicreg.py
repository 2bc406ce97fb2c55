"""VICReg: keep partners together, every dimension alive and no two dimensions alike.

Definition. With the covariance C(x) = X̄ᵀ X̄ / (B - 1) of centred rows, B rows per view and D dimensions,

    L = invariance_weight s(a, b) + variance_weight [v(a) + v(b)] + covariance_weight [c(a) + c(b)]
    s(a, b) = sum_i |a_i - b_i|² / (B D)      v(x) = (1/D) sum_k max(0, target_std - sqrt(C_kk + eps))
    c(x) = (1/D) sum_{k != l} C_kl²

``invariance="rows"`` divides s by B alone; ``variance_views="mean"`` halves the sum of the two v (never that of the two
c); ``unbiased=False`` divides C by B. The third return value holds ``invariance``, ``variance`` and ``covariance`` as
they enter L, weights included. Rows are compared as they are: nothing is normalised, and the views share only s.

Gradient. ds/da = 2 (a - b) / (B D) = -ds/db; dv/dx = -[S_k < target_std] x̄_k / (D (B - 1) S_k) with S_k = sqrt(C_kk +
eps); dc/dx = 4 X̄ C_off / (D (B - 1)). Columns of X̄ have mean 0, so these gradients need no centring of their own.
Time O(B D²), or O(B² D) without any D x D matrix where 2B <= D.

Shapes: a, b (B, D), B >= 2. Ranges: weights >= 0; target_std, eps > 0. A collapsed view costs variance_weight
(target_std - sqrt(eps)), and neither v nor c moves it, as X̄ = 0. At S_k = target_std the gradient of v is 0.

Source. Bardes, Ponce, LeCun 2021, arXiv 2105.04906, section 4.1. github.com/facebookresearch/vicreg, main_vicreg.py:
weights 25, 25, 1, target 1, eps 1e-4, variances by torch.var (B - 1), s by mse_loss over all B D elements.

Public implementations differ most in the variance term: the official code takes the mean of the two views' v where the
paper has their sum (vicreg issues 8 and 26), with the same weights. Then in s (B or B D) and in B or B - 1.
VICRegLoss of lightly and of pytorch-metric-learning are ``official_code``.
"""

from functools import partial

from mini_repr.autograd import diagonal, off_diagonal, relu, sqrt
from mini_repr.backend import backend_of
from mini_repr.kernels.cross_products import cross_products
from mini_repr.pages.arguments import Choice, Flag, NonNegative, Positive, Rows
from mini_repr.pages.invariants import at_least, exact, permutation, swap, translation
from mini_repr.pages.loss import definition, loss, variant

_LEVEL = [[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]

_TEX = {
    "definition": r"""
L = \lambda \, s(a, b) + \mu \, \bigl[ v(a) + v(b) \bigr] + \nu \, \bigl[ c(a) + c(b) \bigr]

s(a, b) = \frac{1}{B D} \sum_i \lVert a_i - b_i \rVert^2

v(x) = \frac{1}{D} \sum_k \max \bigl( 0, \gamma - \sqrt{C_{kk} + \varepsilon} \bigr)

c(x) = \frac{1}{D} \sum_{k \ne l} C_{kl}^2

C(x) = \frac{\bar X^\top \bar X}{B - 1}

\lambda, \mu, \nu, \gamma: \text{weights of invariance, variance, covariance; target\_std}
""",
    "gradient": r"""
\frac{\mathrm{d}s}{\mathrm{d}a} = \frac{2 \, (a - b)}{B D} = -\frac{\mathrm{d}s}{\mathrm{d}b}

\frac{\mathrm{d}v}{\mathrm{d}x_k} = -\frac{[S_k < \gamma] \, \bar x_k}{D \, (B - 1) \, S_k}

S_k = \sqrt{C_{kk} + \varepsilon}

\frac{\mathrm{d}c}{\mathrm{d}x} = \frac{4 \, \bar X C_\mathrm{off}}{D \, (B - 1)}
""",
}


@loss(
    paper="083",
    tex=_TEX,
    variants={
        "official_code": variant("the variance terms of the two views averaged, not added", variance_views="mean"),
        "row_distances": variant("squared distances between partners not divided by D", invariance="rows"),
        "population": variant("variances and covariances divided by B", unbiased=False),
    },
    invariants=[
        permutation("B"),
        permutation("D"),
        translation("a", "b"),
        translation("a", "b", shared=False, invariance_weight=0.0),
        swap("a", "b"),
        at_least(0),
        exact("collapsed views that agree give 25 * 2 * 0.99", 49.5, a=[[1.0, 2.0]] * 3, b=[[1.0, 2.0]] * 3),
        exact("white views of deviation above 1 that agree give 0", 0.0, a=_LEVEL, b=_LEVEL),
    ],
)
def vicreg(
    a: Rows("B>=2 D"),
    b: Rows("B>=2 D"),
    invariance_weight: NonNegative = 25.0,
    variance_weight: NonNegative = 25.0,
    covariance_weight: NonNegative = 1.0,
    target_std: Positive = 1.0,
    eps: Positive = 1e-4,
    invariance: Choice("elements", "rows") = "elements",
    variance_views: Choice("sum", "mean") = "sum",
    unbiased: Flag = True,
):
    backend = backend_of(a)
    xp = backend.xp
    rows, width = a.shape
    freedom = rows - unbiased
    of_invariance = invariance_weight / (a.size if invariance == "elements" else rows)
    of_variance = variance_weight / width / (2 if variance_views == "mean" else 1)
    of_covariance = covariance_weight / (width * freedom**2)

    def spread(x):
        """The variance and covariance term of one view, and their backward."""
        (squares, others), back = cross_products.on_arrays(x - backend.column_means(x), None)
        deviation = xp.sqrt(squares / freedom + eps)
        short = xp.maximum(target_std - deviation, 0)

        def backward(g):
            g_squares = (short > 0) * (-g * of_variance / (2 * freedom)) / deviation
            return back((g_squares, g * of_covariance))[0]

        return of_variance * short.sum(), of_covariance * others, backward

    apart = a - b
    near = of_invariance * (apart * apart).sum()
    size = a.nbytes + b.nbytes
    of_a, of_b = backend.at_once([partial(spread, a), partial(spread, b)], size)
    (variance_a, covariance_a, back_a), (variance_b, covariance_b, back_b) = of_a, of_b
    variance, covariance = variance_a + variance_b, covariance_a + covariance_b

    def backward(g):
        pull = (2 * of_invariance * g) * apart
        g_a, g_b = backend.at_once([partial(back_a, g), partial(back_b, g)], size)
        g_a += pull
        g_b -= pull
        return g_a, g_b

    terms = {"invariance": near, "variance": variance, "covariance": covariance}
    return near + variance + covariance, backward, terms


@definition(vicreg)
def vicreg_definition(
    a,
    b,
    invariance_weight,
    variance_weight,
    covariance_weight,
    target_std,
    eps,
    invariance,
    variance_views,
    unbiased,
):
    rows, width = a.shape

    def variance_and_covariance(x):
        centred = x - x.mean(axis=0)
        matrix = centred.T @ centred / (rows - unbiased)
        variance = relu(target_std - sqrt(diagonal(matrix) + eps)).mean()
        return variance, (off_diagonal(matrix) ** 2).sum() / width

    distances = ((a - b) ** 2).sum(axis=1).mean()
    (variance_a, covariance_a), (variance_b, covariance_b) = map(variance_and_covariance, (a, b))
    variance = (variance_a + variance_b) / (2 if variance_views == "mean" else 1)
    return (
        invariance_weight * (distances / width if invariance == "elements" else distances)
        + variance_weight * variance
        + covariance_weight * (covariance_a + covariance_b)
    )
