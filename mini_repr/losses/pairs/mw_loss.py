"""MW loss: every partner's score above every other score of the batch, which is the area under the ROC curve.

Definition. With u_i = a_i/|a_i|, v_j = b_j/|b_j|, s_ij = u_i·v_j, temperature t, B pairs, softplus(x) = log(1 + e^x):

    L = mean over i and over all k != j of softplus( (s_kj - s_ii)/t )          (B positives x B(B-1) negatives)

The scores of other queries count as well: an irrelevant document of one must not score above a relevant one of another,
so that one threshold fits all. ``negatives="own"`` compares within a query only: mean_i mean_{j != i} softplus((s_ij -
s_ii)/t). Each comparison is a binary cross-entropy of the difference of two scores, at least log 2 where the order is
wrong, so that 1 - AUC <= L / log 2 for the AUC of the batch's scores. ``reduction="none"`` gives one value per
positive.

Gradient. With r_i the weight of positive i in the reduction and sigma the sigmoid, the logit s_kj/t receives
G_kj = sum_i r_i sigma((s_kj - s_ii)/t) / (B(B-1)), the logit s_ii/t the negative of what its comparisons sum to. Then
du = G v / t, dv = Gᵀ u / t, dt = -sum G_kj s_kj / t², da = (du - u (u·du)) / |a|.

B³ comparisons are never made one by one. sum_i r_i softplus(x - s_ii/t) is one function of x, analytic but for
singularities at a distance pi from the real line: on cells of width 1 a Chebyshev series of 14 terms has it to
round-off. It is evaluated at 14 nodes in each of the 2/t cells, for all positives: O(B/t). The negatives enter by what
the series' terms sum to in each cell (value, gradient of the positives) and by the series at their place (their own
gradient): O(B²), a tile of rows at a time, O(B * tile) memory.

Shapes: a, b (B, D), B >= 2. Ranges: temperature >= 0.001, for the cells' sake. L > 0; log 2 where all
scores are the same. A zero row has score 0 with everything and a zero gradient.

Source. Sheikholeslami et al. 2025, arXiv 2510.00137: binary cross-entropy over differences of positive and negative
scores, as a bound of the area over the ROC curve; no code was found. Whether the paper's experiments use a temperature
could not be confirmed; the default is this project's.
"""

import math

from mini_repr.autograd import off_diagonal, softplus, unit_rows
from mini_repr.backend import backend_of
from mini_repr.kernels.tiles import row_tiles
from mini_repr.pages.arguments import Choice, Positive, Reduction, Rows, Tile, WithGradient
from mini_repr.pages.invariants import at_least, exact, permutation, rotation, row_scaling, swap
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

TERMS = 14  # of a series on a cell of width 1: 12.6^-14 is below the round-off of float64
SMALLEST_TEMPERATURE = 1e-3
_ORTHOGONAL = {"a": [[1.0, 0.0], [0.0, 2.0]], "b": [[3.0, 0.0], [0.0, 1.0]]}

_TEX = {
    "definition": r"""
L = \frac{1}{B} \sum_i \frac{1}{B (B - 1)} \sum_{k \ne j} \log \bigl( 1 + e^{(s_{kj} - s_{ii})/t} \bigr)
""",
    "gradient": r"""
G_{kj} = \sum_i \frac{r_i}{B (B - 1)} \, \sigma \Bigl( \frac{s_{kj} - s_{ii}}{t} \Bigr) \quad (k \ne j)

G_{ii} = -\frac{r_i}{B (B - 1)} \sum_{k \ne j} \sigma \Bigl( \frac{s_{kj} - s_{ii}}{t} \Bigr)

\mathrm{d}u = \frac{G v}{t}
""",
}


@loss(
    paper="113",
    tex=_TEX,
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
    temperature: WithGradient(Positive) = 0.1,
    negatives: Choice("all", "own") = "all",
    reduction: Reduction = "mean",
    tile: Tile = None,
):
    if float(temperature) < SMALLEST_TEMPERATURE:
        raise ValueError(f"mw_loss: temperature: got {float(temperature):g}, expected at least {SMALLEST_TEMPERATURE}")
    xp = backend_of(a).xp
    (u, to_a), (v, to_b) = unit_rows.on_arrays(a), unit_rows.on_arrays(b)
    scale = 1 / temperature
    positive = (u * v).sum(axis=1) * scale

    def tiles_of_logits(values_a_pair=1):
        """(rows, logits of these rows, places of the partners in them), a tile at a time."""
        for rows in row_tiles(u, values_a_pair * len(v), tile):
            numbers = xp.arange(rows.start, rows.stop)
            yield rows, (u[rows] * scale) @ v.T, (numbers - rows.start, numbers)

    compare = _with_all if negatives == "all" else _with_own
    per_positive, slope, pulls = compare(positive, float(scale), tiles_of_logits)
    value, spread = reduce_rows(per_positive, reduction)

    def backward(g):
        r = spread(g)
        g_u, g_v = xp.empty_like(u), xp.zeros_like(v)
        for rows, partners, pull in pulls(r):
            pull[partners] = -(r * slope)[rows]
            xp.matmul(pull, v, out=g_u[rows])
            g_v += pull.T @ u[rows]
        g_scale = (u * g_u).sum()
        return to_a(g_u * scale), to_b(g_v * scale), -g_scale * scale**2

    return value, backward


def _with_own(positive, scale, tiles_of_logits):
    """Means over own negatives, the slopes of these means, and the gradients of logits for weights r of the rows."""
    xp = backend_of(positive).xp
    count = len(positive) - 1
    values, slope = xp.empty_like(positive), xp.empty_like(positive)

    def compared():
        for rows, logits, partners in tiles_of_logits():
            logits -= positive[rows, None]
            logits[partners] = -xp.inf
            cost, back = softplus.on_arrays(logits)
            yield rows, partners, cost, back(xp.ones_like(logits))

    for rows, _, cost, wrong in compared():
        values[rows], slope[rows] = cost.sum(axis=1) / count, wrong.sum(axis=1) / count

    def pulls(r):
        for rows, partners, _, wrong in compared():
            wrong *= r[rows, None] / count
            yield rows, partners, wrong

    return values, slope, pulls


def _with_all(positive, scale, tiles_of_logits):
    """The same for the negatives of all rows, through Chebyshev series on cells that cover all logits."""
    backend = backend_of(positive)
    xp, dtype = backend.xp, positive.dtype
    count = len(positive) * (len(positive) - 1)
    cells = math.ceil(2 * scale) + 1
    angles = [math.pi * (m + 0.5) / TERMS for m in range(TERMS)]
    # From values at the nodes to the series' coefficients; its transpose takes moments to weights of nodes.
    rows_of_terms = [[(2 if j else 1) / TERMS * math.cos(j * angle) for angle in angles] for j in range(TERMS)]
    to_series = backend.asarray(rows_of_terms, dtype="float64")
    in_cell = backend.asarray([(1 + math.cos(angle)) / 2 for angle in angles], dtype="float64")
    nodes = (xp.arange(cells)[:, None] - cells / 2 + in_cell).ravel()

    def series_terms():
        """With every tile, its logits' cells (M,) and terms (M, TERMS)."""
        for rows, logits, partners in tiles_of_logits(TERMS):
            place = logits.astype("float64") + cells / 2
            cell = xp.clip(xp.floor(place), 0, cells - 1)
            place -= cell
            place *= 2
            place -= 1
            terms = xp.empty((*place.shape, TERMS))
            terms[..., 0], terms[..., 1] = 1, place
            for j in range(2, TERMS):
                terms[..., j] = 2 * place * terms[..., j - 1] - terms[..., j - 2]
            yield rows, partners, cell.astype("int64"), terms

    moments = xp.zeros((cells, TERMS))
    for _, partners, cell, terms in series_terms():
        terms[partners] = 0
        backend.scatter_add(moments, cell.ravel(), terms.reshape(-1, TERMS))
    weights = (moments @ to_series).ravel() / count

    def at_nodes():
        for rows in row_tiles(positive, len(nodes)):
            cost, back = softplus.on_arrays(nodes - positive[rows, None])
            yield rows, cost, back(xp.ones_like(cost))

    values, slope = xp.empty_like(positive), xp.empty_like(positive)
    for rows, cost, wrong in at_nodes():
        values[rows], slope[rows] = cost @ weights, wrong @ weights

    def pulls(r):
        at_node = sum(r[rows] @ wrong for rows, _, wrong in at_nodes())
        series = at_node.reshape(cells, TERMS) @ to_series.T / count
        for rows, partners, cell, terms in series_terms():
            terms *= series[cell]
            yield rows, partners, terms.sum(axis=2).astype(dtype)

    return values, slope, pulls


@definition(mw_loss)
def mw_loss_definition(a, b, temperature, negatives, reduction):
    u, v = unit_rows(a), unit_rows(b)
    rows = u.shape[0]
    positive = (u * v).sum(axis=1).reshape(rows, 1)
    others = off_diagonal(u @ v.T)  # (B, B - 1)
    if negatives == "all":
        others = others.reshape(1, -1)
    return reduced(softplus((others - positive) / temperature).mean(axis=1), reduction)
