"""UniME: InfoNCE over each anchor's hardest negatives, without those that are probably false.

Definition. With u_i = a_i/|a_i|, v_j = b_j/|b_j|, s_ij = u_i·v_j and temperature t, a row b_j, j != i, is taken for a
false negative of anchor i, and left out, if

    s_ij > s_ii + margin

Of those that remain, H_i are the ``hardest`` (a number, k) most similar:

    L = mean_i -log( e^{s_ii/t} / (e^{s_ii/t} + sum_{j in H_i} e^{s_ij/t}) )

``short`` says what happens where n < k remain: "repeat" takes them again, hardest first, until there are k terms;
"fewer" sums over the n. Where none remains the loss of that anchor is 0. ``reduction="none"`` gives one value per pair.

Gradient. The choice is a constant. With P_ij the softmax over {i} and H_i (repeated terms added up) and r_i the weight
of anchor i in the reduction, s/t receives G_ij = r_i (P_ij - [j = i]); du = G v / t, dv = Gᵀ u / t,
dt = -sum_ij G_ij s_ij / t²; da = (du - u (u·du)) / |a|. Tiles of rows: O(B * (tile + k)) memory.

Shapes: a, b (B, D) with B >= 2. Ranges: temperature > 0, margin any number (paper: 0.1), k >= 1 (paper: 8). Of equally
similar negatives any may be taken. A zero row has similarity 0 to everything and a zero gradient.

Source. Gu et al. 2025, arXiv 2504.17432, second stage (hard negative enhanced instruction tuning); checked against the
authors' code, deepglint/UniME, loss.py: anchors in a only, temperature 0.02, threshold 0.1 over the partner's
similarity, top 8. Where fewer than 8 remain, that code's topk falls back on rows that the threshold had removed, or on
the partner itself, and uses their true similarities; it also needs more than 8 rows per batch. Its form for several
ranks multiplies the loss by their number. The first stage is ``similarity_kl``.
"""

import math

from mini_repr.autograd import exp, log, take_along, unit_rows, where
from mini_repr.backend import backend_of
from mini_repr.kernels.nearest import most_similar
from mini_repr.kernels.tiles import row_tiles
from mini_repr.pages.arguments import Choice, Count, Positive, Real, Reduction, Rows, Tile, WithGradient
from mini_repr.pages.invariants import at_least, exact, permutation, rotation, row_scaling
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

_SAME = {"a": [[1.0, 2.0]] * 4, "b": [[1.0, 2.0]] * 4}
_CROSSED = {"a": [[1.0, 0.0], [0.0, 1.0]], "b": [[0.0, 3.0], [2.0, 0.0]]}

_TEX = {
    "definition": r"""
L = -\frac{1}{B} \sum_i \log \frac{e^{s_{ii}/t}}{e^{s_{ii}/t} + \sum_{j \in H_i} e^{s_{ij}/t}}

H_i: \text{the } k \text{ most similar of the rows with } s_{ij} \le s_{ii} + m
""",
    "gradient": r"""
G_{ij} = r_i \, \bigl( P_{ij} - [j = i] \bigr)

\mathrm{d}u = \frac{G v}{t}

\mathrm{d}v = \frac{G^\top u}{t}
""",
}


@loss(
    paper="057",
    tex=_TEX,
    variants={
        "hardest_2": variant("two hard negatives an anchor", hardest=2),
        "fewer": variant("no negative twice where fewer than k remain", short="fewer"),
        "unfiltered": variant("nothing is taken for a false negative", margin=2.0, short="fewer"),
        "sum": variant("summed over pairs instead of averaged", reduction="sum"),
    },
    invariants=[
        permutation("B"),
        rotation("D"),
        row_scaling("a", "b"),
        at_least(0),
        exact("identical rows give log(1 + k)", math.log(9), **_SAME),
        exact("without repetition they give log B", math.log(4), short="fewer", **_SAME),
        exact("where all negatives are taken for false ones it is 0", 0.0, **_CROSSED),
    ],
)
def unime(
    a: Rows("B>=2 D"),
    b: Rows("B>=2 D"),
    temperature: WithGradient(Positive) = 0.02,
    hardest: Count() = 8,
    margin: Real = 0.1,
    short: Choice("repeat", "fewer") = "repeat",
    reduction: Reduction = "mean",
    tile: Tile = None,
):
    xp = backend_of(a).xp
    (u, to_a), (v, to_b) = unit_rows.on_arrays(a), unit_rows.on_arrays(b)
    own = (u * v).sum(axis=1)
    similar, columns = most_similar(u, v, hardest, ceiling=own + margin, tile=tile)
    copies = _copies(xp, xp.isfinite(similar), hardest, short).astype(a.dtype)
    above = xp.where(copies > 0, similar, own[:, None]) - own[:, None]  # s_ij - s_ii

    scale = 1 / temperature
    shift = xp.maximum(above[:, 0], 0) * scale
    shares = copies * xp.exp(above * scale - shift[:, None])
    total = shares.sum(axis=1) + xp.exp(-shift)
    shares /= total[:, None]  # P_ij of the negatives
    value, spread = reduce_rows(xp.log(total) + shift, reduction)

    def backward(g):
        r = spread(g)
        pull = shares * (r * scale)[:, None]
        g_u, g_v = xp.empty_like(u), xp.zeros_like(v)
        for rows in row_tiles(u, len(v), tile):
            weights = xp.zeros((rows.stop - rows.start, len(v)), dtype=u.dtype)
            numbers = xp.arange(rows.start, rows.stop)
            weights[(numbers - rows.start)[:, None], columns[rows]] = pull[rows]
            weights[numbers - rows.start, numbers] = -pull[rows].sum(axis=1)
            xp.matmul(weights, v, out=g_u[rows])
            g_v += weights.T @ u[rows]
        g_scale = (r * (shares * above).sum(axis=1)).sum()
        return to_a(g_u), to_b(g_v), -g_scale * scale**2

    return value, backward


def _copies(xp, found, hardest, short):
    """How often each of the most similar rows counts, of which those marked ``found`` (B, k) passed the threshold."""
    if short == "fewer":
        return found
    left = found.sum(axis=1, keepdims=True)
    rounds, rest = hardest // xp.maximum(left, 1), hardest % xp.maximum(left, 1)
    return found * (rounds + (xp.arange(found.shape[1]) < rest))


@definition(unime)
def unime_definition(a, b, temperature, hardest, margin, short, reduction):
    u, v = unit_rows(a), unit_rows(b)
    s = u @ v.T
    own = (u * v).sum(axis=1, keepdims=True)
    xp = backend_of(s.data).xp
    negatives = ~xp.eye(len(s), dtype=bool) & ~(s.data.real > own.data.real + margin)
    columns = xp.argsort(xp.where(negatives, -s.data.real, xp.inf), axis=1)[:, : min(hardest, len(s) - 1)]
    copies = _copies(xp, xp.take_along_axis(negatives, columns, axis=1), hardest, short)
    above = where(copies > 0, take_along(s, columns, axis=1) - own, 0)
    return reduced(log(1 + (copies * exp(above / temperature)).sum(axis=1)), reduction)
