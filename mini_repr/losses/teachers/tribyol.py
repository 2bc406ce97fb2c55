"""TriBYOL: one view predicts two others, each seen by a teacher of its own.

Definition. With predictions p, targets z (constants: stop-gradient) and D(p, z) = |p/|p| - z/|z||² = 2 - 2 cos(p, z),

    L = sum over pairs of views (v, w) of [ D(p_v, z_w) + D(p_w, z_v) ] / 2,        averaged over rows (``reduction``)

    "first"     the pairs (1, 2) and (1, 3): the triple-view loss
    "all"       those and (2, 3)
    "one_way"   D(p1, z2) + D(p1, z3) alone: neither the other direction nor the halves

There are two teachers. The first gives z1 and z2, the second z3 and ``z1_second``, the first view as *it* sees it;
where ``z1_second`` is left out, z1 stands for both. Both are moving averages of the student; they move in turn, each at
every other step, and so stay apart. Three views teach more per step, which is meant for small batches. The third return
value holds the mean of each distance, ``p1_to_z2`` and so on, before the halves.

Gradient. With u = p/|p| and v = z/|z| of one distance, du = -w v and dp = (du - u (u·du)) / |p|, so that p·dp = 0; w is
the row's weight in the reduction, times 2 where the distance stands alone ("one_way"). The targets receive none.

Shapes: p1, p2, p3, z1, z2, z3, z1_second (B, D). Range: [0, 8], with "all" [0, 12]. A zero row has cosine 0 and a zero
gradient. Nothing here prevents collapse: constant outputs reach the least value.

Source. Li, Togo, Ogawa, Haseyama 2022, arXiv 2206.03012 (ICASSP 2022). The paper's equations could not be read and no
official code was found. Two public reimplementations agree on "first" with halves and on teachers that move in turn. A
third, for Lightning, is "one_way" and moves both teachers at every step.
"""

from mini_repr.autograd import stop_gradient, unit_rows
from mini_repr.pages.arguments import Choice, Optional, Reduction, Rows
from mini_repr.pages.invariants import between, exact, permutation, rotation, row_scaling
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

_ROWS, _OPPOSITE = [[1.0, 2.0], [0.5, -3.0]], [[-2.0, -4.0], [-0.5, 3.0]]
_PREDICTIONS = {"p1": _ROWS, "p2": _ROWS, "p3": _ROWS}

_TEX = {
    "definition": r"""
L = \sum_{(v,w)} \frac{D(p_v, z_w) + D(p_w, z_v)}{2}

D(p, z) = 2 - 2 \cos(p, z)

(v, w): \text{the pairs } (1, 2), (1, 3)
""",
    "gradient": r"""
\mathrm{d}u = -w \, v

\mathrm{d}p = \frac{\mathrm{d}u - u \, (u \cdot \mathrm{d}u)}{\lVert p \rVert}
""",
}


@loss(
    paper="071",
    tex=_TEX,
    views=3,
    variants={
        "two_teachers": variant("the second teacher's own target of the first view", ["z1_second"]),
        "all_pairs": variant("the pair of the second and third views too", pairs="all"),
        "one_way": variant("the first view predicts, the others are targets only", pairs="one_way"),
        "sum": variant("summed over rows instead of averaged", reduction="sum"),
    },
    invariants=[
        permutation("B", needs=("z1_second",)),
        rotation("D", needs=("z1_second",)),
        row_scaling("p1", "p2", "p3", "z1", "z2", "z3"),
        between(0, 8),
        between(0, 12, pairs="all"),
        exact("the targets' directions give 0", 0.0, z1=_ROWS, z2=_ROWS, z3=_ROWS, **_PREDICTIONS),
        exact("opposite ones give 8", 8.0, z1=_OPPOSITE, z2=_OPPOSITE, z3=_OPPOSITE, **_PREDICTIONS),
    ],
)
def tribyol(
    p1: Rows("B D"),
    p2: Rows("B D"),
    p3: Rows("B D"),
    z1: Rows("B D", frozen=True),
    z2: Rows("B D", frozen=True),
    z3: Rows("B D", frozen=True),
    z1_second: Optional(Rows("B D", frozen=True)) = None,
    pairs: Choice("first", "all", "one_way") = "first",
    reduction: Reduction = "mean",
):
    predictions = [unit_rows.on_arrays(p) for p in (p1, p2, p3)]
    targets = [unit_rows.on_arrays(z)[0] for z in (z1, z2, z3, z1 if z1_second is None else z1_second)]
    terms = _terms(pairs)
    costs = {(p, z): 2 - 2 * (predictions[p][0] * targets[z]).sum(axis=1) for p, z in terms}
    value, spread = reduce_rows(sum(share * costs[term] for term, share in terms.items()), reduction)

    def backward(g):
        r = spread(g)[:, None]
        gradients = []
        for number, (u, to_p) in enumerate(predictions):
            g_u = 0 * u
            for (p, z), share in terms.items():
                if p == number:
                    g_u -= (2 * share) * targets[z]
            g_u *= r
            gradients.append(to_p(g_u))
        return tuple(gradients)

    return value, backward, {f"p{p + 1}_to_{_TARGETS[z]}": cost.mean() for (p, z), cost in costs.items()}


_TARGETS = ("z1", "z2", "z3", "z1_second")


def _terms(pairs):
    """{(prediction, target): share} by place in (p1, p2, p3) and in ``_TARGETS``."""
    if pairs == "one_way":
        return {(0, 1): 1.0, (0, 2): 1.0}
    both = {(0, 1): 0.5, (1, 0): 0.5, (0, 2): 0.5, (2, 3): 0.5}
    return both if pairs == "first" else {**both, (1, 2): 0.5, (2, 1): 0.5}


@definition(tribyol)
def tribyol_definition(p1, p2, p3, z1, z2, z3, z1_second, pairs, reduction):
    def distance(p, z):
        return 2 - 2 * (unit_rows(p) * unit_rows(stop_gradient(z))).sum(axis=1)

    if pairs == "one_way":
        return reduced(distance(p1, z2) + distance(p1, z3), reduction)
    total = (distance(p1, z2) + distance(p2, z1)) / 2
    total = total + (distance(p1, z3) + distance(p3, z1 if z1_second is None else z1_second)) / 2
    if pairs == "all":
        total = total + (distance(p2, z3) + distance(p3, z2)) / 2
    return reduced(total, reduction)
