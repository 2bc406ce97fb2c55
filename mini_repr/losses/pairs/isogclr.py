"""SogCLR with individual temperatures (iSogCLR): contrast that knows frequent samples from rare ones.

Definition. With u, v the unit rows of a and b, anchor u_i of temperature t_i, s_ij its cosine with negative j of n,
s_i that with its partner, h_ij = s_ij - s_i,

    L_i = t_i log g_i + t_i radius,   g_i = mean_j e^{h_ij/t_i},      L = mean of L_i over the anchors of both views.

At the best t_i, L_i is the largest weighted mean of h over weights within KL distance ``radius`` of equal ones. The
negatives of u_i are the other rows of v and (``negatives="views"``) of u, never its partner. ``estimates`` hold log
m_i, a mean of g_i that moves from visit to visit, for want of the whole data set in one batch. With them

    m'_i = (1 - estimate_rate) m_i + estimate_rate g_i   (g_i at the first visit, log m_i = -inf),

L_i = t_i log m'_i + t_i radius, and its gradient is that of the surrogate sum_j w_ij h_ij with w_ij = e^{h_ij/t_i} /
(n m'_i) constant: the estimator of the paper. Without estimates m' = g, and that is the gradient of L_i as it stands.

``estimate_of="similarities"`` estimates the mean of e^{s_ij/t_i} instead and takes s_i off L_i: the partner's weight is
then 1, not sum_j w_ij. ``value="surrogate"`` returns the surrogate: another value, the same gradient.

State: ``updated_state`` (methods/state.py) moves temperatures, estimates and momenta of the batch's samples, entries
(B,) of arrays over the training set. Two modalities with states of their own are two calls, ``symmetric=False,
negatives="batch"``.

Gradient. du_i = sum_j w_ij v_j - (sum_j w_ij) v_i, and the candidates theirs, by log-sum-exps of rows u_i / t_i: tiles
give value and gradient in O(B * tile) memory. Then da = (du - u (u·du)) / |a|.

Shapes: a, b (B, D), B >= 2; temperatures > 0, estimates (B,), -inf where there is none yet. ``temperature`` is
everybody's where none are given. Ranges: temperature > 0, 0 < estimate_rate <= 1, radius >= 0. A zero row has cosine 0
to all and a zero gradient.

Source. Qiu, Hu, Yuan, Zhou, Zhang, Yang 2023, arXiv 2305.11965. github.com/zhqiu/contrastive-learning-iSogCLR:
unimodal_exps/losses.py (a sample's two views share its estimate and its temperature; ``official_code`` is half of it,
which adds the views) and readme.md (radius 0.4, rate 0.8); bimodal_exps/models/losses.py (``two_modalities``). Equal
temperatures and no memory give SogCLR's global form (arXiv 2202.12387) or, with decoupled InfoNCE over both views,
t (infonce - log(2B - 2) + radius).

Public implementations differ in what is estimated, and in the first visit: the official code replaces in its first
epoch, LibAUC wherever the estimate is 0 (its note of April 2024). Logarithms, as here, overflow at no temperature.
"""

import math
from functools import reduce
from typing import NamedTuple

from mini_repr.autograd import concatenate, exp, log, off_diagonal, stop_gradient, unit_rows, where
from mini_repr.backend import backend_of
from mini_repr.kernels.log_sum_exp import similarity_logsumexp
from mini_repr.pages.arguments import Choice, Flag, NonNegative, Optional, Positive, Reduction, Rows, Scalar, Tile
from mini_repr.pages.invariants import exact, permutation, rotation, row_scaling, swap
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

_STATE = ["temperatures", "estimates"]
_SAME = {"a": [[1.0, 2.0]] * 4, "b": [[1.0, 2.0]] * 4}

_TEX = {
    "definition": r"""
L_i = t_i \log g_i + t_i \, \rho

g_i = \frac{1}{n} \sum_j e^{h_{ij}/t_i}

h_{ij} = s_{ij} - s_i

m_i' = (1 - \beta) \, m_i + \beta \, g_i
""",
    "gradient": r"""
\mathrm{d}u_i = \sum_j w_{ij} \, v_j - \Bigl( \sum_j w_{ij} \Bigr) v_i

w_{ij} = \frac{e^{h_{ij}/t_i}}{n \, m_i'}
""",
}


@loss(
    paper="075",
    tex=_TEX,
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
    estimates: Optional(Rows("B", frozen=True, unset=True)) = None,
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
    views = [(u, v), (v, u)] if symmetric else [(u, v)]
    of_views = [
        anchor_estimates(own, other, t, estimates, estimate_rate, estimate_of, negatives, tile) for own, other in views
    ]

    total = 0
    for (own, _), view in zip(views, of_views, strict=True):
        if value == "surrogate":  # sum_j w_ij h_ij, or sum_j w_ij s_ij - s_i
            l_view = view.mass * view.mean_similarity(own) - view.partner_weight * view.s
        else:
            l_view = t * (view.log_m + radius) - (0 if estimate_of == "differences" else view.s)
        total = total + l_view / len(views)
    answer, to_rows = reduce_rows(total, reduction)

    def backward(g):
        r = to_rows(g) / len(views)
        pull = (r * sum(view.partner_weight for view in of_views))[:, None]
        d_views = [-pull * v, -pull * u]
        for direction, view in enumerate(of_views):
            d_own, d_other, d_same = view.pull(r * view.mass)  # sum_j w_ij of the candidates, and of the anchors
            d_views[direction] += d_own
            d_views[1 - direction] += d_other
            if d_same is not None:
                d_views[direction] += d_same
        return to_a(d_views[0]), to_b(d_views[1])

    return answer, backward


class AnchorEstimates(NamedTuple):
    """Of the anchors of one view, (B,) each: ``s`` s_i, ``log_m`` log m'_i, ``mass`` sum_j w_ij = g_i / m'_i.

    ``partner_weight``: what multiplies -s_i in the surrogate. ``pull(g)``: the gradient of sum_i g_i sum_j p_ij s_ij,
    with p = w / sum w as a constant: that of the own rows as anchors, of the other rows, and of the own rows as
    candidates (or None).
    """

    s: object
    log_m: object
    mass: object
    partner_weight: object
    pull: object

    def mean_similarity(self, own):
        """sum_j p_ij s_ij: with p fixed it is linear in the anchor."""
        return (own * self.pull(self.mass * 0 + 1)[0]).sum(axis=1)


def anchor_estimates(own, other, t, estimates, rate, estimate_of, negatives, tile=None):
    """``AnchorEstimates`` of anchors ``own`` with partners in ``other`` and temperatures t, by log-sum-exps."""
    xp = backend_of(own).xp
    candidates = [other, own] if negatives == "views" else [other]
    anchors = own / t[:, None]
    parts = [similarity_logsumexp.on_arrays(anchors, x, 1.0, skip_diagonal=True, tile=tile) for x in candidates]
    over = reduce(xp.logaddexp, [sums.rows for sums, _ in parts])
    s = (own * other).sum(axis=1)
    log_g = over - math.log(len(candidates) * (len(own) - 1))
    if estimate_of == "differences":
        log_g -= s / t
    log_m = log_g
    if estimates is not None and rate < 1:
        moved = xp.logaddexp(estimates + math.log1p(-rate), log_g + math.log(rate))
        log_m = xp.where(estimates > -xp.inf, moved, log_g)
    mass = xp.exp(log_g - log_m)

    def pull(g):
        pieces = [back((g * t * xp.exp(sums.rows - over), None)) for sums, back in parts]
        d_own = sum(piece[0] for piece in pieces) / t[:, None]
        return d_own, pieces[0][1], pieces[1][1] if len(pieces) > 1 else None

    return AnchorEstimates(s, log_m, mass, mass if estimate_of == "differences" else mass * 0 + 1, pull)


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
