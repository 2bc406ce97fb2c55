"""Harmonic loss: classify by distances to class centres, as powers rather than exponentials.

Definition. With d_ik = |x_i - w_k| the distance of row i from the centre of class k and n the ``exponent``, for its
label y

    p_ik = d_ik^(-n) / sum_j d_ij^(-n),     L = -log p_iy,     averaged over rows (``reduction``).

The centres w are the output layer's weights. Scaling x and w together changes nothing, so that the loss has a minimum
at finite weights, at the centres of the classes: no weight need grow for ever, as with the cross-entropy.
``squared`` counts n in squared distances (p ~ d^(-2n)); ``epsilon`` is added to each squared distance.

Gradient. Let r_i be the row's weight in the reduction and G_ik = r_i n ([k = y] - p_ik) / d_ik² (2n with ``squared``):
-log p_iy = n log d_iy + log sum_k d_ik^(-n), and d log d_ik = (x_i - w_k)/d_ik² · (dx_i - dw_k). So
dx_i = sum_k G_ik (x_i - w_k) and dw_k = sum_i G_ik (w_k - x_i). Each pull weakens as 1/d.

Shapes: x (B, D), w (C, D), C >= 2; labels (B,) from 0 to C - 1; stores (B, C) distances. Ranges: exponent > 0, None for
sqrt(D); epsilon >= 0. A squared distance below the dtype's smallest normal number counts as that number, with no
gradient: x_i = w_y costs 0 (with n >= 1, to round-off) and x_i = w_k, k != y, a large finite amount; a centre that
stands there twice takes half. Distances come from products; those that cancel in them are computed again.

Source. Baek et al. 2025, arXiv 2502.01628, which recommends n ~ sqrt(D). Its code (KindXiaoming/grow-crystals) raises
*squared* distances to -n, adding 1e-4 to each (variant ``official``; the n to give is the caller's there); its GPT-2
takes n = D, again of squared distances, and adds 0.01/C to every probability, which is not on this page.
"""

import math

from mini_repr.autograd import log, log_softmax, maximum
from mini_repr.backend import backend_of
from mini_repr.fused import elementwise
from mini_repr.pages.arguments import Flag, Labels, NonNegative, Optional, Positive, Reduction, Rows
from mini_repr.pages.invariants import at_least, exact, permutation, rotation, scaling, translation
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

_TEX = {
    "definition": r"""
L = -\frac{1}{N} \sum_i \log p_{i y_i}

p_{ik} = \frac{d_{ik}^{-n}}{\sum_j d_{ij}^{-n}}

d_{ik} = \lVert x_i - w_k \rVert
""",
    "gradient": r"""
G_{ik} = \frac{r_i \, n \, \bigl( [k = y_i] - p_{ik} \bigr)}{d_{ik}^2}

\mathrm{d}x_i = \sum_k G_{ik} \, (x_i - w_k)

\mathrm{d}w_k = \sum_i G_{ik} \, (w_k - x_i)
""",
}


@loss(
    paper="014",
    tex=_TEX,
    variants={
        "official": variant("the paper's code: n of squared distances, 1e-4 added", squared=True, epsilon=1e-4),
        "sum": variant("summed over rows instead of averaged", reduction="sum"),
    },
    invariants=[
        permutation("B"),
        rotation("D"),
        translation("x", "w"),
        scaling("x", "w"),
        at_least(0),
        exact("equal distances give log C", math.log(2), x=[[0.0, 3.0]], w=[[1.0, 0.0], [-1.0, 0.0]], labels=[1]),
        exact("half as far is 2^n as likely", math.log(1.125), x=[[0.0]], w=[[1.0], [2.0]], labels=[0], exponent=3.0),
        exact("a row on its centre costs nothing", 0.0, x=[[1.0, 2.0]], w=[[1.0, 2.0], [0.0, 0.0]], labels=[0]),
    ],
)
def harmonic(
    x: Rows("B D"),
    w: Rows("C>=2 D"),
    labels: Labels("B", classes="C"),
    exponent: Optional(Positive) = None,
    squared: Flag = False,
    epsilon: NonNegative = 0.0,
    reduction: Reduction = "mean",
):
    backend = backend_of(x)
    xp = backend.xp
    own = (xp.arange(len(labels)), labels)
    power = _power(exponent, squared, x.shape[1])  # of squared distances
    middle = w.mean(axis=0)
    x, w = x - middle, w - middle
    squares = _squared_distances(backend, x, w)
    squares += epsilon
    smallest = float(xp.finfo(x.dtype).tiny)
    at_centre = squares < smallest
    xp.copyto(squares, smallest, where=at_centre)

    logits = -power * xp.log(squares)
    logits -= logits.max(axis=1, keepdims=True)
    own_logit = logits[own]
    p = xp.exp(logits, out=logits)
    total = p.sum(axis=1)
    value, spread = reduce_rows(xp.log(total) - own_logit, reduction)
    pull = p  # becomes 2 power ([k = y] - p) / d² in place
    pull /= -total[:, None]
    pull[own] += 1
    xp.copyto(pull, 0, where=at_centre)
    pull /= squares
    pull *= 2 * power

    def backward(g):
        g_pairs = spread(g)[:, None] * pull
        g_x = g_pairs.sum(axis=1, keepdims=True) * x
        g_x -= g_pairs @ w
        g_w = g_pairs.sum(axis=0)[:, None] * w
        g_w -= g_pairs.T @ x
        return g_x, g_w

    return value, backward


def _power(exponent, squared, width):
    n = math.sqrt(width) if exponent is None else exponent
    return n if squared else n / 2


def _squared_distances(backend, x, w):
    """(B, C) from the product x wᵀ; where that leaves few digits, from the differences themselves."""
    sizes = (x * x).sum(axis=1)[:, None] + (w * w).sum(axis=1)
    squares = x @ w.T
    squares *= -2
    squares += sizes
    recompute_close(backend, x, w, sizes, len(w), x.shape[1], squares)
    return squares


@elementwise(
    "raw T x, raw T w, T sizes, int64 classes, int64 width",
    "T squares",
    """
    if (squares < (T)1e-3 * sizes) {
        T sum = 0;
        for (long long c = 0; c < width; ++c) {
            const T gap = x[i / classes * width + c] - w[i % classes * width + c];
            sum += gap * gap;
        }
        squares = sum;
    }
    """,
)
def recompute_close(backend, x, w, sizes, classes, width, squares):
    """Replace squared distances (B, C) below a thousandth of ``sizes`` by those of the differences x_i - w_k."""
    row, centre = backend.xp.nonzero(squares < 1e-3 * sizes)
    gaps = x[row] - w[centre]
    squares[row, centre] = (gaps * gaps).sum(axis=1)


@definition(harmonic)
def harmonic_definition(x, w, labels, exponent, squared, epsilon, reduction):
    xp = backend_of(labels).xp
    gaps = x[:, None, :] - w
    # Exact numbers, which are objects, stand for float64.
    smallest = float(xp.finfo(xp.float64 if gaps.dtype == object else gaps.dtype).tiny)
    squares = maximum((gaps * gaps).sum(axis=2) + epsilon, smallest)
    log_p = log_softmax(-_power(exponent, squared, x.shape[1]) * log(squares))
    return reduced(-log_p[xp.arange(len(labels)), labels], reduction)
