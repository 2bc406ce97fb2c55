"""DCLR: InfoNCE with weighted negatives, so that false ones do not count, and with noise as further negatives.

Definition. With u_i = a_i/|a_i|, v_j = b_j/|b_j|, noise directions n_k, s_ij = u_i·v_j, temperature t, weights w_ij,

    L = mean_i -log( e^{s_ii/t} / (e^{s_ii/t} + sum_{j != i} w_ij e^{s_ij/t} + sum_k e^{u_i·n_k/t}) )

``instance_weights`` (methods/state.py) makes the weights from the rows of a fixed complementary model: 0 for pairs that
it finds more similar than a threshold (phi), 1 for others; w_ii counts as 1 whatever it is. ``refine_noise`` (there)
moves Gaussian noise uphill on the loss, to where the anchors crowd. Either may be left out; without both this is one
direction of InfoNCE. ``reduction="none"`` gives one value per pair.
``masking="logits"`` multiplies s_ij/t itself by the weight, so that a false negative keeps the term e^0.
``form="binary"``: with p_ic the softmax over all C = B + K candidates, the binary cross-entropy of each candidate,

    L = mean_i -(1/C) [ log p_ii + sum_{c != i} log(1 - p_ic) ]

Gradient. A logit receives r_i G_ic, r_i the weight of anchor i in the reduction and G_ic = p_ic - [c = i]; in the
binary form, with o_ic = p_ic / (1 - p_ic) off the partner, G_ic = (p_ic - [c = i] + o_ic - p_ic sum_c o_ic) / C. With
``masking="logits"`` s/t receives it times w_ij. du = G v / t, dv = Gᵀ u / t, dt = -sum_ic G_ic s_ic / t²;
da = (du - u (u·du)) / |a|. Weights and noise are constants. Tiles of rows: O((B + K) * tile) memory.

Shapes: a, b (B, D), B >= 2; weights (B, B) >= 0, some above 0 in each row; noise (K, D). In the binary form 1 - p is
kept at the dtype's smallest normal number: a negative that takes all gives a large value, not infinity. A zero row has
similarity 0 and a zero gradient.

Source. Zhou, Zhang, Zhao, Wen 2022, arXiv 2205.00656 (instance weighting, noise-based negatives); checked against the
official code, RUCAIBox/DCLR, simcse/models.py (cl_vat_forward), which is variant ``official_code``: it multiplies the
logits and takes the mean binary cross-entropy over all candidates, where the paper has a softmax. Its run.sh: t 0.05,
phi 0.9 or 0.85, 1 to 5 B noise vectors; train.py: 4 steps of 1e-3, which turn a Gaussian vector of 768 numbers (length
28) by less than 2e-4: there, refined noise is noise.
"""

import math

from mini_repr.autograd import concatenate, log, log_softmax, off_diagonal, softmax, unit_rows, where
from mini_repr.backend import backend_of
from mini_repr.kernels.tiles import row_tiles
from mini_repr.pages.arguments import Choice, Optional, Positive, Reduction, Rows, Tile, WithGradient
from mini_repr.pages.invariants import at_least, exact, permutation, rotation, row_scaling
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

_BOTH = ("weights", "noise")
_SAME = {"a": [[1.0, 2.0]] * 3, "b": [[1.0, 2.0]] * 3}

_TEX = {
    "definition": r"""
L = -\frac{1}{B} \sum_i \log \frac{e^{s_{ii}/t}}{e^{s_{ii}/t} + \sum_{j \ne i} w_{ij} \, e^{s_{ij}/t} + \sum_k e^{u_i
\cdot n_k / t}}
""",
    "gradient": r"""
G_{ic} = r_i \, \bigl( p_{ic} - [c = i] \bigr)

\mathrm{d}u = \frac{G v}{t}

\mathrm{d}v = \frac{G^\top u}{t}

\mathrm{d}t = -\frac{1}{t^2} \sum_{i,c} G_{ic} \, s_{ic}
""",
}


@loss(
    paper="100",
    tex=_TEX,
    variants={
        "weighted": variant("instance weights and noise-based negatives", _BOTH),
        "weights_only": variant("instance weights, no noise", ["weights"]),
        "noise_only": variant("noise-based negatives, every other row counts", ["noise"]),
        "official_code": variant("logits times weights, binary cross-entropy", _BOTH, masking="logits", form="binary"),
        "binary": variant("binary cross-entropy of the softmax, without weights", form="binary"),
        "sum": variant("summed over pairs instead of averaged", reduction="sum"),
    },
    invariants=[
        permutation("B", needs=_BOTH),
        permutation("K", needs=_BOTH),
        rotation("D", needs=_BOTH),
        row_scaling("a", "b", "noise", needs=_BOTH),
        at_least(0, needs=_BOTH),
        exact("identical rows give log B", math.log(3), **_SAME),
        exact("rows without negatives give 0", 0.0, weights=[[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]], **_SAME),
        exact("identical rows: B binary decisions", math.log(3) / 3 - 2 / 3 * math.log(2 / 3), form="binary", **_SAME),
    ],
)
def dclr(
    a: Rows("B>=2 D"),
    b: Rows("B>=2 D"),
    temperature: WithGradient(Positive) = 0.05,
    weights: Optional(Rows("B B", frozen=True, least=0, no_zero_row=True)) = None,
    noise: Optional(Rows("K D", frozen=True)) = None,
    masking: Choice("candidates", "logits") = "candidates",
    form: Choice("softmax", "binary") = "softmax",
    reduction: Reduction = "mean",
    tile: Tile = None,
):
    xp = backend_of(a).xp
    (u, to_a), (v, to_b) = unit_rows.on_arrays(a), unit_rows.on_arrays(b)
    candidates = v if noise is None else xp.concatenate([v, unit_rows.on_arrays(noise)[0]])
    tiles = row_tiles(u, len(candidates), tile)
    scale = 1 / temperature

    def softmax_of(rows):
        """Of a tile: p, 1 - p, places of partners and of the largest p, the partners' -log p, d logit / d(s/t)."""
        logits = (u[rows] * scale) @ candidates.T
        numbers = xp.arange(rows.start, rows.stop)
        here = numbers - rows.start
        partners, among, kept = (here, numbers), logits[:, : len(v)], None
        if weights is not None:
            kept = weights[rows].copy()
            kept[partners] = 1
            if masking == "logits":
                among *= kept
            else:
                among += xp.log(xp.where(kept == 0, 1, kept))
                xp.copyto(among, -xp.inf, where=kept == 0)
                kept = None
        logits -= logits.max(axis=1, keepdims=True)
        cost = -logits[partners]
        largest = (here, xp.argmax(logits, axis=1))
        p = xp.exp(logits, out=logits)
        p[largest] = 0
        others = p.sum(axis=1)
        p[largest] = 1
        total = (others + 1)[:, None]
        missing = None
        if form == "binary":
            missing = (total - p) / total
            missing[largest] = others / total[:, 0]  # where p is near 1, 1 - p has no digits left
            xp.maximum(missing, float(xp.finfo(a.dtype).tiny), out=missing)
        cost += xp.log(total[:, 0])
        p /= total
        return p, missing, partners, largest, cost, kept

    cost = xp.empty(len(u), dtype=u.dtype)
    for rows in tiles:
        _, missing, partners, _, cost[rows], _ = softmax_of(rows)
        if form == "binary":
            missing[partners] = 1
            cost[rows] -= xp.log(missing).sum(axis=1)
    divisor = len(candidates) if form == "binary" else 1
    value, spread = reduce_rows(cost / divisor, reduction)

    def backward(g):
        r = spread(g) / divisor
        g_u, g_all, excess = xp.empty_like(u), xp.zeros_like(candidates), xp.empty_like(r)
        for rows in tiles:
            slope, missing, partners, largest, _, kept = softmax_of(rows)
            if form == "binary":
                # o_c - p_c sum o is p_c (1 - sum of the other o), where the largest must not be added and taken off.
                odds = slope / missing
                odds[partners] = 0
                top = odds[largest]
                odds[largest] = 0
                below = odds.sum(axis=1)
                odds -= (below + top)[:, None]
                odds[largest] = -below
                odds += 2
                odds[partners] -= 1
                slope *= odds
            slope[partners] -= 1
            slope *= r[rows, None]
            excess[rows] = slope.sum(axis=1)
            if kept is not None:
                slope[:, : len(v)] *= kept
            xp.matmul(slope, candidates, out=g_u[rows])
            g_all += slope.T @ u[rows]
        # The slopes of an anchor sum to 0, but for rounding, which the partner's similarity then takes out again.
        g_scale = (u * g_u).sum() - (excess * (u * v).sum(axis=1)).sum()
        return to_a(g_u * scale), to_b(g_all[: len(v)] * scale), -g_scale * scale**2

    return value, backward


@definition(dclr)
def dclr_definition(a, b, temperature, weights, noise, masking, form, reduction):
    u, v = unit_rows(a), unit_rows(b)
    others = off_diagonal(u @ v.T) / temperature
    if weights is not None:
        w = off_diagonal(weights)
        others = (
            others * w if masking == "logits" else where(w.data > 0, others + log(where(w.data > 0, w, 1)), -math.inf)
        )
    parts = [(u * v).sum(axis=1, keepdims=True) / temperature, others]
    logits = concatenate(*parts, *([] if noise is None else [u @ unit_rows(noise).T / temperature]), axis=1)
    cost = -log_softmax(logits)[:, 0]
    if form == "binary":
        cost = (cost - log(1 - softmax(logits)[:, 1:]).sum(axis=1)) / logits.shape[1]
    return reduced(cost, reduction)
