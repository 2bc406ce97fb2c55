"""TiCo: agree with the partner, and stay away from the directions in which embeddings have lain so far.

Definition. With u, v the unit rows of a and b, and C the moving second moment of embeddings, this batch included,

    C = decay C_before + (1 - decay) (1/B) sum_i u_i u_iᵀ        (D x D; ``covariance`` is C_before, None stands for 0)
    L = -mean_i u_i·v_i + covariance_weight mean_i u_iᵀ C u_i

Directions that many embeddings share have large eigenvalues in C and cost the most, so the spectrum is driven flat. C
is stored between batches by the caller (``updated_covariance``, methods/state.py). The gradient does not pass through
this batch's share of C, unless ``through_covariance``. ``centre`` takes each view's mean from its rows before they
become unit rows; ``offset`` is added to L. The third return value holds ``invariance`` and ``covariance`` as they enter
L.

As u_iᵀ C u_i is the mean of (u_i·u)² over past embeddings u, C remembers all that came before: MoCo's queue, endless
and fading. v comes from a momentum encoder in the paper; here b takes its gradient too, and a method may stop it.

Gradient. With r_i the weight of row i in the reduction, du_i = r_i [-v_i + covariance_weight (C + Cᵀ) u_i] and
dv_i = -r_i u_i; then da = (du - u (u·du)) / |a|. ``through_covariance`` adds to du_i, with R = sum_k r_k u_k u_kᵀ,
covariance_weight (1 - decay) (2/B) R u_i. Time O(B D²), memory O(B D + D²).

Shapes: a, b (B, D); covariance (D, D), never differentiated. Ranges: 0 <= decay <= 1; covariance_weight >= 0.
A zero row (or with ``centre`` a row at the mean) has similarity 0 to everything and a zero gradient.

Source. Zhu, Moraes, Karakulak, Sobol, Canziani, LeCun 2022, arXiv 2206.10698; decay 0.9, weight 8. No official code
was found. Public implementations differ: sayannag/TiCo-pytorch (weight 20, noting the paper's 8) lets the
gradient through C: ``through_covariance``. lightly 1.6's TiCoLoss adds 1 and is this page otherwise: ``lightly``. Its
first release also centred the rows, with weight 20 and the gradient through C (``lightly_2022``); the batch's share of
C is detached since pull request 1484, for a figure in the paper shows it so.
"""

from mini_repr.autograd import stop_gradient, unit_rows
from mini_repr.backend import backend_of
from mini_repr.kernels.whitening import centred
from mini_repr.pages.arguments import Flag, Fraction, NonNegative, Optional, Real, Reduction, Rows
from mini_repr.pages.invariants import at_least, exact, permutation, rotation, row_scaling
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

_SAME = {"a": [[3.0, 4.0]] * 3, "b": [[6.0, 8.0]] * 3}

_TEX = {
    "definition": r"""
L = -\frac{1}{B} \sum_i u_i \cdot v_i + \frac{\lambda}{B} \sum_i u_i^\top C u_i

C = \delta \, C' + (1 - \delta) \frac{1}{B} \sum_i u_i u_i^\top
""",
    "gradient": r"""
\mathrm{d}u_i = r_i \, \bigl[ -v_i + \lambda \, (C + C^\top) \, u_i \bigr]

\mathrm{d}v_i = -r_i \, u_i
""",
}


@loss(
    paper="033",
    tex=_TEX,
    variants={
        "with_memory": variant("some batches have passed: a covariance of the past", ["covariance"]),
        "through_covariance": variant("the gradient passes through this batch's covariance", through_covariance=True),
        "lightly": variant("lightly 1.6: 1 added", offset=1.0),
        "lightly_2022": variant(
            "lightly's first release: centred rows, 1 added, weight 20, gradient through C",
            centre=True,
            offset=1.0,
            covariance_weight=20.0,
            through_covariance=True,
        ),
    },
    invariants=[
        permutation("B"),
        rotation("D"),
        row_scaling("a", "b"),
        at_least(-1),
        exact("identical rows in the first batch give 8 (1 - 0.9) - 1", -0.2, **_SAME),
        exact("identical rows that the past never met", -0.2, covariance=[[0.64, -0.48], [-0.48, 0.36]], **_SAME),
        exact(
            "identical rows that the past was full of give 8 - 1", 7, covariance=[[0.36, 0.48], [0.48, 0.64]], **_SAME
        ),
    ],
)
def tico(
    a: Rows("B D"),
    b: Rows("B D"),
    covariance: Optional(Rows("D D", frozen=True)) = None,
    covariance_weight: NonNegative = 8.0,
    decay: Fraction = 0.9,
    through_covariance: Flag = False,
    centre: Flag = False,
    offset: Real = 0.0,
    reduction: Reduction = "mean",
):
    (u, to_a), (v, to_b) = _unit(a, centre), _unit(b, centre)
    moment = _moved(covariance, u, decay)
    moment += moment.T
    leaning = u @ moment  # 2 C u_i, for a C that need not be symmetric
    nearness = (u * v).sum(axis=1)
    overlap = (covariance_weight / 2) * (u * leaning).sum(axis=1)
    value, spread = reduce_rows(overlap - nearness + offset, reduction)

    def backward(g):
        r = spread(g)[:, None]
        g_u = covariance_weight * leaning
        g_u -= v
        g_u *= r
        if through_covariance:
            g_u += (covariance_weight * (1 - decay) * 2 / len(u)) * (u @ (u.T @ (r * u)))
        return to_a(g_u), to_b(-r * u)

    return value, backward, {"invariance": -nearness.mean(), "covariance": overlap.mean()}


def _unit(x, centre):
    """Unit rows, of the rows less their mean where ``centre``, and its backward."""
    unit, back = unit_rows.on_arrays(centred(x)[0] if centre else x)

    def backward(g):
        g_x = back(g)
        return g_x - backend_of(g_x).column_means(g_x) if centre else g_x

    return unit, backward


def _moved(covariance, u, decay):
    moved = u.T @ u
    moved *= (1 - decay) / len(u)
    if covariance is not None:
        moved += decay * covariance
    return moved


@definition(tico)
def tico_definition(a, b, covariance, covariance_weight, decay, through_covariance, centre, offset, reduction):
    u, v = (unit_rows(x - x.mean(axis=0) if centre else x) for x in (a, b))
    batch = u.T @ u / u.shape[0]
    if not through_covariance:
        batch = stop_gradient(batch)
    moment = (1 - decay) * batch
    if covariance is not None:
        moment = moment + decay * covariance
    per_row = -(u * v).sum(axis=1) + covariance_weight * ((u @ moment) * u).sum(axis=1) + offset
    return reduced(per_row, reduction)
