"""Contrast of cMIM: each code against itself and the mean of the others, without views.

Definition. With u_i = z_i/|z_i| (``normalize``), s_ij = u_i·u_j and N rows,

    L = mean_i log( 1 + mean_{j != i} e^{(s_ij - s_ii) / temperature} )          s_ii = 1 of unit rows

which is -log p_i, p_i the share of the row itself, e^{s_ii/t}, beside the *mean* of e^{s_ij/t} over the other rows. A
mean in place of InfoNCE's sum (``over="sum"``) makes L almost independent of the batch's size. All rows equal give
log 2; orthogonal rows log(1 + e^{-1/t}).

Gradient. With r_i = log mean_j e^{(s_ij - s_ii)/t}, q_i = sigmoid(r_i) and w_ij the share of j in row i's mean, dr_i =
q_i/N, ds_ij = q_i w_ij / (N t) for j != i and ds_ii = -q_i / (N t); then du = (ds + dsᵀ) u, dz = (du - u (u·du)) / |z|.
Tiles of rows give value and gradient in O(N * tile) memory.

Shapes: z (N, D), N >= 2. Range: temperature > 0. A zero row has cosine 0, to itself too, and a zero gradient.

Source. Livne 2025, arXiv 2502.19642: contrast without positive views whose negatives are averaged, so that it depends
little on the size of a batch. No public code was found; the form of the positive term, cosines and the temperature are
this page's reading.
"""

import math

from mini_repr.autograd import exp, log1p, off_diagonal, softplus, unit_rows
from mini_repr.backend import backend_of
from mini_repr.kernels.log_sum_exp import similarity_logsumexp
from mini_repr.pages.arguments import Choice, Flag, Positive, Rows, Tile
from mini_repr.pages.invariants import at_least, between, exact, permutation, rotation, row_scaling
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import rows_of

_TEX = {
    "definition": r"""
L = \frac{1}{N} \sum_i \log \Bigl( 1 + \frac{1}{N - 1} \sum_{j \ne i} e^{(s_{ij} - s_{ii})/t} \Bigr)

s_{ij} = \frac{z_i \cdot z_j}{\lVert z_i \rVert \, \lVert z_j \rVert}
""",
    "gradient": r"""
r_i = \log \frac{1}{N - 1} \sum_{j \ne i} e^{(s_{ij} - s_{ii})/t}

\mathrm{d}s_{ij} = \frac{\sigma(r_i) \, w_{ij}}{N t} \quad (j \ne i)

\mathrm{d}s_{ii} = -\frac{\sigma(r_i)}{N t}

\mathrm{d}u = (\mathrm{d}s + \mathrm{d}s^\top) \, u
""",
}


@loss(
    paper="032",
    tex=_TEX,
    variants={
        "sum": variant("a sum over the other rows, as in InfoNCE", over="sum"),
        "raw_dot": variant("dot products of the rows as they are", normalize=False),
    },
    invariants=[
        permutation("N"),
        rotation("D"),
        row_scaling("z"),
        between(0, math.log(2)),
        at_least(0, over="sum"),
        exact("equal rows give log 2", math.log(2), z=[[1.0, 2.0]] * 3),
        exact("equal rows give log N for the sum", math.log(3), z=[[1.0, 2.0]] * 3, over="sum"),
        exact(
            "orthogonal rows give log(1 + e^(-1/t))",
            math.log(1 + math.exp(-2)),
            z=[[5.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 2.0]],
            temperature=0.5,
        ),
    ],
    sizes={"D": 3},  # few enough that some rows lie near each other, and the loss is not next to nothing
)
def cmim_contrast(
    z: Rows("N>=2 D"),
    temperature: Positive = 0.1,
    over: Choice("mean", "sum") = "mean",
    normalize: Flag = True,
    tile: Tile = None,
):
    xp = backend_of(z).xp
    u, to_z = rows_of(z, normalize)
    scale = 1 / temperature
    others, back = similarity_logsumexp.on_arrays(u, u, scale, skip_diagonal=True, tile=tile, unit=normalize)
    own = (u * u).sum(axis=1) * scale
    r = others.rows - own - (math.log(len(z) - 1) if over == "mean" else 0.0)
    per_row, to_r = softplus.on_arrays(r)

    def backward(g):
        dr = to_r(xp.broadcast_to(g / len(z), r.shape))
        du, other_side, _ = back((dr, None))
        du += other_side
        du -= (2 * scale * dr)[:, None] * u
        return (to_z(du),)

    return per_row.mean(), backward


@definition(cmim_contrast)
def cmim_contrast_definition(z, temperature, over, normalize):
    u = unit_rows(z) if normalize else z
    others = exp((off_diagonal(u @ u.T) - (u * u).sum(axis=1, keepdims=True)) / temperature)
    return log1p(others.mean(axis=1) if over == "mean" else others.sum(axis=1)).mean()
