"""Cross-similarity BYOL (CCSL, CSSL): besides its own target, predict those of rows that are already similar.

Definition. For predictions p of one view and targets z of the other (constants: stop-gradient),

    B_i = 2 - 2 cos(p_i, z_i),      C_i = mean of c_ij over the similar j != i, 0 where there are none
    L(p, z) = mean_i [ B_i + weight C_i ],      L = L(p1, z2) + L(p2, z1)

    "cosine"    CCSL: j is similar where cos(p_i, z_j) >= threshold;     c_ij = 2 - 2 cos(p_i, z_j)
    "sigmoid"   CSSL: j is similar where sigmoid(p_i·z_j) >= threshold;  c_ij = -log sigmoid(p_i·z_j)

Which rows are similar is found anew in each batch, from predictions against targets, and is a constant to the gradient.
The third return value holds ``byol`` and ``similar`` (their sums over the views, before the weight) and ``share``, the
share of all pairs i != j that were similar.

Gradient. With u = p/|p|, v = z/|z|, r the row's weight in the reduction, n_i the number similar to i and m_ij = 1 for
those: du_i = -2 r_i [v_i + weight (1/n_i) sum_j m_ij v_j] and dp = (du - u (u·du)) / |p|; in the sigmoid form the
second part is instead dp_i -= r_i weight (1/n_i) sum_j m_ij (1 - sigmoid(p_i·z_j)) z_j. Tiles of rows: O(B * tile)
memory.

Shapes: p1, p2, z1, z2 (B, D), B >= 2. Ranges: 0 <= threshold <= 1, weight >= 0; L >= 0. A zero row has cosine 0 to
everything; its gradient is zero in the cosine form. Collapsed rows are all similar: nothing here prevents collapse.

Source. Garg, Jain 2022, arXiv 2204.04545. Only its abstract could be read: the distance of semantically similar pairs
of a batch is reduced, found by cosine (CCSL) or by a sigmoid (CSSL). The official code (gargsid/Self-Supervised-Self-
Labeling-Refinement-with-Bootstrap-Your-Own-Latent) has BYOL with 2 - 2 cos, both views summed, and scripts for both
forms with theta_positive 0.8, the threshold here, but not the classes of the two losses. Their exact form and the
weight 1 are this page's reading; the scripts' theta_negative 0.2, a bound for dissimilar pairs by its name, has no use.
"""

import math

from mini_repr.autograd import sigmoid, softplus, stop_gradient, unit_rows, where
from mini_repr.backend import backend_of
from mini_repr.kernels.tiles import row_tiles
from mini_repr.pages.arguments import Choice, Fraction, NonNegative, Reduction, Rows, Tile
from mini_repr.pages.invariants import at_least, exact, permutation, rotation, row_scaling
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

_VIEWS = ("p1", "p2", "z1", "z2")
_SAME = {name: [[3.0, 4.0]] * 3 for name in _VIEWS}

_TEX = {
    "definition": r"""
L = L(p_1, z_2) + L(p_2, z_1)

L(p, z) = \frac{1}{B} \sum_i \bigl[ 2 - 2 \cos(p_i, z_i) + \lambda \, C_i \bigr]

C_i = \frac{1}{n_i} \sum_j m_{ij} \, c_{ij}

c_{ij} = 2 - 2 \cos(p_i, z_j) \ \text{or} \ -\log \sigma(p_i \cdot z_j)
""",
    "gradient": r"""
\mathrm{d}u_i = -2 \, r_i \Bigl[ v_i + \frac{\lambda}{n_i} \sum_j m_{ij} \, v_j \Bigr]

\mathrm{d}p = \frac{\mathrm{d}u - u \, (u \cdot \mathrm{d}u)}{\lVert p \rVert}
""",
}


@loss(
    paper="061",
    tex=_TEX,
    variants={
        "cssl": variant("similar by the sigmoid of dot products", form="sigmoid"),
        "ccsl_wide": variant("pairs of cosine 0.3 and more are similar", threshold=0.3),
        "byol": variant("no similar pairs: BYOL", weight=0.0),
        "sum": variant("summed over rows instead of averaged", reduction="sum"),
    },
    invariants=[
        permutation("B"),
        permutation("B", form="sigmoid"),
        rotation("D", form="sigmoid"),
        row_scaling(*_VIEWS, threshold=0.3),
        at_least(0, form="sigmoid"),
        exact("the targets' directions, all alike, give 0", 0.0, **_SAME),
        exact("CSSL: log(1 + e^-25) a view", 2 * math.log1p(math.exp(-25)), form="sigmoid", **_SAME),
    ],
)
def cross_similarity(
    p1: Rows("B>=2 D"),
    p2: Rows("B>=2 D"),
    z1: Rows("B D", frozen=True),
    z2: Rows("B D", frozen=True),
    form: Choice("cosine", "sigmoid") = "cosine",
    threshold: Fraction = 0.8,
    weight: NonNegative = 1.0,
    reduction: Reduction = "mean",
    tile: Tile = None,
):
    directions = [_direction(p, z, form, threshold, tile) for p, z in ((p1, z2), (p2, z1))]
    byol = sum(one[0] for one in directions)
    similar = sum(one[1] for one in directions)
    value, spread = reduce_rows(byol + weight * similar, reduction)

    def backward(g):
        r = spread(g)
        return tuple(back(r, weight * r) for _, _, _, back in directions)

    share = sum(pairs for _, _, pairs, _ in directions) / (2 * len(p1) * (len(p1) - 1))
    return value, backward, {"byol": byol.mean(), "similar": similar.mean(), "share": share}


def _direction(p, z, form, threshold, tile):
    """B (B,), C (B,), the number of similar pairs, and ``back(r_byol, r_similar)``, the gradient of p."""
    xp = backend_of(p).xp
    (u, to_p), (v, _) = unit_rows.on_arrays(p), unit_rows.on_arrays(z)
    left, right = (u, v) if form == "cosine" else (p, z)
    tiles = row_tiles(p, len(z), tile)

    def products(rows):
        """Dot products of a tile and, as numbers, which of them are of similar pairs."""
        s = left[rows] @ right.T
        similar = (s if form == "cosine" else sigmoid.on_arrays(s)[0]) >= threshold
        numbers = xp.arange(rows.start, rows.stop)
        similar[numbers - rows.start, numbers] = False
        return s, similar.astype(p.dtype)

    count = xp.empty(len(p), dtype=p.dtype)
    cost = xp.empty_like(count)
    for rows in tiles:
        s, similar = products(rows)
        count[rows] = similar.sum(axis=1)
        similar *= 2 - 2 * s if form == "cosine" else softplus.on_arrays(-s)[0]
        cost[rows] = similar.sum(axis=1)
    pairs = count.sum()
    count = xp.maximum(count, 1)

    def back(r_byol, r_similar):
        g_left = xp.empty_like(p)
        for rows in tiles:
            s, weights = products(rows)
            weights *= -2 if form == "cosine" else -sigmoid.on_arrays(-s)[0]
            weights *= (r_similar / count)[rows, None]
            xp.matmul(weights, right, out=g_left[rows])
        g_u = -2 * r_byol[:, None] * v
        return to_p(g_u + g_left) if form == "cosine" else to_p(g_u) + g_left

    return 2 - 2 * (u * v).sum(axis=1), cost / count, pairs, back


@definition(cross_similarity)
def cross_similarity_definition(p1, p2, z1, z2, form, threshold, weight, reduction):
    def direction(p, z):
        u, v = unit_rows(p), unit_rows(stop_gradient(z))
        s = u @ v.T if form == "cosine" else p @ stop_gradient(z).T
        similar = (s if form == "cosine" else sigmoid(s)).data.real >= threshold
        xp = backend_of(s.data).xp
        similar = similar & ~xp.eye(len(similar), dtype=bool)
        cost = 2 - 2 * s if form == "cosine" else softplus(-s)
        count = xp.maximum(similar.sum(axis=1), 1)
        return 2 - 2 * (u * v).sum(axis=1) + weight * where(similar, cost, 0.0).sum(axis=1) / count

    return reduced(direction(p1, z2) + direction(p2, z1), reduction)
