"""Dispersive loss: a contrastive loss without positives, which only drives a batch of rows apart.

Definition. With d_ij = |z_i - z_j|² and E the mean over the B x B ordered pairs, i = j among them (``self_pairs``),

    "l2"          L = log E e^{-d_ij / temperature}
    "cosine"      L = log E e^{cos(z_i, z_j) / temperature}
    "hinge"       L = E max(0, margin - d_ij)²
    "covariance"  L = sum_{k != l} R_kl²,   R = Z̄ᵀ Z̄ / B,   Z̄ the columns standardised: (z - mean) / sqrt(var + eps)

Each is a known loss less the part that attracts: InfoNCE, the contrastive hinge, Barlow Twins. Rows are not normalised,
except inside the cosine. ``per_dimension`` divides d by D. The pairs i = j have no gradient: they add a constant to
the mean, bound L from below (l2: -log B) and weaken every other gradient.

Gradient. With w_ij the share of the ordered pair (i, j) in the sum, "l2": dz_i = -(4/temperature) sum_j w_ij
(z_i - z_j); "cosine": du_i = (2/temperature) sum_j w_ij u_j, then dz = (du - u (u·du)) / |z|; "hinge", over P pairs:
dz_i = -(8/P) sum_j max(0, margin - d_ij) (z_i - z_j); "covariance": dZ̄ = 4 Z̄ R_off / B, then back through the
standardisation as in Barlow Twins. Tiles of rows give value and gradient in O(B * tile) memory (covariance: D² or B²).

Shapes: z (B, D), B >= 2, activations of an intermediate layer, flattened. Ranges: temperature, margin, eps > 0. Rows
that coincide do not push each other. A zero row has cosine 0, to itself too, and in that form a zero gradient. A
constant column has no covariance with any.

Source. Wang, He 2025, arXiv 2506.09027: log E e^{-d/temperature} over all pairs, squared l2 distance, temperature 0.5.
The official PyTorch code (raywang4/DispLoss, README) takes d twice from torch.pdist and B zeros for i = j, divides it
by D and has no temperature: variant ``official_code``. It has the l2 form alone; squared l2 distances inside the hinge,
its margin, and standardised columns with eps are this page's reading of the other forms.

Public ports differ in the self pairs (most leave them out), in dividing by D and in the temperature (0.1 to 500).
"""

import math

from mini_repr.autograd import logsumexp, off_diagonal, relu, sqrt, standardise_columns, unit_rows
from mini_repr.kernels.cross_products import cross_products
from mini_repr.kernels.distinct_pairs import pair_hinge, pair_log_mean_exp
from mini_repr.pages.arguments import Choice, Flag, Positive, Rows, Tile
from mini_repr.pages.invariants import at_least, between, exact, permutation, rotation, row_scaling, translation
from mini_repr.pages.loss import definition, loss, variant

_ORTHOGONAL = [[2.0, 0.0], [0.0, 2.0]]

_TEX = {
    "definition": r"""
L_{l2} = \log \frac{1}{B^2} \sum_{i,j} e^{-\lVert z_i - z_j \rVert^2 / t}

L_\mathrm{cosine} = \log \frac{1}{B^2} \sum_{i,j} e^{\cos(z_i, z_j) / t}

L_\mathrm{hinge} = \frac{1}{B^2} \sum_{i,j} \max \bigl( 0, m - \lVert z_i - z_j \rVert^2 \bigr)^2

L_\mathrm{covariance} = \sum_{k \ne l} R_{kl}^2

R = \frac{\bar Z^\top \bar Z}{B}
""",
    "gradient": r"""
\mathrm{d}z_i = -\frac{4}{t} \sum_j w_{ij} \, (z_i - z_j)

w_{ij} = \frac{e^{-\lVert z_i - z_j \rVert^2 / t}}{\sum_{k,l} e^{-\lVert z_k - z_l \rVert^2 / t}}
""",
}


@loss(
    paper="003",
    tex=_TEX,
    variants={
        "official_code": variant("distances divided by D, no temperature", per_dimension=True, temperature=1.0),
        "distinct_pairs": variant("rows are not paired with themselves", self_pairs=False),
        "cosine": variant("cosines instead of distances", form="cosine"),
        "cosine_distinct": variant("cosines of distinct rows only", form="cosine", self_pairs=False),
        "hinge": variant("squared shortfall of the distances from a margin", form="hinge"),
        "covariance": variant("squared correlations between dimensions", form="covariance"),
    },
    invariants=[
        permutation("B"),
        rotation("D"),
        translation("z"),
        between(-math.log(9), 0),
        rotation("D", form="cosine"),
        row_scaling("z", form="cosine"),
        at_least(0, form="hinge"),
        permutation("D", form="covariance"),
        translation("z", form="covariance"),
        at_least(0, form="covariance"),
        exact("identical rows give 0", 0.0, z=[[1.0, 2.0]] * 3),
        exact("two rows at distance d give log((1 + e^(-d/t))/2)", math.log((1 + math.exp(-16)) / 2), z=_ORTHOGONAL),
        exact("two orthogonal rows", math.log((1 + math.exp(2)) / 2), z=_ORTHOGONAL, form="cosine"),
        exact("identical rows give margin²", 4.0, z=[[1.0, 2.0]] * 3, form="hinge", margin=2.0),
    ],
    sizes={"B": 9, "D": 3},  # few dimensions, so that some drawn pairs lie within the margin
)
def dispersive(
    z: Rows("B>=2 D"),
    form: Choice("l2", "cosine", "hinge", "covariance") = "l2",
    temperature: Positive = 0.5,
    margin: Positive = 1.0,
    per_dimension: Flag = False,
    self_pairs: Flag = True,
    eps: Positive = 1e-5,
    tile: Tile = None,
):
    rows, width = z.shape
    if form == "covariance":
        white, to_z = standardise_columns.on_arrays(z, eps)
        (_, others), back = cross_products.on_arrays(white, None)
        return others / rows**2, lambda g: (to_z(back((None, g / rows**2))[0]),)
    if form == "cosine":
        unit, to_z = unit_rows.on_arrays(z)
        value, back = pair_log_mean_exp.on_arrays(
            unit, 1 / temperature, distances=False, self_pairs=self_pairs, tile=tile
        )
        return value, lambda g: (to_z(back(g)),)
    unit_of_distance = width if per_dimension else 1
    if form == "l2":
        value, back = pair_log_mean_exp.on_arrays(
            z, 1 / (temperature * unit_of_distance), self_pairs=self_pairs, tile=tile
        )
        return value, lambda g: (back(g),)
    total, back = pair_hinge.on_arrays(z, margin * unit_of_distance, tile)
    share = 1 / ((rows if self_pairs else rows - 1) * rows * unit_of_distance**2)
    own = margin**2 / rows if self_pairs else 0
    return total * (2 * share) + own, lambda g: (back(g * (2 * share)),)


@definition(dispersive)
def dispersive_definition(z, form, temperature, margin, per_dimension, self_pairs, eps):
    rows, width = z.shape
    if form == "covariance":
        centred = z - z.mean(axis=0)
        white = centred / sqrt((centred**2).mean(axis=0) + eps)
        return (off_diagonal(white.T @ white / rows) ** 2).sum()
    apart = z.reshape(rows, 1, width) - z.reshape(1, rows, width)
    distances = (apart * apart).sum(axis=2) / (width if per_dimension else 1)
    if form == "cosine":
        unit = unit_rows(z)
        distances = -unit @ unit.T
    if not self_pairs:
        distances = off_diagonal(distances)
    if form == "hinge":
        return (relu(margin - distances) ** 2).mean()
    return logsumexp(-distances / temperature) - math.log(distances.shape[0] * distances.shape[1])
