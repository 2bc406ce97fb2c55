"""Base-novel triplet: keep the few rows of new classes together and away from those of the old ones.

Definition. Classes 0 to ``base_classes`` - 1 are base classes, known well; others are novel, with few examples. With
u = z/|z| (``normalize``) and d_ij = |u_i - u_j|² or, ``distance="euclidean"``, |u_i - u_j|, a triplet is an anchor a of
a novel class, another row p of that class and a row n of a base class, and

    L = the mean over triplets of  [ d_ap - d_an + margin ]_+

It is added, with a weight, to the loss that finetunes a classifier on base and novel classes together: the weight moves
accuracy between the two. ``negatives="others"`` takes rows n of other novel classes too. ``mining="hard"`` keeps one
triplet per anchor: its farthest positive and its nearest negative. ``reduction`` "mean" divides by the number of
triplets, "mean_active" by that of those with a loss above 0, "sum" by nothing.

Gradient. As of ``triplet``, on these triplets: each active one adds w to the gradient G_ap of d_ap and takes w from
G_an, w being 1 over the number divided by; du_i = sum_j (G_ij + G_ji) s_ij (u_i - u_j) with s_ij = 2, or 1/d_ij for
"euclidean" (0 where d_ij = 0), and dz = (du - u (u·du)) / |z|. Tiles of anchors take O(N * tile) memory.

Shapes: z (N, D), N >= 1: rows of images or of pixels; labels (N,), integers. Ranges: base_classes >= 1, margin >= 0. A
batch without a triplet (no base row, no novel row, or each novel row alone in its class) gives 0 and a zero gradient.
If all rows collapse into one point, L = margin.

Source. Myers-Dean et al. 2021, arXiv 2112.10982: the abstract states a triplet regularisation that shifts the balance
of base and novel classes in finetuning. No more of the text could be read for this page and no official code was found:
who is anchor, positive and negative is the triplet loss of Schroff et al. 2015, arXiv 1503.03832, eq. 3, used for that
purpose, with its margin and distance.
"""

from mini_repr.autograd import relu, sqrt, unit_rows, where
from mini_repr.backend import backend_of
from mini_repr.kernels.triplets import triplet_sum
from mini_repr.pages.arguments import Choice, Count, Flag, Labels, NonNegative, Rows, Tile
from mini_repr.pages.invariants import between, exact, permutation, rotation, row_scaling, translation
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import rows_of

_COLLAPSED = {"z": [[1.0, 2.0]] * 5, "labels": [0, 0, 1, 1, 2]}

_TEX = {
    "definition": r"""
L = \frac{1}{|T|} \sum_{(a,p,n) \in T} \bigl[ d_{ap} - d_{an} + m \bigr]_+

d_{ij} = \lVert u_i - u_j \rVert^2

T: a, p \ \text{of one novel class}, \ n \ \text{of a base class}
""",
    "gradient": r"""
\mathrm{d}u_i = \sum_j (G_{ij} + G_{ji}) \, s_{ij} \, (u_i - u_j)

s_{ij} = 2 \ \text{or} \ \frac{1}{d_{ij}}
""",
}


@loss(
    paper="016",
    tex=_TEX,
    variants={
        "hard": variant("one triplet an anchor, the hardest", mining="hard"),
        "others": variant("rows of other novel classes are negatives too", negatives="others"),
        "euclidean": variant("distances, not their squares", distance="euclidean"),
        "active": variant("mean over the triplets with a loss above 0", reduction="mean_active"),
        "sum": variant("summed over triplets", reduction="sum"),
    },
    invariants=[
        permutation("N"),
        rotation("D"),
        row_scaling("z"),
        translation("z", normalize=False),
        between(0, 4.2),
        exact("collapsed rows cost the margin", 0.2, **_COLLAPSED),
        exact("base rows alone cost nothing", 0.0, base_classes=3, **_COLLAPSED),
        exact("novel rows alone cost nothing", 0.0, z=[[1.0, 2.0]] * 4, labels=[1, 1, 2, 2]),
    ],
)
def gfss_triplet(
    z: Rows("N D"),
    labels: Labels("N", stays=True),
    base_classes: Count() = 1,
    margin: NonNegative = 0.2,
    negatives: Choice("base", "others") = "base",
    mining: Choice("all", "hard") = "all",
    distance: Choice("squared", "euclidean") = "squared",
    normalize: Flag = True,
    reduction: Choice("mean", "mean_active", "sum") = "mean",
    tile: Tile = None,
):
    label_xp = backend_of(labels).xp
    u, to_z = rows_of(z, normalize)
    novel = labels >= base_classes
    eligible = ~novel if negatives == "base" else label_xp.ones(len(z), dtype=bool)
    anchors = label_xp.nonzero(novel)[0]
    sums, back = triplet_sum.on_arrays(u, labels, anchors, eligible, margin, mining, distance, "hinge", tile)
    divisor = sums.divisor(reduction)
    return sums.total / divisor, lambda g: (to_z(back((g / divisor, None, None))),)


@definition(gfss_triplet)
def gfss_triplet_definition(z, labels, base_classes, margin, negatives, mining, distance, normalize, reduction):
    xp = backend_of(labels).xp
    u = unit_rows(z) if normalize else z
    difference = u[:, None, :] - u[None, :, :]
    d = (difference * difference).sum(axis=2)
    if distance == "euclidean":
        apart = d.data.real > 0
        d = where(apart, sqrt(where(apart, d, 1)), 0)
    numbers, novel = xp.arange(len(labels)), labels >= base_classes
    same = labels[:, None] == labels
    positive = same & (numbers[:, None] != numbers) & novel[:, None]
    negative = ~same & ~novel if negatives == "base" else ~same
    chosen = positive[:, :, None] & negative[:, None, :]
    if mining == "hard":
        farthest = xp.argmax(xp.where(positive, d.data.real, -1), axis=1)
        nearest = xp.argmin(xp.where(negative, d.data.real, xp.inf), axis=1)
        chosen &= (numbers == farthest[:, None])[:, :, None] & (numbers == nearest[:, None])[:, None, :]
    cost = relu(d[:, :, None] - d[:, None, :] + margin) * chosen  # anchor, positive, negative
    count = {"mean": chosen.sum(), "mean_active": (cost.data.real > 0).sum(), "sum": 1}[reduction]
    return cost.sum() / max(1, int(count))
