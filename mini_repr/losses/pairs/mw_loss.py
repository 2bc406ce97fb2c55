"""MW loss: every partner's score above every other score of the batch, which is the area under the ROC curve.

Definition. With u_i = a_i/|a_i|, v_j = b_j/|b_j|, s_ij = u_i·v_j, temperature t and B pairs, softplus(x) = log(1 + e^x):

    L = mean over i and over all k != j of softplus( (s_kj - s_ii)/t )          (B positives x B(B-1) negatives)

The scores of other queries count as well: an irrelevant document of one must not score above a relevant one of another,
so that one threshold fits all. ``negatives="own"`` compares within a query only: mean_i mean_{j != i} softplus((s_ij -
s_ii)/t). Each comparison is a binary cross-entropy of the difference of two scores; it is at least log 2 where the order
is wrong, so that 1 - AUC <= L / log 2 for the AUC of the batch's scores. ``reduction="none"`` gives one value a
positive.

Gradient. With r_i the weight of positive i in the reduction and sigma the sigmoid, the logit s_kj/t receives
G_kj = sum_i r_i sigma((s_kj - s_ii)/t) / (B(B-1)), the logit s_ii/t the negative of what its comparisons sum to. Then
du = G v / t, dv = Gᵀ u / t, dt = -sum G_kj s_kj / t², da = (du - u (u·du)) / |a|.

B³ comparisons are never made one by one. sum_i r_i softplus(x - s_ii/t) is one function of x, analytic but for
singularities at a distance pi from the real line: on cells of width 1 a Chebyshev series of 14 terms has it to
round-off. It is evaluated at 14 nodes in each of the 2/t cells, for all positives: O(B/t). The negatives enter by what
the series' terms sum to in each cell (value, gradient of the positives) and by the series at their place (their own
gradient): O(B²), a tile of rows at a time, O(B * tile) memory.

Shapes: a, b (B, D), B >= 2. Ranges: temperature > 0; no smaller than 1e-5, for the cells' sake. L > 0; log 2 where all
scores are the same. A zero row has score 0 with everything and a zero gradient.

Source. Sheikholeslami et al. 2025, arXiv 2510.00137: binary cross-entropy over differences of positive and negative
scores, as a bound of the area over the ROC curve; no code was found. Whether the paper's experiments use a temperature
could not be confirmed; the default is this house's.
"""

import math

from mini_repr.autograd import off_diagonal, softplus, unit_rows
from mini_repr.backend import backend_of
from mini_repr.losses.annotations import Choice, Learned, Reduction, Rows, Scalar, Tile
from mini_repr.losses.contract import loss, variant
from mini_repr.losses.invariants import at_least, exact, permutation, rotation, row_scaling, swap
from mini_repr.losses.reduction import reduce_rows, reduced
from mini_repr.losses.tiles import row_tiles

TERMS = 14  # of a series on a cell of width 1: 12.6^-14 is below the round-off of float64
_ORTHOGONAL = {"a": [[1.0, 0.0], [0.0, 2.0]], "b": [[3.0, 0.0], [0.0, 1.0]]}


@loss(
    paper="113",
    variants={
        "own_negatives": variant("a positive against the negatives of its own query only", negatives="own"),
        "sum": variant("summed over positives instead of averaged", reduction="sum"),
    },
    invariants=[
        permutation("B"),
        rotation("D"),
        row_scaling("a", "b"),
        swap("a", "b"),
        at_least(0),
        exact("identical rows give log 2", math.log(2), a=[[1.0, 2.0]] * 3, b=[[1.0, 2.0]] * 3),
        exact("orthogonal pairs give log(1 + e^(-1/t))", math.log1p(math.exp(-2)), temperature=0.5, **_ORTHOGONAL),
    ],
)
def mw_loss(
    a: Rows("B>=2 D"),
    b: Rows("B>=2 D"),
    temperature: Learned(Scalar(low=1e-5)) = 0.1,
    negatives: Choice("all", "own") = "all",
    reduction: Reduction = "mean",
    tile: Tile = None,
):
    backend = backend_of(a)
    xp = backend.xp
    (u, to_a), (v, to_b) = unit_rows.on_arrays(a), unit_rows.on_arrays(b)
    scale = 1 / temperature
    positive = (u * v).sum(axis=1) * scale
    tiles = row_tiles(u, len(v) * (TERMS if negatives == "all" else 1), tile)
    count = len(v) - 1 if negatives == "own" else len(u) * (len(v) - 1)

    def sweep(visit):
        """``visit(rows, logits)`` on every tile of logits."""
        for rows in tiles:
            visit(rows, (u[rows] * scale) @ v.T)

    def partners(rows):
        numbers = xp.arange(rows.start, rows.stop)
        return numbers - rows.start, numbers

    # What positive i is compared with, as points and their weights: its own negatives, or the nodes of all cells.
    if negatives == "all":
        series = _Series(backend, float(scale))
        moments = xp.zeros((series.cells, TERMS))

        def gather(rows, logits):
            terms, cells = series.terms(logits)
            terms.reshape(*logits.shape, TERMS)[partners(rows)] = 0
            backend.scatter_add(moments, cells, terms)

        sweep(gather)
        nodes, weights = series.nodes, (moments @ series.to_nodes) / count

        def compared(rows):
            return nodes
