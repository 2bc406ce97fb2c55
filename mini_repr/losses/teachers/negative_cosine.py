"""Negative cosine: predict, from one view, the direction of the other view's target.

Definition. With predictions p, targets z (constants: stop-gradient) and cos the cosine of two rows,

    D(p, z) = -cos(p, z)  ("cosine")     or     |p/|p| - z/|z||² = 2 - 2 cos(p, z)  ("squared")
    L = [ D(p1, z2) + D(p2, z1) ] / 2    or their sum (``views="sum"``),        averaged over rows (``reduction``).

The targets may come from the same network (SimSiam) or from a moving average of it (BYOL): the loss does not know.
One direction alone is the same call with its pair given twice: ``negative_cosine(p, p, z, z)`` is the mean D(p, z).

Gradient. With u = p1/|p1|, v = z2/|z2|, du = -w v and dp1 = (du - u (u·du)) / |p1|, so that p1·dp1 = 0; w is the row's
weight in the reduction, times 1/2 for the mean of the views, times 2 for "squared". BYOL's gradient is therefore 4
times SimSiam's. The targets' gradient is exactly zero and not returned.

Shapes: p1, p2, z1, z2 (B, D). Range: [-1, 1], for BYOL [0, 8]. A zero row has cosine 0 and a zero gradient. Nothing
here prevents collapse: constant outputs reach the least value.

Source. Chen, He 2021, arXiv 2011.10566, eq. 1 and 2 (with stop-gradient eq. 3 and 4), and the official code. "squared"
with the sum over views: Grill et al. 2020, arXiv 2006.07733, eq. 2 and the line after it. The official BYOL code
normalises by max(|x|², 1e-12), which only touches rows shorter than 1e-6.

Public implementations differ in the mean or the sum over the two views (a factor 2) and between -cos, 1 - cos and
2 - 2 cos; a missing stop-gradient leaves the value as it is and changes every gradient.
lightly's NegativeCosineSimilarity is one direction and leaves the stop-gradient to its caller.
"""

from mini_repr.autograd import stop_gradient, unit_rows
from mini_repr.pages.arguments import Choice, Reduction, Rows
from mini_repr.pages.invariants import between, exact, permutation, rotation, row_scaling
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

_ROWS, _OPPOSITE = [[1.0, 2.0], [0.5, -3.0]], [[-2.0, -4.0], [-0.5, 3.0]]

_TEX = {
    "definition": r"""
L = \frac{D(p_1, z_2) + D(p_2, z_1)}{2}

D(p, z) = -\cos(p, z) \ \text{or} \ 2 - 2 \cos(p, z)
""",
    "gradient": r"""
\mathrm{d}u = -w \, v

\mathrm{d}p = \frac{\mathrm{d}u - u \, (u \cdot \mathrm{d}u)}{\lVert p \rVert}
""",
}


@loss(
    paper="067",
    tex=_TEX,
    variants={
        "byol": variant("BYOL: 2 - 2 cos, the two views summed", form="squared", views="sum"),
        "sum_of_views": variant("negative cosines of the two views summed", views="sum"),
        "sum": variant("summed over rows instead of averaged", reduction="sum"),
    },
    invariants=[
        permutation("B"),
        rotation("D"),
        row_scaling("p1", "p2", "z1", "z2"),
        between(-1, 1),
        between(0, 8, form="squared", views="sum"),
        exact("the targets' directions give -1", -1.0, p1=_ROWS, p2=_ROWS, z1=_ROWS, z2=_ROWS),
        exact(
            "opposite ones give 8 for BYOL",
            8.0,
            p1=_ROWS,
            p2=_ROWS,
            z1=_OPPOSITE,
            z2=_OPPOSITE,
            form="squared",
            views="sum",
        ),
    ],
)
def negative_cosine(
    p1: Rows("B D"),
    p2: Rows("B D"),
    z1: Rows("B D", frozen=True),
    z2: Rows("B D", frozen=True),
    form: Choice("cosine", "squared") = "cosine",
    views: Choice("mean", "sum") = "mean",
    reduction: Reduction = "mean",
):
    offset, slope = (2, -2) if form == "squared" else (0, -1)
    share = 0.5 if views == "mean" else 1

    def direction(p, z):
        (u, to_p), (v, _) = unit_rows.on_arrays(p), unit_rows.on_arrays(z)
        return offset + slope * (u * v).sum(axis=1), lambda r: to_p((slope * share * r)[:, None] * v)

    (first, to_p1), (second, to_p2) = direction(p1, z2), direction(p2, z1)
    value, spread = reduce_rows(share * (first + second), reduction)

    def backward(g):
        r = spread(g)
        return to_p1(r), to_p2(r)

    return value, backward, {"p1_to_z2": first.mean(), "p2_to_z1": second.mean()}


@definition(negative_cosine)
def negative_cosine_definition(p1, p2, z1, z2, form, views, reduction):
    def distance(p, z):
        u, v = unit_rows(p), unit_rows(stop_gradient(z))
        return -(u * v).sum(axis=1) if form == "cosine" else 2 - 2 * (u * v).sum(axis=1)

    both = distance(p1, z2) + distance(p2, z1)
    return reduced(both / 2 if views == "mean" else both, reduction)
