"""I-Con: let every row's neighbours among the embeddings be those that the supervision names, by KL divergence.

Definition. With p(j|i) what the supervision says of the candidates j of anchor i, and q(j|i) what the embeddings say,

    L = mean_i sum_j p(j|i) log( p(j|i) / q(j|i) ),      q(j|i) = e^{l_ij} / sum_k e^{l_ik},      temperature t,

    kernel  "cosine"    l_ij = cos(a_i, b_j) / t            "dot"        l_ij = a_i·b_j / t
            "gaussian"  l_ij = -|a_i - b_j|² / 2t           "student_t"  l_ij = -log(1 + |a_i - b_j|² / t)
            "clusters"  l_ij = log sum_c x_ic y_jc / (sum_k y_kc),  x, y the softmax of a / t, b / t over D clusters

``targets`` are p in proportion: weights >= 0, such as 0-1 marks of neighbours; each row is divided by its sum. None is
the partner, p = I. ``over="pairs"`` makes p and q one distribution each over all pairs, and L their divergence. With
``exclude_self`` (a and b are the same rows) no row is its own candidate; one that has no target besides itself is no
anchor, and L the mean over the others. ``alpha`` mixes p with equal shares of the n candidates, (1 - alpha) p +
alpha/n, and ``learned_alpha`` q. ``entropy=False`` leaves out sum_j p log p: the cross-entropy, with the same gradient.

Named losses are settings, each compared with its own formula in the tests; ``supervision.py`` makes the targets.
InfoNCE in one direction: the defaults. SupCon: labels, ``exclude_self``. Cross-entropy: "dot", b class weights, one-hot
targets. SNE: gaussian neighbours, "gaussian", t = 1/2. t-SNE: "student_t", t = 1, "pairs". k-means: clusters as targets
for "gaussian" of fixed rows. Clustering from pairs or neighbours: "clusters".

Gradient. With r_i the weight of anchor i, dL/dl_ij = r_i (q_ij - p_ij); over pairs q_ij mean_k r_k - r_i p_ij, p and q
times N. For a mixed q', p_ij is p_ij (1 - learned_alpha) q_ij / q'_ij and its sum the factor of q_ij. As l depends on
a / √t and b / √t alone ("clusters": a / t), t dL/dt = -(a·da + b·db) / 2. Tiles of rows: O(K * tile) memory besides
the targets.

Shapes: a (N, D), b (K, D); targets (N, K), never differentiated. N = K without targets and with ``exclude_self``.
Ranges: temperature > 0; alphas in 0 to 1. No anchor is a ValueError. A zero row has cosine 0 to all and no gradient.
A pair that shares no cluster counts as sharing the smallest number of the dtype: a finite cost without a gradient.

Source. Alshammari, Hershey, Feldmann, Freeman, Hamilton 2025, arXiv 2504.16929, eq. 1; its special cases in its table
and its debiasing were read in summaries only. Its code (ShadeAlsha/ICon, model/losses.py) also has the debiased
contrastive loss, which takes a share tau_plus of the positive from the negatives; it is not on this page. Student-t
kernel and joint distributions: van der Maaten, Hinton 2008.

Public implementations differ: github.com/ShadeAlsha/ICon, distributions/distance.py, has 1 - cos for |a_i - b_j|² where
rows are unit ("gaussian" with sigma² = t/2 is "cosine"), and squares the squared distance again in its Student-t.
"""

from mini_repr.autograd import exp, log, log1p, log_softmax, off_diagonal, unit_rows, where
from mini_repr.backend import backend_of
from mini_repr.kernels.affinities import kernel_shares, own_places
from mini_repr.kernels.tiles import row_tiles
from mini_repr.pages.arguments import Choice, Flag, Fraction, Optional, Positive, Reduction, Rows, Tile, WithGradient
from mini_repr.pages.invariants import at_least, exact, permutation, rotation, row_scaling, translation
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

_SAME = {"a": [[1.0, 2.0]] * 4, "b": [[1.0, 2.0]] * 4}
_SELF = {"exclude_self": True, "temperature": 1.0}

_TEX = {
    "definition": r"""
L = \frac{1}{B} \sum_i \sum_j p(j | i) \log \frac{p(j | i)}{q(j | i)}

q(j | i) = \frac{e^{l_{ij}}}{\sum_k e^{l_{ik}}}

l_{ij} = \frac{\cos(a_i, b_j)}{t} \ \text{or} \ \frac{a_i \cdot b_j}{t} \ \text{or} \ -\frac{\lVert a_i - b_j
\rVert^2}{2t} \ \text{or} \ -\log \Bigl( 1 + \frac{\lVert a_i - b_j \rVert^2}{t} \Bigr)
""",
    "gradient": r"""
\mathrm{d}l_{ij} = r_i \, \bigl( q(j | i) - p(j | i) \bigr)

t \, \mathrm{d}t = -\frac{1}{2} \sum_i \bigl( a_i \cdot \mathrm{d}a_i + b_i \cdot \mathrm{d}b_i \bigr)
""",
}


@loss(
    paper="008",
    tex=_TEX,
    sizes={"N": 6, "K": 6},
    variants={
        "supcon": variant("neighbours by label among the other rows", ["targets"], exclude_self=True),
        "cross_entropy": variant("scores of rows and class weights", ["targets"], kernel="dot", temperature=1.0),
        "sne": variant("gaussian neighbours of distances", ["targets"], kernel="gaussian", **_SELF),
        "t_sne": variant(
            "Student-t, one distribution of pairs", ["targets"], kernel="student_t", over="pairs", **_SELF
        ),
        "clustering": variant("neighbours share clusters", ["targets"], kernel="clusters", temperature=1.0),
        "debiased": variant("both distributions mixed with equal ones", ["targets"], alpha=0.2, learned_alpha=0.2),
        "cross_term": variant("without the entropy of the targets", ["targets"], entropy=False),
    },
    invariants=[
        permutation("N", needs=["targets"]),
        permutation("K", needs=["targets"]),
        rotation("D"),
        row_scaling("a", "b"),
        translation("a", "b", kernel="gaussian"),
        at_least(0, needs=["targets"]),
        at_least(0, needs=["targets"], over="pairs", kernel="student_t", alpha=0.3),
        exact("identical rows give log N", 1.3862943611198906, **_SAME),
        exact("no distance from equal neighbours to equal targets", 0.0, alpha=1.0, **_SAME),
    ],
)
def icon(
    a: Rows("N D"),
    b: Rows("K D"),
    targets: Optional(Rows("N K", frozen=True, least=0, no_zero_row=True)) = None,
    kernel: Choice("cosine", "dot", "gaussian", "student_t", "clusters") = "cosine",
    temperature: WithGradient(Positive) = 0.1,
    over: Choice("candidates", "pairs") = "candidates",
    exclude_self: Flag = False,
    alpha: Fraction = 0.0,
    learned_alpha: Fraction = 0.0,
    entropy: Flag = True,
    reduction: Reduction = "mean",
    tile: Tile = None,
):
    xp = backend_of(a).xp
    if len(a) != len(b) and (targets is None or exclude_self):
        raise ValueError(f"icon: b: got {len(b)} rows, expected {len(a)} as in a: no targets, or exclude_self")
    pairs = over == "pairs"
    tiles = row_tiles(a, len(b), tile)
    p_of, anchors = _target_shares(a, b, targets, pairs, exclude_self, alpha, tiles)
    q = kernel_shares(a, b, kernel, temperature, tiles, exclude_self, pairs)

    def mixed(p, log_q):
        """log q', and p (1 - learned_alpha) q / q'."""
        if not learned_alpha:
            return log_q, p
        share = (1 - learned_alpha) * xp.exp(log_q)
        q_mixed = share + learned_alpha / _candidates(b, exclude_self)
        return xp.log(q_mixed), p * (share / q_mixed)

    per_row, mass = xp.empty_like(anchors), xp.empty_like(anchors)
    for part in tiles:
        p = p_of(part)
        log_mixed, tilted = mixed(p, q.log_q(part))
        gap = -xp.where(p > 0, log_mixed, 0)
        if entropy:
            gap += xp.log(xp.where(p > 0, p, 1))
        gap *= p
        per_row[part], mass[part] = gap.sum(axis=1), tilted.sum(axis=1)
    weight = anchors * (len(a) / anchors.sum() if reduction == "mean" else 1)
    value, to_rows = reduce_rows(per_row * weight, reduction)

    def backward(g):
        r = to_rows(g) * weight
        r_mass = xp.broadcast_to((r * mass).mean(), r.shape) if pairs else r * mass

        def dl(part, log_q):  # r (q sum_j p - p), with p (1 - learned_alpha) q / q' for p
            _, tilted = mixed(p_of(part), log_q)
            gradient = r_mass[part, None] * xp.exp(log_q)
            gradient -= r[part, None] * tilted
            return gradient

        return q.backward(dl)

    return value, backward


def _candidates(b, exclude_self):
    """How many candidates a row has."""
    return max(1, len(b) - exclude_self)


def _target_shares(a, b, targets, pairs, exclude_self, alpha, tiles):
    """(``p_of(part)``: p of a tile of rows, N p over pairs; 1 for rows that are anchors and 0 for others)."""
    xp = backend_of(a).xp

    def marks(part):
        if targets is None:
            found = xp.zeros((part.stop - part.start, len(b)), dtype=a.dtype)
            found[own_places(xp, part)] = 1
        else:
            found = targets[part].copy()
        if exclude_self:
            found[own_places(xp, part)] = 0
        return found

    sums = xp.concatenate([marks(part).sum(axis=1) for part in tiles])
    anchors = (sums > 0).astype(a.dtype)
    # Rows of targets are not zero: without exclude_self all are anchors.
    if exclude_self and (targets is None or not bool(anchors.any())):
        raise ValueError(
            "icon: targets: got none besides the rows themselves, which exclude_self takes out, expected some"
        )
    if pairs:
        sums, anchors = xp.broadcast_to(sums.mean(), sums.shape), xp.ones_like(anchors)
    share = (1 - alpha) * anchors / xp.where(sums > 0, sums, 1)

    def p_of(part):
        p = marks(part)
        p *= share[part, None]
        if alpha:
            p += (alpha / _candidates(b, exclude_self)) * anchors[part, None]
            if exclude_self:
                p[own_places(xp, part)] = 0
        return p

    return p_of, anchors


@definition(icon)
def icon_definition(a, b, targets, kernel, temperature, over, exclude_self, alpha, learned_alpha, entropy, reduction):
    xp = backend_of(a.data).xp
    marks = xp.eye(len(a.data)) if targets is None else targets
    if kernel == "cosine":
        logits = unit_rows(a) @ unit_rows(b).T / temperature
    elif kernel == "dot":
        logits = a @ b.T / temperature
    elif kernel == "clusters":
        x, y = exp(log_softmax(a / temperature)), exp(log_softmax(b / temperature))
        logits = log(x @ (y / y.sum(axis=0)).T)
    else:
        distances = ((a[:, None, :] - b[None, :, :]) ** 2).sum(axis=2)
        logits = -distances / (2 * temperature) if kernel == "gaussian" else -log1p(distances / temperature)
    if exclude_self:
        logits, marks = off_diagonal(logits), off_diagonal(marks).data

    anchors = marks.any(axis=1, keepdims=True)
    if over == "pairs":
        anchors = xp.ones_like(anchors)
    weights, q = anchors * marks, exp(logits)
    if over == "pairs":  # both times N, as if they were conditional
        p, q = weights / weights.sum() * len(marks), q / q.sum() * len(marks)
    else:
        p, q = weights / xp.where(anchors, weights.sum(axis=1, keepdims=True), 1), q / q.sum(axis=1, keepdims=True)
    p = anchors * ((1 - alpha) * p + alpha / marks.shape[1])
    q = (1 - learned_alpha) * q + learned_alpha / marks.shape[1]
    log_p = log(where(p > 0, p, xp.ones_like(q.data))) if entropy else 0
    per_row = (p * (log_p - log(q))).sum(axis=1)
    if reduction == "mean":
        return per_row.sum() / anchors.sum()
    return reduced(per_row, reduction)
