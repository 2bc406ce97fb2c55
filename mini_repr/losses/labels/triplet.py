"""Triplet: an anchor nearer to its own class than to any other, by a margin.

Definition. With u = z/|z| (``normalize``) and d_ij = |u_i - u_j|² or, ``distance="euclidean"``, |u_i - u_j|, a triplet
is an anchor a, a positive p != a of its label and a negative n of another, and

    L = the mean over triplets of  [ d_ap - d_an + margin ]_+

``penalty="softplus"`` takes log(1 + e^x) in place of [x]_+. ``mining`` says which triplets there are:

    "all"        every one
    "hard"       one per anchor: its farthest positive and its nearest negative
    "semihard"   one per pair (a, p): the nearest negative with d_an > d_ap; a pair without one has no triplet
    "semihard_fallback"   the same, but a pair without one takes its farthest negative

``reduction`` "mean" divides by the number of these triplets, "mean_active" by that of those with a loss above 0, and
"sum" by nothing. An anchor alone in its class has no triplet but serves as a negative. Without a triplet (or an active
one) L is 0, with a zero gradient.

Gradient. Which triplets there are is taken as constant. Each adds w to the gradient G_ap of d_ap and takes w from G_an,
w being the penalty's slope (hinge: 0 or 1, 0 at the kink; softplus: sigmoid) over the number divided by. Then du_i =
sum_j (G_ij + G_ji) s_ij (u_i - u_j) with s_ij = 2, or 1/d_ij for "euclidean" (0 where d_ij = 0), and
dz = (du - u (u·du)) / |z|. Ties are broken by row number. Tiles of anchors, one positive at a time, take
O(N * tile) memory and as many elementwise steps as there are triplets ("hard": N²).

Shapes: z (N, D), N >= 3; labels (N,), any integers, two of them equal and two different. Range: margin >= 0. Distances
are computed as |x|² + |y|² - 2 x·y about the mean row; below the round-off of that they are 0. If all rows collapse
into one point, L = margin for "all" and "hard" and 0 for "semihard".

Source. Schroff et al. 2015, arXiv 1503.03832: eq. 3 (a sum), unit rows in section 3.1, semi-hard negatives eq. 4,
margin 0.2 in section 3.3. "hard" (batch hard), softplus without margin and plain distances: Hermans et al. 2017, arXiv
1703.07737, eq. 5 and section 2, and its official code. Used as a regulariser of few-shot segmentation by Myers-Dean et
al. 2021, arXiv 2112.10982.

Public implementations differ in all of these, and: TensorFlow Addons' semi-hard loss and sentence-transformers'
BatchSemiHardTripletLoss (margin 5, raw rows) fall back on the farthest negative: ``semihard_fallback``. Euclidean ones
add 1e-12 or so inside the root, torch's triplet_margin_loss 1e-6 to every coordinate's difference.
pytorch-metric-learning's TripletMarginLoss averages over active triplets of unit rows, margin 0.05: ``euclidean`` with
reduction="mean_active", and mining="hard" with its BatchHardMiner.
"""

from mini_repr.autograd import sqrt, unit_rows, where
from mini_repr.backend import backend_of
from mini_repr.kernels.triplets import PENALTY, triplet_sum
from mini_repr.pages.arguments import Choice, Flag, Labels, NonNegative, Rows, Tile
from mini_repr.pages.invariants import between, exact, permutation, relabelling, rotation, row_scaling, translation
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import rows_of

_COLLAPSED = {"z": [[1.0, 2.0]] * 5, "labels": [0, 0, 1, 1, 1]}

_TEX = {
    "definition": r"""
L = \frac{1}{|T|} \sum_{(a, p, n) \in T} \bigl[ d_{ap} - d_{an} + m \bigr]_+

d_{ij} = \lVert u_i - u_j \rVert^2 \ \text{or} \ \lVert u_i - u_j \rVert

T, m: \text{the triplets, the margin}
""",
    "gradient": r"""
\mathrm{d}u_i = \sum_j (G_{ij} + G_{ji}) \, s_{ij} \, (u_i - u_j)

s_{ij} = 2 \ \text{or} \ \frac{1}{d_{ij}}

\mathrm{d}z = \frac{\mathrm{d}u - u \, (u \cdot \mathrm{d}u)}{\lVert z \rVert}
""",
}


@loss(
    paper="016",
    tex=_TEX,
    variants={
        "semihard": variant("FaceNet's choice of negatives", mining="semihard"),
        "semihard_fallback": variant(
            "TensorFlow Addons: without a semi-hard negative, the farthest", mining="semihard_fallback"
        ),
        "batch_hard": variant(
            "Hermans et al.: batch hard, Euclidean, raw rows", mining="hard", distance="euclidean", normalize=False
        ),
        "soft_margin": variant(
            "batch hard with softplus and no margin",
            mining="hard",
            distance="euclidean",
            normalize=False,
            penalty="softplus",
            margin=0.0,
        ),
        "active": variant("mean over the triplets with a loss above 0", reduction="mean_active"),
        "sum": variant("FaceNet's eq. 3 to the letter: summed over triplets", reduction="sum"),
        "euclidean": variant("distances, not their squares", distance="euclidean"),
    },
    invariants=[
        permutation("N"),
        permutation("N", mining="semihard"),
        rotation("D"),
        row_scaling("z"),
        translation("z", normalize=False),
        relabelling(),
        between(0, 4.2),
        exact("collapsed rows cost the margin", 0.2, **_COLLAPSED),
        exact("collapsed rows cost the margin", 0.5, mining="hard", margin=0.5, distance="euclidean", **_COLLAPSED),
        exact("collapsed rows have no semi-hard negative", 0.0, mining="semihard", **_COLLAPSED),
    ],
)
def triplet(
    z: Rows("N>=3 D"),
    labels: Labels("N", stays=True),
    margin: NonNegative = 0.2,
    mining: Choice("all", "hard", "semihard", "semihard_fallback") = "all",
    distance: Choice("squared", "euclidean") = "squared",
    penalty: Choice("hinge", "softplus") = "hinge",
    normalize: Flag = True,
    reduction: Choice("mean", "mean_active", "sum") = "mean",
    tile: Tile = None,
):
    label_xp = backend_of(labels).xp
    largest = int(label_xp.unique(labels, return_counts=True)[1].max())
    if largest in (1, len(z)):
        came = "no two equal" if largest == 1 else "all equal"
        raise ValueError(f"triplet: labels: got {came}, expected two equal and two different ones")
    u, to_z = rows_of(z, normalize)
    anchors, everyone = label_xp.arange(len(z)), label_xp.ones(len(z), dtype=bool)
    sums, back = triplet_sum.on_arrays(u, labels, anchors, everyone, margin, mining, distance, penalty, tile)
    divisor = sums.divisor(reduction)
    return sums.total / divisor, lambda g: (to_z(back((g / divisor, None, None))),)


@definition(triplet)
def triplet_definition(z, labels, margin, mining, distance, penalty, normalize, reduction):
    xp = backend_of(labels).xp
    u = unit_rows(z) if normalize else z
    difference = u[:, None, :] - u[None, :, :]
    d = (difference * difference).sum(axis=2)
    if distance == "euclidean":
        apart = d.data.real > 0
        d = where(apart, sqrt(where(apart, d, 1)), 0)
    excess = d[:, :, None] - d[:, None, :] + margin  # anchor, positive, negative

    numbers = xp.arange(len(labels))
    same = labels[:, None] == labels
    positive, negative = same & (numbers[:, None] != numbers), ~same
    chosen = positive[:, :, None] & negative[:, None, :]
    near, far = d.data.real[:, :, None], d.data.real[:, None, :]
    if mining == "hard":
        farthest = xp.argmax(xp.where(positive, d.data.real, -1), axis=1)
        nearest = xp.argmin(xp.where(negative, d.data.real, xp.inf), axis=1)
        chosen &= (numbers == farthest[:, None])[:, :, None] & (numbers == nearest[:, None])[:, None, :]
    if mining in ("semihard", "semihard_fallback"):
        beyond = chosen & (far > near)
        nearest = numbers == xp.argmin(xp.where(beyond, far, xp.inf), axis=2)[:, :, None]
        farthest = numbers == xp.argmax(xp.where(chosen, far, -1), axis=2)[:, :, None]
        fallback = chosen & farthest & ~beyond.any(axis=2, keepdims=True)
        chosen = beyond & nearest if mining == "semihard" else (beyond & nearest) | fallback

    cost = PENALTY[penalty](excess) * chosen
    count = {"mean": chosen.sum(), "mean_active": (cost.data.real > 0).sum(), "sum": 1}[reduction]
    return cost.sum() / max(1, int(count))
