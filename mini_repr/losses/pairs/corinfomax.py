"""CorInfoMax: partners agree, and each view spreads: the determinant of its moving covariance is as large as can be.

Definition. Each view x, a or b, with B rows and D dimensions, has a moving mean and a moving covariance, this batch
included, from ``mean_x`` (None stands for 0) and ``covariance_x`` (None stands for I) of the batches before:

    m = mean_decay mean_x + (1 - mean_decay) (1/B) sum_i x_i
    R(x) = decay covariance_x + (1 - decay) (1/B) sum_i (x_i - m) (x_i - m)ᵀ           (D x D)
    v(x) = log det(R(x) + eps I)
    L = invariance_weight sum_i |a_i - b_i|² / (B D) - covariance_weight [v(a) + v(b)] / D

A spread over all dimensions has the largest v; along a direction in which rows never differ it falls towards
log eps. m and R are stored between batches by the caller (``updated_statistics``, methods/state.py). ``normalize``
compares unit rows. The third return value holds ``invariance`` and ``covariance`` as they enter L.

Gradient. With X = x - m and G the inverse of R(x) + eps I, the covariance term gives X the gradient
-covariance_weight (1 - decay) X (G + Gᵀ) / (B D); as m moves with the rows, x gets it less (1 - mean_decay) times its
mean over rows. The invariance term adds 2 invariance_weight (a - b) / (B D) to da and takes it from db. R and its
inverse are computed in float64, as in the official code: eps is below float32's rounding of large rows.

Shapes: a, b (B, D); covariances (D, D) and means (D,), never differentiated; of a covariance that is not positive
definite log |det| counts. Ranges: decays from 0 to 1, weights >= 0, eps > 0.

Source. Ozsoy, Hamdan, Arik, Yuret, Erdogan 2022, arXiv 2209.07999; for sentences: Çağatan 2024, arXiv 2401.15316.
Compared with serdarozsoy/corinfomax-ssl, cifars-tiny/loss.py, and asparius/UNSEE, sentence_transformers/losses/
CorInfoMaxLoss.py (both read; their lines are repeated in a test): this page at the latter's weights (0.2 and 2000); the
first has 1 and 500 and can normalise rows (``official_code``), each with the mean of squares over all B D elements.
"""

import math

from mini_repr.autograd import log, unit_rows
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Flag, Fraction, NonNegative, Optional, Positive, Rows
from mini_repr.pages.invariants import exact, permutation, rotation, swap
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import rows_of

_STATE = ["covariance_a", "covariance_b", "mean_a", "mean_b"]
_EDGES = [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]

_TEX = {
    "definition": r"""
L = \frac{\lambda}{B D} \sum_i \lVert a_i - b_i \rVert^2 - \frac{\mu}{D} \bigl( v(a) + v(b) \bigr)

v(x) = \log \det \bigl( R(x) + \varepsilon I \bigr)

R(x) = \delta R' + (1 - \delta) \frac{1}{B} \sum_i (x_i - m)(x_i - m)^\top

m = \eta \, m' + (1 - \eta) \frac{1}{B} \sum_i x_i
""",
    "gradient": r"""
\mathrm{d}X = -\frac{\mu \, (1 - \delta)}{B D} \, X \, (G + G^\top)

G = \bigl( R(x) + \varepsilon I \bigr)^{-1}

\mathrm{d}x = \mathrm{d}X - (1 - \eta) \, \overline{\mathrm{d}X}
""",
}


@loss(
    paper="083",
    tex=_TEX,
    variants={
        "with_state": variant("some batches have passed: means and covariances of the past", _STATE),
        "official_code": variant(
            "CorInfoMax on images: unit rows, weights 1 and 500",
            normalize=True,
            covariance_weight=1.0,
            invariance_weight=500.0,
        ),
        "batch_alone": variant("no memory: mean and covariance of this batch", decay=0.0, mean_decay=0.0),
    },
    invariants=[
        permutation("B"),
        rotation("D"),
        swap("a", "b"),
        exact(
            "views that agree, of covariance I/2: 0.4 log 2",
            0.4 * math.log(2),
            decay=0.0,
            eps=1e-300,
            a=_EDGES,
            b=_EDGES,
        ),
        exact(
            "collapsed views that agree give -0.4 log eps",
            -0.4 * math.log(1e-3),
            decay=0.0,
            mean_decay=0.0,
            eps=1e-3,
            a=[[1.0, 2.0]] * 3,
            b=[[1.0, 2.0]] * 3,
        ),
    ],
)
def corinfomax(
    a: Rows("B D"),
    b: Rows("B D"),
    covariance_a: Optional(Rows("D D", frozen=True)) = None,
    covariance_b: Optional(Rows("D D", frozen=True)) = None,
    mean_a: Optional(Rows("D", frozen=True)) = None,
    mean_b: Optional(Rows("D", frozen=True)) = None,
    covariance_weight: NonNegative = 0.2,
    invariance_weight: NonNegative = 2000.0,
    decay: Fraction = 0.01,
    mean_decay: Fraction = 0.01,
    eps: Positive = 1e-6,
    normalize: Flag = False,
):
    (u, to_a), (v, to_b) = rows_of(a, normalize), rows_of(b, normalize)
    apart = u - v
    invariance = invariance_weight * (apart * apart).mean()
    settings = covariance_weight, decay, mean_decay, eps
    of_a, slope_a = spread(u, covariance_a, mean_a, *settings)
    of_b, slope_b = spread(v, covariance_b, mean_b, *settings)
    covariance = of_a + of_b

    def backward(g):
        pull = (2 * invariance_weight / a.size) * apart
        return to_a(g * (slope_a + pull)), to_b(g * (slope_b - pull))

    return invariance + covariance, backward, {"invariance": invariance, "covariance": covariance}


def spread(x, covariance, mean, covariance_weight, decay, mean_decay, eps, ranks=1, add_up=lambda own: own):
    """The covariance term of one view x, and its gradient for x; ``ranks`` and ``add_up`` as ``moved_statistics``."""
    backend = backend_of(x)
    xp = backend.xp
    rows, _, moved = moved_statistics(x, covariance, mean, decay, mean_decay, ranks, add_up)
    moved[xp.arange(len(moved)), xp.arange(len(moved))] += eps
    inverse = xp.linalg.inv(moved)
    slope = rows @ (inverse + inverse.T)
    slope *= -covariance_weight * (1 - decay) / (x.size * ranks)
    slope -= (1 - mean_decay) * add_up(backend.column_sums(slope)) / (len(x) * ranks)
    term = -covariance_weight * xp.linalg.slogdet(moved)[1] / len(moved)
    return term.astype(x.dtype), slope.astype(x.dtype)


def moved_statistics(x, covariance, mean, decay, mean_decay, ranks=1, add_up=lambda own: own):
    """(X (B, D), m (D,), R (D, D)) of the definition, in float64; None for a start from 0 and from I.

    Args:
        ranks, add_up: where x is one of as many equal shares of the rows, the number of shares and the function that
            adds an array up over them.
    """
    backend = backend_of(x)
    xp, x, count = backend.xp, x.astype("float64"), len(x) * ranks
    mean = 0 if mean is None else mean.astype("float64")
    mean = mean_decay * mean + (1 - mean_decay) * (add_up(backend.column_sums(x)) / count)
    rows = x - mean
    before = xp.eye(x.shape[1]) if covariance is None else covariance.astype("float64")
    return rows, mean, decay * before + (1 - decay) / count * add_up(rows.T @ rows)


@definition(corinfomax)
def corinfomax_definition(
    a,
    b,
    covariance_a,
    covariance_b,
    mean_a,
    mean_b,
    covariance_weight,
    invariance_weight,
    decay,
    mean_decay,
    eps,
    normalize,
):
    xp = backend_of(a.data).xp
    u, v = (unit_rows(x) if normalize else x for x in (a, b))
    width = a.shape[1]

    def volume(x, covariance, mean):
        """log |det|: the pivots of elimination."""
        m = mean_decay * (0 if mean is None else mean) + (1 - mean_decay) * x.mean(axis=0)
        past = xp.eye(width) if covariance is None else covariance
        left = decay * past + (1 - decay) * (x - m).T @ (x - m) / x.shape[0] + eps * xp.eye(width)
        total = 0
        for _ in range(width):
            total = total + log(left[0, 0] ** 2) / 2
            left = left[1:, 1:] - left[1:, :1] @ left[:1, 1:] / left[0, 0]
        return total

    distances = ((u - v) ** 2).mean()
    volumes = volume(u, covariance_a, mean_a) + volume(v, covariance_b, mean_b)
    return invariance_weight * distances - covariance_weight * volumes / width
