"""Uniformity: spread the rows over the sphere, as charges that repel by a Gaussian potential.

Definition. With u_i = z_i/|z_i| (``normalize``) and B rows,

    L = log( 1/(B(B-1)) sum_{i != j} e^{-t |u_i - u_j|²} )

over distinct pairs; each pair counted once or twice, the mean is the same. ``self_pairs`` puts the B pairs i = j, at
distance 0, into the mean as well: L is then never below -log B, and every gradient is weaker.

Gradient. With w_ij the share of the ordered pair (i, j) in the sum, dL/du_i = -4t sum_j w_ij (u_i - u_j); then
dz = (du - u (u·du)) / |z|. On unit rows |u_i - u_j|² = 2 - 2 u_i·u_j. Tiles of rows give value and gradient in
O(B * tile) memory, and the largest exponent is taken out before the sum: rows far apart give no -inf.

Shapes: z (B, D), B >= 2. Ranges: t > 0 (paper: 2). Unit rows give -4t <= L <= 0; 0 where all rows are the same.
A zero row stays at the origin, at distance 1 from every unit row, and has a zero gradient.

Source. Wang, Isola 2020, arXiv 2005.10242, section 4.1 (logarithm of the average pairwise Gaussian potential, t = 2).
Authors' code, github.com/SsnL/align_uniform: torch.pdist, so pairs i < j, of rows that the caller has normalised.

Public implementations differ in the set of pairs (with i = j, or with both views' rows in one set; align_uniform issue
2), and some forget to normalise (SimCSE issue 122). Logarithms of a plain sum of exponentials underflow to -inf.
"""

import math

from mini_repr.autograd import logsumexp, off_diagonal, unit_rows
from mini_repr.kernels.distinct_pairs import pair_log_mean_exp
from mini_repr.pages.arguments import Flag, Positive, Rows, Tile
from mini_repr.pages.invariants import at_least, between, exact, permutation, rotation, row_scaling, translation
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import rows_of

_TEX = {
    "definition": r"""
L = \log \frac{1}{B (B - 1)} \sum_{i \ne j} e^{-t \lVert u_i - u_j \rVert^2}

u_i = \frac{z_i}{\lVert z_i \rVert}
""",
    "gradient": r"""
\mathrm{d}u_i = -4 t \sum_j w_{ij} \, (u_i - u_j)

w_{ij} = \frac{e^{-t \lVert u_i - u_j \rVert^2}}{\sum_{k \ne l} e^{-t \lVert u_k - u_l \rVert^2}}

\mathrm{d}z = \frac{\mathrm{d}u - u \, (u \cdot \mathrm{d}u)}{\lVert z \rVert}
""",
}


@loss(
    paper="001",
    tex=_TEX,
    variants={
        "self_pairs": variant("the mean over all B² pairs, rows with themselves among them", self_pairs=True),
        "raw_rows": variant("distances of the rows as they are", normalize=False),
    },
    invariants=[
        permutation("B"),
        rotation("D"),
        row_scaling("z"),
        translation("z", normalize=False),
        between(-8, 0),
        at_least(-math.log(6), self_pairs=True),
        exact("identical rows give 0", 0.0, z=[[1.0, 2.0]] * 3),
        exact("opposite rows give -4t", -8.0, z=[[1.0, 2.0], [-3.0, -6.0]]),
        exact("orthogonal rows give -2t", -4.0, z=[[5.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 2.0]]),
    ],
)
def uniformity(
    z: Rows("B>=2 D"), t: Positive = 2.0, self_pairs: Flag = False, normalize: Flag = True, tile: Tile = None
):
    u, to_z = rows_of(z, normalize)
    value, back = pair_log_mean_exp.on_arrays(u, t, self_pairs=self_pairs, tile=tile)
    return value, lambda g: (to_z(back(g)),)


@definition(uniformity)
def uniformity_definition(z, t, self_pairs, normalize):
    u = unit_rows(z) if normalize else z
    rows, width = u.shape
    apart = u.reshape(rows, 1, width) - u.reshape(1, rows, width)
    exponents = -t * (apart * apart).sum(axis=2)
    if not self_pairs:
        exponents = off_diagonal(exponents)
    return logsumexp(exponents) - math.log(exponents.shape[0] * exponents.shape[1])
