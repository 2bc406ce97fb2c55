"""Alignment and uniformity: pull partners together and spread each view over the sphere.

Definition. With u_i = a_i/|a_i|, v_i = b_i/|b_i| (``normalize``) and B rows per view,

    L = alignment_weight A + uniformity_weight (U(u) + U(v)) / 2
    A = (1/B) sum_i |u_i - v_i|^alpha,      U(x) = log( 1/(B(B-1)) sum_{i != j} e^{-t |x_i - x_j|²} )

U runs over distinct pairs within one view; no row meets a row of the other view except its partner. The third return
value holds ``alignment`` and ``uniformity`` as they enter L, weights included.

Gradient. dA/du_i = alpha |u_i - v_i|^(alpha-2) (u_i - v_i) / B = -dA/dv_i; dU/dx_i = -4t sum_j w_ij (x_i - x_j) with
w_ij the share of the ordered pair (i, j) in the sum. Then da = (du - u (u·du)) / |a|. Tiles of rows give value and
gradient in O(B * tile) memory.

Shapes: a, b (B, D), B >= 2. Ranges: alpha, t > 0 (paper: both 2). For unit rows and alpha 2, A lies in [0, 4] and U in
[-4t, 0]. Partners that coincide do not pull: for alpha < 2 that is the subgradient chosen. A zero row stays at the
origin and has a zero gradient.

Source. Wang, Isola 2020, arXiv 2005.10242, section 4.1. Authors' code, github.com/SsnL/align_uniform
(examples/stl10/main.py): both weights 1, alpha and t 2, the uniformity of the two views averaged.

Public implementations differ in the set of pairs of U (see ``uniformity``) and in whether the views' terms are averaged
or summed; some forget to normalise, and report alignments in the hundreds (SimCSE issue 122).
lightly's HypersphereLoss is this page's default but for its t of 1.
"""

import math

from mini_repr.autograd import logsumexp, off_diagonal, unit_rows
from mini_repr.backend import backend_of
from mini_repr.kernels.distinct_pairs import pair_log_mean_exp
from mini_repr.pages.arguments import Flag, NonNegative, Positive, Rows, Tile
from mini_repr.pages.invariants import between, exact, permutation, rotation, row_scaling, swap, translation
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import rows_of

_OPPOSITE = [[1.0, 2.0], [-3.0, -6.0]]

_TEX = {
    "definition": r"""
L = \lambda_A \, A + \frac{\lambda_U}{2} \bigl( U(u) + U(v) \bigr)

A = \frac{1}{B} \sum_i \lVert u_i - v_i \rVert^\alpha

U(x) = \log \frac{1}{B (B - 1)} \sum_{i \ne j} e^{-t \lVert x_i - x_j \rVert^2}
""",
    "gradient": r"""
\frac{\mathrm{d}A}{\mathrm{d}u_i} = \frac{\alpha}{B} \lVert u_i - v_i \rVert^{\alpha - 2} (u_i - v_i) =
-\frac{\mathrm{d}A}{\mathrm{d}v_i}

\frac{\mathrm{d}U}{\mathrm{d}x_i} = -4 t \sum_j w_{ij} \, (x_i - x_j)

\mathrm{d}a = \frac{\mathrm{d}u - u \, (u \cdot \mathrm{d}u)}{\lVert a \rVert}
""",
}


@loss(
    paper="001",
    tex=_TEX,
    variants={
        "alpha_1": variant("distances instead of squared distances between partners", alpha=1.0),
        "views_summed": variant("the uniformities of the two views added, not averaged", uniformity_weight=2.0),
        "raw_rows": variant("distances of the rows as they are", normalize=False),
    },
    invariants=[
        permutation("B"),
        rotation("D"),
        row_scaling("a", "b"),
        swap("a", "b"),
        translation("a", "b", normalize=False),
        between(-8, 4),
        exact("identical rows give 0", 0.0, a=[[1.0, 2.0]] * 3, b=[[1.0, 2.0]] * 3),
        exact("opposite rows, partners together, give -4t", -8.0, a=_OPPOSITE, b=_OPPOSITE),
        exact("opposite rows, partners apart, give 2^alpha - 4t", 0.0, a=_OPPOSITE, b=_OPPOSITE[::-1], alpha=3.0),
    ],
)
def align_uniform(
    a: Rows("B>=2 D"),
    b: Rows("B>=2 D"),
    alpha: Positive = 2.0,
    t: Positive = 2.0,
    alignment_weight: NonNegative = 1.0,
    uniformity_weight: NonNegative = 1.0,
    normalize: Flag = True,
    tile: Tile = None,
):
    xp = backend_of(a).xp
    (u, to_a), (v, to_b) = rows_of(a, normalize), rows_of(b, normalize)

    apart = u - v
    squares = (apart * apart).sum(axis=1)
    alignment = alignment_weight * (squares ** (alpha / 2)).mean()
    (uniformity_u, back_u), (uniformity_v, back_v) = (pair_log_mean_exp.on_arrays(x, t, tile=tile) for x in (u, v))
    uniformity = uniformity_weight / 2 * (uniformity_u + uniformity_v)

    def backward(g):
        # dA/du = alpha |u - v|^(alpha - 2) (u - v) / B, and dU/du, dU/dv from the kernel.
        power = xp.where(squares > 0, squares, 1) ** (alpha / 2 - 1)
        power *= g * (alignment_weight * alpha / len(u))
        du_alignment = power[:, None] * apart
        du, dv = back_u(g * (uniformity_weight / 2)), back_v(g * (uniformity_weight / 2))
        du += du_alignment
        dv -= du_alignment
        return to_a(du), to_b(dv)

    return alignment + uniformity, backward, {"alignment": alignment, "uniformity": uniformity}


@definition(align_uniform)
def align_uniform_definition(a, b, alpha, t, alignment_weight, uniformity_weight, normalize):
    u, v = (unit_rows(x) if normalize else x for x in (a, b))
    rows, width = u.shape

    def spread(x):
        apart = x.reshape(rows, 1, width) - x.reshape(1, rows, width)
        return logsumexp(off_diagonal(-t * (apart * apart).sum(axis=2))) - math.log(rows * (rows - 1))

    alignment = (((u - v) ** 2).sum(axis=1) ** (alpha / 2)).mean()
    return alignment_weight * alignment + uniformity_weight * (spread(u) + spread(v)) / 2
