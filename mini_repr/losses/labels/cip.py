"""CIP: inner products large within a class, at most zero across classes.

Definition. With s_ij = z_i·z_j of the rows as they are, P the ordered pairs i != j of one label and N those of two,

    L = 1/|P| sum_P log(1 + e^{margin - s_ij})  +  ortho_weight / |N| sum_N [s_ij]_+

The first part draws the rows of a class into one direction, the second makes classes orthogonal at least: an angle past
90 degrees costs nothing. Rows are not normalised; |z_i| says how firmly row i lies in its direction.
``penalty="hinge"`` takes [margin - s]_+ in the first part. ``signed=False`` takes |s_ij| there: a line through 0 counts
as one direction.

Gradient. s_ij receives -slope/|P| on P, slope being sigmoid(margin - s) or the hinge's 0 or 1 (0 at the kink; times the
sign of s with |s|), and ortho_weight [s_ij > 0] / |N| on N. With G these numbers, G = Gᵀ and dz = 2 G z. Tiles of rows
give value and gradient in one pass, in O(N * tile) memory.

Shapes: z (N, D), N >= 1; labels (N,), any integers. Ranges: margin any real, ortho_weight >= 0. A part without pairs is
0. Zero rows have s = 0 with everything: no gradient to others. Named parts: "cluster", "ortho".

Source. Li, Xu, Leng 2019, arXiv 1906.00546. Its abstract states the two aims, a linear subspace per class by plain
inner products without normalisation and inter-class subspaces at least orthogonal. No more of the text could be read
for this page and no official code was found: the penalties, the margin and the means over pairs are this page's choice.
"""

from mini_repr.autograd import absolute, relu
from mini_repr.backend import backend_of
from mini_repr.kernels.tiles import row_tiles
from mini_repr.kernels.triplets import PENALTY
from mini_repr.pages.arguments import Choice, Flag, Labels, NonNegative, Real, Rows, Tile
from mini_repr.pages.invariants import at_least, exact, permutation, relabelling, rotation
from mini_repr.pages.loss import definition, loss, variant

_AXES = {"z": [[2.0, 0.0], [3.0, 0.0], [0.0, 4.0], [0.0, 1.0]], "labels": [1, 1, 0, 0], "penalty": "hinge"}

_TEX = {
    "definition": r"""
L = \frac{1}{|P|} \sum_{(i,j) \in P} \log \bigl( 1 + e^{m - s_{ij}} \bigr) + \frac{\lambda}{|N|} \sum_{(i,j) \in N}
[s_{ij}]_+

s_{ij} = z_i \cdot z_j

P, N: \text{ordered pairs of one label, of two}
""",
    "gradient": r"""
\mathrm{d}z = 2 \, G z

G_{ij} = -\frac{\sigma(m - s_{ij})}{|P|} \quad ((i,j) \in P)

G_{ij} = \frac{\lambda \, [s_{ij} > 0]}{|N|} \quad ((i,j) \in N)
""",
}


@loss(
    paper="076",
    tex=_TEX,
    variants={
        "hinge": variant("a hinge at margin 1 draws classes together", penalty="hinge", margin=1.0),
        "line": variant("either direction of a line through 0", signed=False),
    },
    invariants=[
        permutation("N"),
        rotation("D"),
        relabelling(),
        at_least(0),
        exact("orthogonal classes with products past the margin cost nothing", 0.0, margin=4.0, **_AXES),
        exact("short of 9 by 3 in one class and by 5 in the other", 4.0, margin=9.0, **_AXES),
    ],
)
def cip(
    z: Rows("N D"),
    labels: Labels("N", stays=True),
    ortho_weight: NonNegative = 1.0,
    margin: Real = 0.0,
    penalty: Choice("softplus", "hinge") = "softplus",
    signed: Flag = True,
    tile: Tile = None,
):
    backend, label_xp = backend_of(z), backend_of(labels).xp
    xp, beside_z = backend.xp, backend.asarray(labels)
    members = label_xp.unique(labels, return_counts=True)[1]
    within = int((members * (members - 1)).sum())
    across = len(z) ** 2 - len(z) - within
    share_p, share_n = 1 / max(1, within), 1 / max(1, across)

    # All pairs of a kind weigh the same: the gradient is gathered on the way.
    cluster = ortho = xp.zeros((), dtype=z.dtype)
    pull = xp.empty_like(z)
    for rows in row_tiles(z, len(z), tile):
        s = z[rows] @ z.T
        negative = beside_z[rows, None] != beside_z
        same = labels[rows, None] == labels
        same[label_xp.arange(len(s)), label_xp.arange(rows.start, rows.stop)] = False
        positive = backend.asarray(label_xp.flatnonzero(same))  # places: a mask would be searched through twice
        products = s.reshape(-1)[positive]
        cost, back = PENALTY[penalty].on_arrays(margin - (products if signed else xp.abs(products)))
        cluster = cluster + cost.sum() * share_p
        weights = ((s > 0) & negative) * z.dtype.type(ortho_weight * share_n)
        weights.reshape(-1)[positive] = -share_p * back(xp.ones_like(cost)) * (1 if signed else xp.sign(products))
        xp.copyto(s, 0, where=~negative)
        ortho = ortho + xp.maximum(s, 0, out=s).sum() * share_n
        pull[rows] = 2 * weights @ z
    return cluster + ortho_weight * ortho, lambda g: (g * pull,), {"cluster": cluster, "ortho": ortho}


@definition(cip)
def cip_definition(z, labels, ortho_weight, margin, penalty, signed):
    s = z @ z.T
    numbers = backend_of(labels).xp.arange(len(labels))
    same = labels[:, None] == labels
    positive, negative = same & (numbers[:, None] != numbers), ~same
    cost = PENALTY[penalty](margin - (s if signed else absolute(s)))
    cluster = (cost * positive).sum() / max(1, int(positive.sum()))
    return cluster + ortho_weight * (relu(s) * negative).sum() / max(1, int(negative.sum()))
