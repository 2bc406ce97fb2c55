"""SogCLR with individual temperatures (iSogCLR): contrast that knows frequent samples from rare ones.

Definition. With u, v the unit rows of a and b, anchor u_i of temperature t_i, s_ij its cosine with negative j of n,
s_i that with its partner, h_ij = s_ij - s_i,

    L_i = t_i log g_i + t_i radius,   g_i = mean_j e^{h_ij/t_i},      L = mean of L_i over the anchors of both views.

At the best t_i, L_i is the largest weighted mean of h over weights within KL distance ``radius`` of equal ones. The
negatives of u_i are the other rows of v and (``negatives="views"``) of u, never its partner. ``estimates`` hold log
m_i, a mean of g_i that moves from visit to visit, for want of the whole data set in one batch. With them

    m'_i = (1 - estimate_rate) m_i + estimate_rate g_i   (g_i at the first visit, log m_i = -inf),

L_i = t_i log m'_i + t_i radius, and its gradient is that of the surrogate sum_j w_ij h_ij with w_ij = e^{h_ij/t_i} /
(n m'_i) held fixed: the estimator of the paper. Without estimates m' = g, and that is the gradient of L_i as it stands.

``estimate_of="similarities"`` estimates the mean of e^{s_ij/t_i} instead and takes s_i off L_i: the partner's weight is
then 1, not sum_j w_ij. ``value="surrogate"`` returns the surrogate: another value, the same gradient.

State: ``updated_state`` (methods/state.py) moves temperatures, estimates and momenta of the batch's samples, entries
(B,) of arrays over the training set. Two modalities with states of their own are two calls, ``symmetric=False,
negatives="batch"``.

Gradient. du_i = sum_j w_ij v_j - (sum_j w_ij) v_i, and the candidates theirs, by log-sum-exps of rows u_i / t_i: tiles
give value and gradient in O(B * tile) memory. Then da = (du - u (u·du)) / |a|.

Shapes: a, b (B, D), B >= 2; temperatures > 0, estimates (B,). ``temperature`` is everybody's where none are given.
Ranges: temperature > 0, 0 < estimate_rate <= 1, radius >= 0. A zero row has cosine 0 to all and a zero gradient.

Source. Qiu, Hu, Yuan, Zhou, Zhang, Yang 2023, arXiv 2305.11965. github.com/zhqiu/contrastive-learning-iSogCLR:
unimodal_exps/losses.py (a sample's two views share its estimate and its temperature; ``official_code`` is half of it,
which adds the views) and readme.md (radius 0.4, rate 0.8); bimodal_exps/models/losses.py (``two_modalities``). Equal
temperatures and no memory give SogCLR's global form (arXiv 2202.12387) or, with decoupled InfoNCE over both views,
t (infonce - log(2B - 2) + radius).

Public implementations differ in what is estimated, and in the first visit: the official code replaces in its first
epoch, LibAUC wherever the estimate is 0 (its note of April 2024). Logarithms, as here, overflow at no temperature.

Measured: `mini-repr claim isogclr`: temperatures of rare digits 0.369 ± 0.008 against 0.409 ± 0.015 of frequent ones,
holds; a linear probe is no better than with one temperature (both 0.827; 10 seeds), does not hold.
"""

import math
from functools import reduce

from mini_repr.autograd import concatenate, exp, log, off_diagonal, stop_gradient, unit_rows, where
from mini_repr.backend import backend_of
from mini_repr.kernels.log_sum_exp import similarity_logsumexp
from mini_repr.pages.arguments import Choice, Flag, NonNegative, Optional, Positive, Reduction, Rows, Scalar, Tile
from mini_repr.pages.invariants import exact, permutation, rotation, row_scaling, swap
from mini_repr.pages.loss import loss
from mini_repr.pages.page import definition, variant
from mini_repr.pages.reduction import reduce_rows, reduced

_STATE = ["temperatures", "estimates"]
_SAME = {"a": [[1.0, 2.0]] * 4, "b": [[1.0, 2.0]] * 4}


@loss(
    paper="075",
    variants={
        "with_state": variant("temperatures and estimates of each sample", _STATE),
        "official_code": variant(
            "one modality: estimates of similarities, the surrogate's value",
            _STATE,
            estimate_of="similarities",
            value="surrogate",
        ),
        "two_modalities": variant(
            "one direction, negatives from the other modality alone", _STATE, negatives="batch", symmetric=False
        ),
        "sum": variant("summed over samples", reduction="sum"),
    },
    invariants=[
        permutation("B"),
        permutation("B", needs=_STATE),
        rotation("D"),
        row_scaling("a", "b"),
        swap("a", "b", needs=_STATE),
        exact("identical rows give t radius", 0.1 * 0.4, **_SAME),
        exact("identical rows that are alike in memory too", 0.4, temperatures=[1.0] * 4, estimates=[0.0] * 4, **_SAME),
    ],
)
def isogclr(
    a: Rows("B>=2 D"),
    b: Rows("B>=2 D"),
    temperatures: Optional(Rows("B", frozen=True, above=0)) = None,
    estimates: Optional(Rows("B", frozen=True)) = None,
    temperature: Positive = 0.1,
    estimate_rate: Scalar(low=0, high=1, low_open=True) = 0.8,
    radius: NonNegative = 0.4,
    estimate_of: Choice("differences", "similarities") = "differences",
    negatives: Choice("views", "batch") = "views",
    symmetric: Flag = True,
    value: Choice("objective", "surrogate") = "objective",
    reduction: Reduction = "mean",
    tile: Tile = None,
):
    xp = backend_of(a).xp
    (u, to_a), (v, to_b) = unit_rows.on_arrays(a), unit_rows.on_arrays(b)
    t = xp.full(len(a), temperature, dtype=a.dtype) if temperatures is None else temperatures
    differences = estimate_of == "differences"
    pairs = ((u, v), (v, u)) if symmetric else ((u, v),)

    total, backs = 0, []
    for own, other in pairs:
        positive, share, level, back = anchors_of(own, other, t, estimates, estimate_rate, differences, negatives, tile)
        pull = share if differences else xp.ones_like(share)  # the partner's weight
        if value == "surrogate":
            per_anchor = share * (own * back(xp.ones_like(share))[0]).sum(axis=1) - pull * positive
        else:
            per_anchor = t * (level + radius) - (0 if differences else positive)
        total = total + per_anchor / len(pairs)
        backs.append((share, pull, back))
    answer, spread = reduce_rows(total, reduction)

    def backward(g):
        r = spread(g) / len(pairs)
        g_views = [-((r * sum(pull for _, pull, _ in backs))[:, None] * x) for x in (v, u)]
        for direction, (share, _, back) in enumerate(backs):
            g_own, g_other, g_same = back(r * share)
            g_views[direction] += g_own
            g_views[1 - direction] += g_other
            if g_same is not None:
                g_views[direction] += g_same
        return to_a(g_views[0]), to_b(g_views[1])

    return answer, backward


def anchors_of(own, other, t, estimates, rate, differences, negatives, tile):
    """One view's anchors ``own``, partners in ``other``: (positive s_i, share g / m', level log m', back), (B,) each.

    ``back(g)`` is the gradient of sum_i g_i sum_j p_ij s_ij with the softmax p over the negatives held fixed: that of
    ``own`` as anchors, of ``other`` as candidates and of ``own`` as candidates (or None).
    """
    xp = backend_of(own).xp
    anchors = own / t[:, None]
    candidates = [other, own] if negatives == "views" else [other]
    parts = [similarity_logsumexp(anchors, x, 1.0, skip_diagonal=True, tile=tile) for x in candidates]
    sums = [over for (over, _), _ in parts]
    over_all = reduce(xp.logaddexp, sums)
    positive = (own * other).sum(axis=1)
    log_g = over_all - math.log(len(candidates) * (len(own) - 1))
    if differences:
        log_g -= positive / t
    level = log_g
    if estimates is not None and rate < 1:
        moved = xp.logaddexp(estimates + math.log1p(-rate), log_g + math.log(rate))
        level = xp.where(estimates > -xp.inf, moved, log_g)

    def back(g):
        pieces = [walk(g * t * xp.exp(over - over_all)) for over, (_, walk) in zip(sums, parts, strict=True)]
        g_own = sum(piece[0] for piece in pieces) / t[:, None]
        return g_own, pieces[0][1], pieces[1][1] if len(pieces) > 1 else None

    return positive, xp.exp(log_g - level), level, back


@definition(isogclr)
def isogclr_definition(
    a,
    b,
    temperatures,
    estimates,
    temperature,
    estimate_rate,
    radius,
    estimate_of,
    negatives,
    symmetric,
    value,
    reduction,
):
    u, v = unit_rows(a), unit_rows(b)
    t = temperature if temperatures is None else temperatures
    column = t if temperatures is None else t[:, None]

    def over(own, other):
        positive = (own * other).sum(axis=1)
        others = [off_diagonal(own @ x.T) for x in ((other, own) if negatives == "views" else (other,))]
        h = concatenate(*others, axis=1)
        if estimate_of == "differences":
            h = h - positive[:, None]
        terms = exp(h / column)
        m = terms.mean(axis=1)
        if estimates is not None:
            xp = backend_of(estimates).xp
            m = where(estimates > -xp.inf, (1 - estimate_rate) * xp.exp(estimates) + estimate_rate * m, m)
        weights = stop_gradient(terms / m[:, None]) / h.shape[1]
        surrogate = (weights * h).sum(axis=1)
        if value == "objective":
            surrogate = surrogate + stop_gradient(t * (log(m) + radius) - surrogate)
        return surrogate if estimate_of == "differences" else surrogate - positive

    views = [over(u, v), over(v, u)] if symmetric else [over(u, v)]
    return reduced(sum(views) / len(views), reduction)
