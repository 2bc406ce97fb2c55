"""MRL: queries and documents are Gaussians, and a document fits as well as its distribution covers the query's.

Definition. A row holds K means and then K raw variances: mu = row[:K], var = softplus(beta row[K:]) / beta, or
e^row[K:] with ``variance="exp"``; never below 1e-10. Queries a_i, documents b_j, temperature t, B pairs:

    s_ij = -KL(Q_i || D_j) = -1/2 sum_k [ log(vd_jk / vq_ik) - 1 + vq_ik / vd_jk + (mq_ik - md_jk)² / vd_jk ]
    L = mean_i -log( e^{s_ii/t} / sum_j e^{s_ij/t} )

``symmetric`` averages this with the same over the columns, documents that look for their query. With ``targets``, a
teacher's scores T, listwise distillation takes the partner's place: L = mean_i KL( P_T || P_s ), of softmax_j(T_ij /
target_temperature) to softmax_j(s_ij/t). ``reduction="none"`` gives one value per query.

The score is a dot product, for any index of inner products (``query_vectors``, ``document_vectors``): s_ij = x_i·y_j,

    x = [1, sum_k (log vq + 1)/2, vq + mq², mq],      y = [-1/2 sum_k (log vd + md²/vd), 1, -1/(2 vd), md/vd]

Gradient. The logits s/t receive G_ij = r_i (P_ij - Y_ij), with P the softmax of row i, Y its target (the partner, or
the teacher's softmax) and r_i the weight of query i. dx = G y / t, dy = Gᵀ x / t, dt = -sum_ij G_ij s_ij / t². Then

    dmq = 2 mq dx3 + dx4                 dvq = dx2 / (2 vq) + dx3
    dmd = (dy4 - md dy1) / vd            dvd = (dy1 (md²/vd - 1) + dy3/vd - 2 dy4 md/vd) / (2 vd)

and the raw variance takes dv sigmoid(beta raw) (dv v for "exp"; nothing where v is at its floor). Scores do not see a
shift of all means: they are centred, for digits. A score is good to the round-off of sum_k m²/vd, which float32 feels
at small variances; the partner's own comes from the differences. Tiles of rows give value and gradient in O(B * tile)
memory; the targets, where there are any, are B x B themselves.

Shapes: a, b (B, D), B >= 2, D = 2K even; targets (B, B), no gradient. Ranges: both temperatures and beta > 0.

Source. Zamani, Bendersky 2023, arXiv 2304.14522: the Gaussians, the score, softplus, the dot product. Its formulas have
the trace as a product of variances where it is their sum: found by Sidiropoulos, Bhargav et al. (TMLR, "Multivariate
dense retrieval: a reproducibility study under a memory-limited setup"), whose code has what stands here, beta 2.5 and
the floor of 1e-10 included (github.com/samarthbhargav/multivariate_ir, dense_mvrl.py, "full_kl"). Its "updated" vectors
leave out the query's own terms, which do not change a ranking; its "original" ones keep the published product, which
does. The temperatures 1, scores as they are, are this page's. That code distils by this KL, or by a pairwise loss
weighed by reciprocal ranks.
"""

import math

from mini_repr.autograd import diagonal, exp, log, log_softmax, logsumexp, maximum, softplus
from mini_repr.backend import backend_of
from mini_repr.kernels.log_sum_exp import combine, partner_logit, similarity_logsumexp
from mini_repr.pages.arguments import Choice, Flag, Optional, Positive, Reduction, Rows, Tile, WithGradient
from mini_repr.pages.invariants import at_least, exact, permutation
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

FLOOR = 1e-10
LARGEST_LOG_VARIANCE = 80
_SAME = {"a": [[1.0, 2.0]] * 4, "b": [[1.0, 2.0]] * 4}
_NONE = [[0.0] * 4] * 4

_TEX = {
    "definition": r"""
L = -\frac{1}{B} \sum_i \log \frac{e^{s_{ii}/t}}{\sum_j e^{s_{ij}/t}}

s_{ij} = -\mathrm{KL}(Q_i \, \| \, D_j) = -\frac{1}{2} \sum_k \Bigl[ \log \frac{v^d_{jk}}{v^q_{ik}} - 1 +
\frac{v^q_{ik}}{v^d_{jk}} + \frac{(m^q_{ik} - m^d_{jk})^2}{v^d_{jk}} \Bigr]
""",
    "gradient": r"""
G_{ij} = r_i \, \bigl( P_{ij} - [j = i] \bigr)

\mathrm{d}x = \frac{G y}{t}

\mathrm{d}y = \frac{G^\top x}{t}

x = \Bigl[ 1, \ \sum_k \frac{\log v^q_k + 1}{2}, \ v^q + (m^q)^2, \ m^q \Bigr]

y = \Bigl[ -\frac{1}{2} \sum_k \Bigl( \log v^d_k + \frac{(m^d_k)^2}{v^d_k} \Bigr), \ 1, \ -\frac{1}{2 v^d},
\ \frac{m^d}{v^d} \Bigr]
""",
}


@loss(
    paper="056",
    tex=_TEX,
    variants={
        "distillation": variant("listwise: the KL to a teacher's scores of every pair", ["targets"]),
        "symmetric": variant("the mean over queries and over documents, as CLIP's", symmetric=True),
        "log_variance": variant("raw variances are logarithms, as the reproduction's code can", variance="exp"),
        "plain_softplus": variant("softplus as it is", beta=1.0),
        "sum": variant("summed over queries instead of averaged", reduction="sum"),
    },
    invariants=[
        permutation("B"),
        permutation("B", needs=("targets",)),
        at_least(0),
        at_least(0, needs=("targets",)),
        exact("identical rows give log B", math.log(4), **_SAME),
        exact("identical rows are what a teacher wants who prefers none", 0.0, targets=_NONE, **_SAME),
        exact(
            "means 2 apart, variances 1: a distance of 2, log(1 + 1/e²)",
            math.log1p(math.exp(-2)),
            a=[[0.0, 0.0], [2.0, 0.0]],
            b=[[0.0, 0.0], [2.0, 0.0]],
            variance="exp",
        ),
    ],
    sizes={"D": 6},
)
def mrl_kl(
    a: Rows("B>=2 D>=2"),
    b: Rows("B>=2 D>=2"),
    targets: Optional(Rows("B B", frozen=True)) = None,
    temperature: WithGradient(Positive) = 1.0,
    target_temperature: Positive = 1.0,
    variance: Choice("softplus", "exp") = "softplus",
    beta: Positive = 2.5,
    symmetric: Flag = False,
    reduction: Reduction = "mean",
    tile: Tile = None,
):
    if targets is not None and symmetric:
        raise ValueError("mrl_kl: symmetric: got True with targets, expected False; targets belong to the queries")
    xp = backend_of(a).xp
    (mq, vq, to_a), (md, vd, to_b) = _gaussians("a", a, variance, beta), _gaussians("b", b, variance, beta)
    centre = (mq.mean(axis=0) + md.mean(axis=0)) / 2
    mq, md = mq - centre, md - centre
    x, y = _query_vectors(mq, vq), _document_vectors(md, vd)
    scale = 1 / temperature

    if targets is None:
        apart = mq - md  # exact where the dot product cancels: L >= 0 holds however small the variances
        score = (xp.log(vd / vq) - 1 + vq / vd + apart * apart / vd).sum(axis=1) * (-scale / 2)
        others = similarity_logsumexp.on_arrays(x, y, scale, columns=symmetric, skip_diagonal=True, tile=tile)
        (over_a, over_b), back = combine([others, partner_logit.on_arrays(x, y, scale, logit=score)])
        share, wanted, entropy = None, y, 0
    else:
        (over_a, over_b), back = similarity_logsumexp.on_arrays(x, y, scale, tile=tile)
        log_share = log_softmax.on_arrays(targets / target_temperature)[0]
        share = xp.exp(log_share)
        wanted, entropy = share @ y, (share * log_share).sum(axis=1)
        score = (x * wanted).sum(axis=1) * scale  # the mean over the teacher's softmax
    value, spread = reduce_rows(((over_a + over_b) / 2 if symmetric else over_a) + entropy - score, reduction)

    def backward(g):
        r = spread(g)
        g_x, g_y, g_scale = back((r / 2, r / 2) if symmetric else (r, None))
        pull = (r * scale)[:, None]
        g_x -= pull * wanted
        g_y -= pull * x if share is None else share.T @ (pull * x)
        g_scale -= (r * score).sum() / scale
        return to_a(*_back_to_query(g_x, mq, vq)), to_b(*_back_to_document(g_y, md, vd)), -g_scale * scale**2

    return value, backward


def query_vectors(a, variance="softplus", beta=2.5):
    """(B, D + 2) rows x with x_i·y_j = -KL(Q_i || D_j), from a query encoder's rows (B, D)."""
    return _query_vectors(*_gaussians("a", a, variance, beta)[:2])


def document_vectors(b, variance="softplus", beta=2.5):
    """(B, D + 2) rows y with x_i·y_j = -KL(Q_i || D_j), from a document encoder's rows (B, D): what an index holds."""
    return _document_vectors(*_gaussians("b", b, variance, beta)[:2])


def _gaussians(argument, rows, variance, beta):
    """Means, variances and their backward: from their gradients to that of the rows."""
    xp = backend_of(rows).xp
    if rows.shape[1] % 2:
        raise ValueError(
            f"mrl_kl: {argument}: got shape {rows.shape}, expected an even number of columns: means, then raw variances"
        )
    width = rows.shape[1] // 2
    mean, raw = rows[:, :width], rows[:, width:]
    if variance == "exp" and float(raw.max()) > LARGEST_LOG_VARIANCE:
        expected = f"at most {LARGEST_LOG_VARIANCE} with variance='exp'"
        raise ValueError(f"mrl_kl: {argument}: got a raw variance of {float(raw.max()):g}, expected {expected}")
    if variance == "exp":
        v = xp.exp(raw)
        slope = v
    else:
        v, back = softplus.on_arrays(beta * raw)
        v /= beta
        slope = back(xp.ones_like(v))
    slope = xp.where(v > FLOOR, slope, 0)
    return mean, xp.maximum(v, FLOOR), lambda g_mean, g_v: xp.concatenate([g_mean, g_v * slope], axis=1)


def _query_vectors(mean, v):
    xp = backend_of(mean).xp
    own = (xp.log(v) + 1).sum(axis=1, keepdims=True) / 2
    return xp.concatenate([xp.ones_like(own), own, v + mean * mean, mean], axis=1)


def _document_vectors(mean, v):
    xp = backend_of(mean).xp
    own = (xp.log(v) + mean * mean / v).sum(axis=1, keepdims=True) / -2
    return xp.concatenate([own, xp.ones_like(own), -0.5 / v, mean / v], axis=1)


def _back_to_query(g, mean, v):
    g_own, g_v, g_mean = _parts(g[:, 1:])
    return 2 * mean * g_v + g_mean, g_own / (2 * v) + g_v


def _back_to_document(g, mean, v):
    _, g_half, g_ratio = _parts(g[:, 1:])
    g_own, ratio = g[:, :1], mean / v
    return (g_ratio - mean * g_own) / v, (g_own * (mean * ratio - 1) + g_half / v - 2 * g_ratio * ratio) / (2 * v)


def _parts(g):
    width = g.shape[1] // 2
    return g[:, :1], g[:, 1 : width + 1], g[:, width + 1 :]


@definition(mrl_kl)
def mrl_kl_definition(a, b, targets, temperature, target_temperature, variance, beta, symmetric, reduction):
    rows, width = a.shape[0], a.shape[1] // 2

    def gaussians(z):
        raw = z[:, width:]
        return z[:, :width], maximum(exp(raw) if variance == "exp" else softplus(beta * raw) / beta, FLOOR)

    (mq, vq), (md, vd) = gaussians(a), gaussians(b)
    mq, vq = mq.reshape(rows, 1, width), vq.reshape(rows, 1, width)
    score = -(log(vd / vq) - 1 + vq / vd + (mq - md) ** 2 / vd).sum(axis=2) / 2
    logits = score / temperature
    if targets is not None:
        log_share = log_softmax(targets / target_temperature)
        return reduced((exp(log_share) * (log_share - log_softmax(logits))).sum(axis=1), reduction)
    per_query = logsumexp(logits, axis=1) - diagonal(logits)
    per_document = logsumexp(logits, axis=0) - diagonal(logits)
    return reduced((per_query + per_document) / 2 if symmetric else per_query, reduction)
