"""SigLIP: decide for every pair of rows independently, with a sigmoid, whether the two belong together.

Definition. With u_i = a_i/|a_i|, v_j = b_j/|b_j| (``normalize``), z_ij = 1 for i = j and -1 otherwise, B rows per view,

    L = -(1/B) sum_i sum_j log sigmoid( z_ij (e^log_scale u_i·v_j + bias) )

The sum over the B x B pairs is divided by B, not by B²: ``per_row="mean"`` divides by B². ``reduction`` is over the
rows of a ("none": one value for each of them, its B pairs summed). No pair needs to know any other: no softmax.
Both scalars are learned; e^log_scale plays the part of 1/temperature.

Gradient. With logits l_ij = e^log_scale u_i·v_j + bias, dL/dl_ij = G_ij = -z_ij sigmoid(-z_ij l_ij) / B. Then
du = e^log_scale G v, dv = e^log_scale Gᵀ u, d bias = sum_ij G_ij, d log_scale = sum_i u_i·du_i;
da = (du - u (u·du)) / |a|. Tiles of rows give value and gradient in O(B * tile) memory.

Shapes: a, b (B, D). Ranges: log_scale <= 80, so that e^log_scale stays far from the end of float32 (one that is learned
on a GPU is not read; past 88 the loss is no finite number). A single pair is allowed: it is its own positive and has no
negative. A zero row has similarity 0 to everything and a zero gradient.

Source. Zhai, Mustafa, Kolesnikov, Beyer 2023, arXiv 2303.15343, algorithm 1: log 10 and -10 at the start, the sum
divided by B. google-research/big_vision, trainers/proj/image_text/siglip.py: sum over a row, mean over rows.

Public implementations differ in the reduction: a mean over all B² pairs makes the loss B times smaller and is a
recurrent mistake (big_vision issue 115). open_clip can start log_scale at CLIP's log(1/0.07) instead (flair issue 8).
A bias of -10 suits about e^10 = 22026 rows; log(p/(1-p)) with p = 1/B suits any number (open_clip issue 650).
open_clip's SigLipLoss is this page's default; it takes unit rows and e^log_scale.
"""

import math

from mini_repr.autograd import exp, off_diagonal, softplus, unit_rows
from mini_repr.backend import backend_of, waits_to_read
from mini_repr.fused import elementwise
from mini_repr.kernels.log_sum_exp import largest_similarity
from mini_repr.kernels.tiles import row_tiles
from mini_repr.pages.arguments import Choice, Flag, Real, Reduction, Rows, Tile, WithGradient
from mini_repr.pages.invariants import at_least, exact, permutation, rotation, row_scaling, swap
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced, rows_of

_LOG_10 = math.log(10)
_LARGEST_LOG_SCALE = 80
_ORTHOGONAL = {"a": [[1.0, 0.0], [0.0, 2.0]], "b": [[3.0, 0.0], [0.0, 1.0]]}

_TEX = {
    "definition": r"""
L = -\frac{1}{B} \sum_i \sum_j \log \sigma \bigl( z_{ij} \, (e^w u_i \cdot v_j + b) \bigr)

z_{ij} = \begin{cases} 1 & i = j \\ -1 & i \ne j \end{cases}

w, b: \text{log\_scale, bias}
""",
    "gradient": r"""
\ell_{ij} = e^w u_i \cdot v_j + b

G_{ij} = -\frac{1}{B} z_{ij} \, \sigma(-z_{ij} \ell_{ij})

\mathrm{d}u = e^w G v

\mathrm{d}v = e^w G^\top u

\mathrm{d}b = \sum_{i,j} G_{ij}

\mathrm{d}w = \sum_i u_i \cdot \mathrm{d}u_i

\mathrm{d}a = \frac{\mathrm{d}u - u \, (u \cdot \mathrm{d}u)}{\lVert a \rVert}
""",
}


@loss(
    paper="009",
    tex=_TEX,
    variants={
        "mean_over_pairs": variant("divided by B² instead of B", per_row="mean"),
        "sum": variant("summed over all pairs", reduction="sum"),
        "clip_start": variant("log_scale starts where CLIP's does, as open_clip can", log_scale=math.log(1 / 0.07)),
        "raw_dot": variant("dot products of the rows as they are", normalize=False),
    },
    invariants=[
        permutation("B"),
        rotation("D"),
        row_scaling("a", "b"),
        swap("a", "b"),
        at_least(0),
        exact("zero logits give B log 2", 2 * math.log(2), a=[[0.0], [0.0]], b=[[1.0], [1.0]], bias=0.0),
        exact(
            "orthogonal pairs give log(1 + 1/e) + (B - 1) log 2 at scale 1 without bias",
            math.log1p(math.exp(-1)) + math.log(2),
            log_scale=0.0,
            bias=0.0,
            **_ORTHOGONAL,
        ),
    ],
)
def siglip(
    a: Rows("B D"),
    b: Rows("B D"),
    log_scale: WithGradient(Real, learned=True) = _LOG_10,
    bias: WithGradient(Real, learned=True) = -10.0,
    per_row: Choice("sum", "mean") = "sum",
    normalize: Flag = True,
    reduction: Reduction = "mean",
    tile: Tile = None,
):
    if not waits_to_read(log_scale) and float(log_scale) > _LARGEST_LOG_SCALE:
        raise ValueError(f"siglip: log_scale: got {float(log_scale):g}, expected at most {_LARGEST_LOG_SCALE}")
    backend = backend_of(a)
    xp = backend.xp
    (u, to_a), (v, to_b) = rows_of(a, normalize), rows_of(b, normalize)
    scale = xp.exp(backend.asarray(log_scale, dtype=a.dtype))
    share_of_pair = 1 / len(v) if per_row == "mean" else 1
    # The gradient of one pair needs no other pair: value and gradient come from the same pass.
    per_anchor, of_one = pair_sums(u, v, scale, bias, xp.full(len(u), share_of_pair, dtype=u.dtype), tile=tile)
    value, spread = reduce_rows(per_anchor * share_of_pair, reduction)

    def backward(g):
        r = spread(g)
        # Anchors that weigh alike scale what is there; of others ("none"), the columns must be summed again.
        again = reduction == "none"
        of_all = (
            pair_sums(u, v, scale, bias, r * share_of_pair, tile=tile)[1] if again else (one * r[0] for one in of_one)
        )
        g_u, g_v, g_bias = of_all
        g_u *= scale
        g_v *= scale
        return to_a(g_u), to_b(g_v), (u * g_u).sum(), g_bias

    return value, backward


def pair_sums(u, v, scale, bias, weight, partners=True, tile=None):
    """Every anchor's sum of -log sigmoid(z_ij l_ij) over the rows of v, and the gradients of weighed anchors.

    Args:
        u: (N, D). v: (K, D). scale, bias: of the logits. weight: (N,).
        partners: whether row i of v is the partner of row i of u; without, no row of v is anyone's.
    Returns:
        (sums (N,), (g_u (N, D), g_v (K, D), g_bias)), g_u and g_v still to be multiplied by ``scale``.
    """
    backend = backend_of(u)
    xp = backend.xp
    # e^logit may stand for itself as long as no logit can overflow it; no GPU is waited for to learn that.
    reach = math.inf if backend.reading_waits else float(scale) * largest_similarity(u, v) + abs(float(bias))
    in_range = reach < -math.log(float(xp.finfo(u.dtype).tiny)) - 8
    sums, g_u = xp.empty(len(u), dtype=u.dtype), xp.empty_like(u)

    def work(share):
        g_v, g_bias = xp.zeros_like(v), xp.zeros((), dtype=u.dtype)
        for rows in share:
            logits = backend.product(u[rows] * scale, v.T)
            logits += bias
            numbers = xp.arange(rows.start, rows.stop)
            diagonal = (numbers - rows.start, numbers)
            if partners:
                logits[diagonal] *= -1  # -z_ij l_ij: how far each pair is on the wrong side
            pull, wrong = (_from_exponential if in_range else _from_any)(backend, logits)
            sums[rows] = wrong.sum(axis=1)
            if partners:
                pull[diagonal] *= -1
            pull *= weight[rows, None]
            backend.matmul(pull, v, out=g_u[rows])
            g_v += backend.product(pull.T, u[rows])
            g_bias += pull.sum()
        return g_v, g_bias

    parts = backend.map_shares(work, row_tiles(u, len(v), tile))
    g_v, g_bias = (sum(part[1:], part[0]) for part in zip(*parts, strict=True))
    return sums, (g_u, g_v, g_bias)


def _from_exponential(backend, x):
    """(sigmoid(x), softplus(x)) through e^x, for x that does not overflow it; x is used up.

    log(1 + e) = log(y) + (e - (y - 1)) / y with y = 1 + e rounded: all digits of a small e, at a third of log1p's cost.
    """
    xp = backend.xp
    e = xp.exp(x, out=x)
    y = e + 1
    softplus = y - 1
    xp.subtract(e, softplus, out=softplus)
    softplus /= y
    e /= y
    softplus += xp.log(y, out=y)
    return e, softplus


def _from_any(backend, x):
    """The same for any x."""
    both = backend.xp.empty(x.shape, x.dtype), backend.xp.empty(x.shape, x.dtype)
    sigmoid_and_softplus(backend, x, *both)
    return both


@elementwise(
    "T x",
    "T sigmoid, T softplus",
    """
    const T tail = exp(-fabs(x));
    sigmoid = (x > 0 ? (T)1 : tail) / (1 + tail);
    softplus = (x > 0 ? x : (T)0) + log1p(tail);
    """,
)
def sigmoid_and_softplus(backend, x, sigmoid, softplus):
    """Fill both of any x, through e^-|x|."""
    xp = backend.xp
    tail = xp.exp(-xp.abs(x))
    xp.divide(xp.where(x > 0, 1, tail), 1 + tail, out=sigmoid)
    xp.add(xp.maximum(x, 0), xp.log1p(tail), out=softplus)


@definition(siglip)
def siglip_definition(a, b, log_scale, bias, per_row, normalize, reduction):
    u, v = (unit_rows(x) if normalize else x for x in (a, b))
    scale = exp(log_scale)
    partner = (u * v).sum(axis=1) * scale + bias
    others = off_diagonal(u @ v.T) * scale + bias
    # -log sigmoid(z l) = softplus(-z l)
    per_anchor = softplus(-partner) + softplus(others).sum(axis=1)
    return reduced(per_anchor / a.shape[0] if per_row == "mean" else per_anchor, reduction)
