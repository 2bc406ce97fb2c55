"""KaLM: InfoNCE that dwells on difficult pairs and mixes new hard negatives from an anchor's hardest ones.

Definition. With u_i = a_i/|a_i|, v_j = b_j/|b_j|, s_ij = u_i·v_j, temperature t, and n_1, n_2, ... the rows v_j other
than v_i in the order of their similarity to u_i, anchor i's M = ``mixed`` synthetic negatives mix neighbours in it,

    h_im = unit( y_im n_m + (1 - y_im) n_{m+1} ),   m = 1..M, counted around the M hardest,
    p_i = e^{s_ii/t} / ( sum_j e^{s_ij/t} + sum_m e^{u_i·h_im/t} ),        L = mean_i -(1 - p_i)^gamma log p_i

``shares`` (B, M) holds y, drawn by the caller (Beta(2, 2)), and sets M; without it every y is 1/2. The focal weight
is a constant unless ``detach_weight`` is False. ``gamma=0, mixed=0`` is one direction of InfoNCE. ``reduction="none"``
gives one value per pair; the mean divides by B, not by the sum of the weights.

Gradient. Which rows are hardest is a constant. With l_i = -log p_i and r_i the weight of anchor i in the reduction,
dl_i = r_i (1 - p_i)^gamma, plus r_i l_i gamma p_i (1 - p_i)^(gamma - 1) without ``detach_weight``. The logits of rows
and of synthetic negatives receive dl_i (P_ic - [c = i]), P_ic the softmax over all; h passes its part on through its
norm to n_m and n_{m+1}. Tiles of rows: O(B * tile) memory for the batch, O(tile * M * D) for the synthetic ones.

Shapes: a, b (B, D) with B >= 2; shares (B, M); where there are fewer than M negatives their order starts again.
Ranges: temperature > 0, gamma >= 0, y meant to lie in [0, 1]. With gamma > 0 a pair with p_i = 1 has value and gradient
0. A zero row, and a mixture of opposite rows, has similarity 0 to everything and a zero gradient.

Source. Zhao et al. 2025, arXiv 2506.20923: focal-style reweighting, online hard-negative mixing and model soup
(``optim/soup.py``). The published training code (HITsz-TMG/KaLM-Embedding, train/losses.py) is the first version's:
InfoNCE over nested dimensions, with neither. Notes on the paper by others confirm the weight (1 - e^{s/t}/Z)^gamma and
pair-wise mixing with Beta(2, 2). Not confirmed: which pairs are mixed and how many, gamma = 1/2, the temperature (0.05
is this page's; that code's script has 0.01), and whether weights and mixtures are constants; its list-wise mixing is
not on this page. There, hard negatives were mined beforehand; here they are the batch's. Mixtures of hard negatives
from a queue: Kalantidis et al. 2020, arXiv 2010.01028.
"""

import math

from mini_repr.autograd import concatenate, exp, logsumexp, stop_gradient, unit_rows
from mini_repr.backend import backend_of
from mini_repr.kernels.focal import focal
from mini_repr.kernels.log_sum_exp import LogSums, combine, similarity_logsumexp
from mini_repr.kernels.nearest import most_similar
from mini_repr.kernels.tiles import row_tiles
from mini_repr.pages.arguments import (
    Count,
    Flag,
    NonNegative,
    Optional,
    Positive,
    Reduction,
    Rows,
    Tile,
    WithGradient,
)
from mini_repr.pages.invariants import at_least, exact, permutation, rotation, row_scaling
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

_SAME = {"a": [[1.0, 2.0]] * 4, "b": [[1.0, 2.0]] * 4}

_TEX = {
    "definition": r"""
L = -\frac{1}{B} \sum_i (1 - p_i)^\gamma \log p_i

p_i = \frac{e^{s_{ii}/t}}{\sum_j e^{s_{ij}/t} + \sum_m e^{u_i \cdot h_{im}/t}}

h_{im} = \frac{y_{im} \, n_m + (1 - y_{im}) \, n_{m+1}}{\lVert y_{im} \, n_m + (1 - y_{im}) \, n_{m+1} \rVert}
""",
    "gradient": r"""
\mathrm{d}l_i = r_i \, (1 - p_i)^\gamma

G_{ic} = \mathrm{d}l_i \, \bigl( P_{ic} - [c = i] \bigr)
""",
}


@loss(
    paper="091",
    tex=_TEX,
    variants={
        "mixed_shares": variant("synthetic negatives with drawn shares", ["shares"]),
        "focal": variant("reweighting alone, no synthetic negatives", mixed=0),
        "mixing": variant("synthetic negatives alone, every pair counts the same", gamma=0.0),
        "focal_gradient": variant("the focal weight is differentiated too", gamma=2.0, detach_weight=False),
        "sum": variant("summed over pairs instead of averaged", reduction="sum"),
    },
    invariants=[
        permutation("B"),
        permutation("B", needs=("shares",)),
        rotation("D"),
        row_scaling("a", "b"),
        at_least(0),
        exact("identical rows: p = 1/8 with 4 + 4 candidates", math.sqrt(7 / 8) * math.log(8), **_SAME),
    ],
)
def kalm(
    a: Rows("B>=2 D"),
    b: Rows("B>=2 D"),
    temperature: WithGradient(Positive) = 0.05,
    gamma: NonNegative = 0.5,
    mixed: Count(least=0) = 4,
    shares: Optional(Rows("B M", frozen=True)) = None,
    detach_weight: Flag = True,
    reduction: Reduction = "mean",
    tile: Tile = None,
):
    mixed = mixed if shares is None else shares.shape[1]
    xp = backend_of(a).xp
    (u, to_a), (v, to_b) = unit_rows.on_arrays(a), unit_rows.on_arrays(b)
    scale = 1 / temperature
    positive = (u * v).sum(axis=1) * scale
    parts = [similarity_logsumexp.on_arrays(u, v, scale, tile=tile, unit=True)]
    if mixed:
        parts.append(_mixtures_logsumexp(u, v, scale, mixed, shares, tile))
    (over, _), back = combine(parts)

    weighted = focal(xp.maximum(over - positive, 0), gamma)  # of -log p
    value, spread = reduce_rows(weighted.cost, reduction)

    def backward(g):
        r = spread(g) * (weighted.weight if detach_weight else weighted.slope())
        g_u, g_v, g_scale = back((r, None))
        pull = (r * scale)[:, None]
        g_u -= pull * v
        g_v -= pull * u
        g_scale -= (r * positive).sum() / scale
        return to_a(g_u), to_b(g_v), -g_scale * scale**2

    return value, backward


def _mixtures_logsumexp(u, v, scale, count, shares, tile):
    """Log-sum-exp of each row of u over its ``count`` mixtures of hard negatives: the form that ``combine`` joins."""
    backend = backend_of(u)
    xp = backend.xp
    ranked = most_similar(u, v, count, tile=tile)[1]
    first, second = (ranked[:, (xp.arange(count) + k) % ranked.shape[1]] for k in (0, 1))
    tiles = row_tiles(u, 4 * count * u.shape[1], tile)

    def mixtures(rows):
        """The unit mixtures (tile, M, D) with their backward, their cosines (tile, M), and both shares."""
        part = 0.5 if shares is None else shares[rows][:, :, None]
        mixture, to_mixture = unit_rows.on_arrays(part * v[first[rows]] + (1 - part) * v[second[rows]])
        return mixture, to_mixture, (mixture @ u[rows][:, :, None])[:, :, 0], part

    over = xp.empty(len(u), dtype=u.dtype)
    for rows in tiles:
        logits = mixtures(rows)[2] * scale
        top = logits.max(axis=1)
        over[rows] = xp.log(xp.exp(logits - top[:, None]).sum(axis=1)) + top

    def backward(g):
        g_sums, _ = g
        g_u, g_v, g_scale = xp.empty_like(u), xp.zeros_like(v), xp.zeros((), dtype=u.dtype)
        for rows in tiles:
            mixture, to_mixture, cosines, part = mixtures(rows)
            weights = xp.exp(cosines * scale - over[rows, None]) * g_sums[rows, None]
            g_scale += (weights * cosines).sum()
            weights *= scale
            g_u[rows] = (weights[:, None, :] @ mixture)[:, 0]
            g_mixture = to_mixture(weights[:, :, None] * u[rows][:, None, :])
            for columns, share in ((first, part), (second, 1 - part)):
                backend.scatter_add(g_v, columns[rows].ravel(), (share * g_mixture).reshape(-1, v.shape[1]))
        return g_u, g_v, g_scale

    return LogSums(over), backward


@definition(kalm)
def kalm_definition(a, b, temperature, gamma, mixed, shares, detach_weight, reduction):
    u, v = unit_rows(a), unit_rows(b)
    s = u @ v.T
    xp = backend_of(s.data).xp
    candidates = [s]
    mixed = mixed if shares is None else shares.shape[1]
    if mixed:
        ranked = xp.argsort(xp.where(xp.eye(len(s), dtype=bool), xp.inf, -s.data.real), axis=1)[:, : len(s) - 1]
        hardest = min(mixed, len(s) - 1)
        first, second = (ranked[:, (xp.arange(mixed) + k) % hardest] for k in (0, 1))
        part = 0.5 if shares is None else shares[:, :, None]
        mixture = unit_rows(part * v[first] + (1 - part) * v[second])
        candidates.append((mixture * u[:, None, :]).sum(axis=2))
    cost = logsumexp(concatenate(*candidates, axis=1) / temperature, axis=1) - (u * v).sum(axis=1) / temperature
    weight = (1 - exp(-cost)) ** gamma
    return reduced((stop_gradient(weight) if detach_weight else weight) * cost, reduction)
