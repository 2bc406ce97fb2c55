"""Sy-CON: learn the new and keep the old, each told from the negatives of both models.

Definition. Rows z (2B, D), both views a and b of the current model on top of each other; f those of the past model,
frozen, ``past_a`` and ``past_b``; p predictions of f from z, ``predicted_a`` and ``predicted_b`` (z where left out).
All are unit rows, j' is the other view of j, t the temperature. With candidates of the current and the past model

    l_plasticity(j) = -log( e^{z_j·z_j'/t} / [ sum_{k != j} e^{z_j·z_k/t} + sum_{k != j} e^{z_j·f_k/t} ] )
    l_stability(j)  = -log( e^{p_j·f_j/t}  / [ sum_k e^{p_j·f_k/t}        + sum_{k != j} e^{p_j·z_k/t} ] )
    L = mean_j l_plasticity(j) + mean_j l_stability(j)

Both denominators hold the negatives of both models: the symmetry that the name means. There is no weight between the
terms. Without past rows (the first task) L is the plasticity term with the current model's negatives, NT-Xent.
``negatives="own"`` leaves the second sum out of each term: NT-Xent and a distillation apart from it, as in CaSSLe
(arXiv 2112.04215), whose code distils in the opposite direction too.
``decoupled_stability`` leaves the partner out of the stability denominator. ``reduction="none"`` gives one value a
pair, the mean over its two views. The third return value holds ``plasticity`` and ``stability``.

Gradient. By log-sum-exps: a logit receives r (softmax - [partner]), r the anchor's weight, divided by t; candidates z
take their share as anchors do, f takes none. Then dx = (du - u (u·du)) / |x| for each kind of rows, and the temperature
receives -sum G_jc s_jc / t². Tiles of rows: O(B * tile) memory.

Shapes: all (B, D), B >= 2; past_a with past_b, predicted_a with predicted_b, the latter only with past rows. Ranges:
temperature > 0. A zero row has similarity 0 to everything and a zero gradient.

Source. Cha, Moon 2023, arXiv 2306.05101; its second version is Cha, Cho, Moon, ICML 2024, "Regularizing with
Pseudo-Negatives". The equations could not be read; checked against its official code, csm9493/PNR: cassle/losses/pnr.py
and cassle/distillers, temperature 0.2 for both terms. There, the form on batches (after SimCLR) counts the past row of
the other view as a negative, as here, and its mask of equal numbers also takes the stability partner itself out of the
denominator: ``official_code``. The form after MoCo keeps that partner, takes moving-average keys for partners and two
queues, of current keys and of past rows, for negatives.
"""

import math

from mini_repr.autograd import concatenate, logsumexp, off_diagonal, unit_rows
from mini_repr.backend import backend_of
from mini_repr.kernels.log_sum_exp import combine, similarity_logsumexp
from mini_repr.pages.arguments import Choice, Flag, Optional, Positive, Reduction, Rows, Tile, WithGradient
from mini_repr.pages.invariants import exact, permutation, rotation, row_scaling
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

_PAST = ("past_a", "past_b")
_ALL = ("past_a", "past_b", "predicted_a", "predicted_b")
_SAME = {name: [[1.0, 2.0]] * 3 for name in ("a", "b")}
_PAST_SAME = {name: [[2.0, 4.0]] * 3 for name in _PAST}

_TEX = {
    "definition": r"""
\ell_p(j) = -\log \frac{e^{z_j \cdot z_{j'}/t}}{\sum_{k \ne j} e^{z_j \cdot z_k/t} + \sum_{k \ne j} e^{z_j \cdot f_k/t}}

\ell_s(j) = -\log \frac{e^{p_j \cdot f_j/t}}{\sum_k e^{p_j \cdot f_k/t} + \sum_{k \ne j} e^{p_j \cdot z_k/t}}

L = \frac{1}{2B} \sum_j \bigl[ \ell_p(j) + \ell_s(j) \bigr]
""",
    "gradient": r"""
G_{jc} = r_j \, \bigl( P_{jc} - [c \ \text{is the partner}] \bigr)

\mathrm{d}t = -\frac{1}{t^2} \sum_{j,c} G_{jc} \, s_{jc}
""",
}


@loss(
    paper="044",
    tex=_TEX,
    variants={
        "continual": variant("after the first task, without a predictor", _PAST),
        "with_predictor": variant("after the first task, predictions for the stability term", _ALL),
        "official_code": variant("the stability partner is left out of its sum", _ALL, decoupled_stability=True),
        "own_negatives": variant("each term with its own model's negatives", _ALL, negatives="own"),
    },
    invariants=[
        permutation("B", needs=_ALL),
        rotation("D", needs=_ALL),
        row_scaling("a", "b", *_ALL, needs=_ALL),
        exact("identical rows give NT-Xent's log(2B - 1) in the first task", math.log(5), **_SAME),
        exact("and log(4B - 2) + log(4B - 1) later", math.log(10) + math.log(11), **_SAME, **_PAST_SAME),
    ],
)
def sy_con(
    a: Rows("B>=2 D"),
    b: Rows("B>=2 D"),
    past_a: Optional(Rows("B D", frozen=True)) = None,
    past_b: Optional(Rows("B D", frozen=True)) = None,
    predicted_a: Optional(Rows("B D")) = None,
    predicted_b: Optional(Rows("B D")) = None,
    temperature: WithGradient(Positive) = 0.2,
    negatives: Choice("both", "own") = "both",
    decoupled_stability: Flag = False,
    reduction: Reduction = "mean",
    tile: Tile = None,
):
    _check_together(past_a, past_b, predicted_a, predicted_b)
    xp = backend_of(a).xp
    scale, count = 1 / temperature, len(a)
    z, to_z = unit_rows.on_arrays(xp.concatenate([a, b]))
    shared = negatives == "both"

    def against(x, y, **settings):
        return similarity_logsumexp.on_arrays(x, y, scale, tile=tile, unit=True, **settings)

    def by_pair(over, x, y):
        per_row = over - scale * (x * y).sum(axis=1)
        return (per_row[:count] + per_row[count:]) / 2

    other = xp.concatenate([z[count:], z[:count]])
    parts = [against(z, z, skip_diagonal=True)]
    if past_a is not None:
        f, _ = unit_rows.on_arrays(xp.concatenate([past_a, past_b]))
        if shared:
            parts.append(against(z, f, skip_diagonal=True, y_gradient=False))
    (over, _), back = combine(parts)
    per_pair = plasticity = by_pair(over, z, other)
    terms = {"plasticity": plasticity.mean()}
    if past_a is not None:
        p, to_p = (z, None) if predicted_a is None else unit_rows.on_arrays(xp.concatenate([predicted_a, predicted_b]))
        parts = [against(p, f, skip_diagonal=decoupled_stability, y_gradient=False)]
        if shared:
            parts.append(against(p, z, skip_diagonal=True))
        (over, _), back_stability = combine(parts)
        stability = by_pair(over, p, f)
        per_pair = plasticity + stability
        terms["stability"] = stability.mean()
    value, spread = reduce_rows(per_pair, reduction)

    def backward(g):
        half = spread(g) / 2
        r = xp.concatenate([half, half])
        pull = (r * scale)[:, None]
        g_anchors, g_candidates, g_scale = back((r, None))
        g_z = g_anchors + g_candidates - 2 * pull * other  # each row is anchor and partner of its other view
        g_scale = g_scale - (r * (z * other).sum(axis=1)).sum()
        g_p = None
        if past_a is not None:
            g_p, g_candidates, more = back_stability((r, None))
            g_p -= pull * f
            if g_candidates is not None:
                g_z += g_candidates
            g_scale = g_scale + more - (r * (p * f).sum(axis=1)).sum()
            if predicted_a is None:
                g_z += g_p
        g_z = to_z(g_z)
        g_p = (None, None) if predicted_a is None else _halves(to_p(g_p), count)
        return *_halves(g_z, count), *g_p, -g_scale * scale**2

    return value, backward, terms


def _halves(rows, count):
    return rows[:count], rows[count:]


def _check_together(past_a, past_b, predicted_a, predicted_b):
    for name, given, partner in (("past_b", past_b, past_a), ("predicted_b", predicted_b, predicted_a)):
        if (given is None) != (partner is None):
            came = "none" if given is None else "rows"
            raise ValueError(f"sy_con: {name}: got {came}, expected what {name[:-1]}a has: both views or none")
    if predicted_a is not None and past_a is None:
        raise ValueError("sy_con: predicted_a: got predictions without past rows, expected past_a and past_b too")


@definition(sy_con)
def sy_con_definition(
    a, b, past_a, past_b, predicted_a, predicted_b, temperature, negatives, decoupled_stability, reduction
):
    def both(first, second):
        return concatenate(unit_rows(first), unit_rows(second))

    def term(anchors, partners, candidates):
        per_row = logsumexp(concatenate(*candidates, axis=1), axis=1) - (anchors * partners).sum(axis=1) / temperature
        return (per_row[: a.shape[0]] + per_row[a.shape[0] :]) / 2

    def logits(x, y):
        return x @ y.T / temperature

    z, other = both(a, b), both(b, a)
    f = None if past_a is None else both(past_a, past_b)
    current = [off_diagonal(logits(z, z))]
    if f is None:
        return reduced(term(z, other, current), reduction)
    p = z if predicted_a is None else both(predicted_a, predicted_b)
    past = [off_diagonal(logits(p, f)) if decoupled_stability else logits(p, f)]
    if negatives == "both":
        current.append(off_diagonal(logits(z, f)))
        past.append(off_diagonal(logits(p, z)))
    return reduced(term(z, other, current) + term(p, f, past), reduction)
