"""Contrastive gap: CLIP's loss with terms that spread both modalities over one sphere, among each other too (CUAXU).

Definition. With u_i = a_i/|a_i|, v_j = b_j/|b_j|, temperature t, weights w and B pairs,

    L = w_clip C + w_uniformity (U(u) + U(v))/2 + w_alignment A + w_cross X
    C = mean_i [ lse_j(u_i·v_j/t) + lse_j(u_j·v_i/t) ]/2 - u_i·v_i/t                           (CLIP: InfoNCE both ways)
    U(x) = log( 1/(B(B-1)) sum_{i != j} e^{-sharpness |x_i - x_j|²} ),              A = 1/B sum_i |u_i - v_i|²
    X = log( 1/(B(B-1)) sum_{i != j} e^{-sharpness |u_i - v_j|²} )                             (no partners)

CLIP's loss alone leaves the two sets in two narrow cones apart from each other: it is as content with partners that are
nearest among far rows as with near ones. The third return value holds ``clip``, ``uniformity``, ``alignment`` and
``cross_uniformity`` as they enter L, weights included.

Gradient. C as ``infonce``, U and A as ``align_uniform``. With w_ij the share of the pair (i, j) in the sum of X,
dX/du_i = -2 sharpness sum_j w_ij (u_i - v_j), and for v_j likewise; da = (du - u (u·du)) / |a|. For tiles,
-|u_i - v_j|²/2 is the dot product of [u_i, -|u_i|²/2, 1] and [v_j, 1, -|v_j|²/2]: O(B * tile) memory.

Shapes: a, b (B, D), B >= 2. Ranges: temperature, sharpness > 0, weights >= 0. U and X lie in [-4 sharpness, 0], A in
[0, 4]; all rows the same give log B, from C alone. A zero row stays at the origin and has a zero gradient.

Source. Fahim, Murphy, Fyshe 2024, arXiv 2405.18570; checked against the authors' code (abrar-fahim/contrastive-gap,
clips/hf_clip.py): sharpness 2, all weights 1, the mean of the two uniformities, cross-uniformity without the diagonal;
its src/config.py has a fixed temperature of 0.01.
CUA (``cua``) is the loss without X. Uniformity and alignment: Wang, Isola 2020, arXiv 2005.10242, section 4.1; CLIP:
Radford et al. 2021, arXiv 2103.00020, figure 3. Measures of the gap: metrics ``modality_gap`` and
``modality_separability``.
"""

import math

from mini_repr.autograd import diagonal, logsumexp, off_diagonal, unit_rows
from mini_repr.backend import backend_of
from mini_repr.kernels.distinct_pairs import pair_log_mean_exp
from mini_repr.kernels.log_sum_exp import similarity_logsumexp
from mini_repr.pages.arguments import NonNegative, Positive, Rows, Tile, WithGradient
from mini_repr.pages.invariants import at_least, exact, permutation, rotation, row_scaling, swap
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows

_OPPOSITE = [[1.0, 2.0], [-3.0, -6.0]]

_TEX = {
    "definition": r"""
L = w_C \, C + \frac{w_U}{2} \bigl( U(u) + U(v) \bigr) + w_A \, A + w_X \, X

C = \frac{1}{B} \sum_i \Bigl( \frac{1}{2} \log \sum_j e^{u_i \cdot v_j / t} + \frac{1}{2} \log \sum_j e^{u_j \cdot v_i
/ t} - \frac{u_i \cdot v_i}{t} \Bigr)

U(x) = \log \frac{1}{B (B - 1)} \sum_{i \ne j} e^{-\kappa \lVert x_i - x_j \rVert^2}

A = \frac{1}{B} \sum_i \lVert u_i - v_i \rVert^2

X = \log \frac{1}{B (B - 1)} \sum_{i \ne j} e^{-\kappa \lVert u_i - v_j \rVert^2}
""",
    "gradient": r"""
\frac{\mathrm{d}X}{\mathrm{d}u_i} = -2 \kappa \sum_j w_{ij} \, (u_i - v_j)

w_{ij} = \frac{e^{-\kappa \lVert u_i - v_j \rVert^2}}{\sum_{k \ne l} e^{-\kappa \lVert u_k - v_l \rVert^2}}
""",
}


@loss(
    paper="104",
    tex=_TEX,
    variants={
        "cua": variant("CLIP, uniformity and alignment, no cross-uniformity", cross_uniformity_weight=0.0),
        "clip": variant("CLIP's loss alone", uniformity_weight=0.0, alignment_weight=0.0, cross_uniformity_weight=0.0),
        "without_clip": variant("the added terms alone, as the authors' code can", clip_weight=0.0),
    },
    invariants=[
        permutation("B"),
        rotation("D"),
        row_scaling("a", "b"),
        swap("a", "b"),
        at_least(-16),
        exact("identical rows give log B", math.log(3), a=[[1.0, 2.0]] * 3, b=[[1.0, 2.0]] * 3),
        exact(
            "opposite pairs: uniformity and cross-uniformity are -4 sharpness",
            math.log1p(math.exp(-4)) - 16,
            a=_OPPOSITE,
            b=_OPPOSITE,
            temperature=0.5,
        ),
    ],
)
def contrastive_gap(
    a: Rows("B>=2 D"),
    b: Rows("B>=2 D"),
    temperature: WithGradient(Positive) = 0.01,
    sharpness: Positive = 2.0,
    clip_weight: NonNegative = 1.0,
    uniformity_weight: NonNegative = 1.0,
    alignment_weight: NonNegative = 1.0,
    cross_uniformity_weight: NonNegative = 1.0,
    tile: Tile = None,
):
    (u, to_a), (v, to_b) = unit_rows.on_arrays(a), unit_rows.on_arrays(b)
    scale = 1 / temperature
    apart = u - v
    partner = (u * v).sum(axis=1) * scale

    (over_a, over_b), back_clip = similarity_logsumexp.on_arrays(u, v, scale, columns=True, tile=tile, unit=True)
    (spread_u, back_u), (spread_v, back_v) = (pair_log_mean_exp.on_arrays(x, sharpness, tile=tile) for x in (u, v))
    crossed, back_cross = _cross_log_mean_exp(u, v, sharpness, tile)
    clip, over_pairs = reduce_rows((over_a + over_b) / 2 - partner, "mean")
    terms = {
        "clip": clip_weight * clip,
        "uniformity": uniformity_weight / 2 * (spread_u + spread_v),
        "alignment": alignment_weight * (apart * apart).sum(axis=1).mean(),
        "cross_uniformity": cross_uniformity_weight * crossed,
    }

    def backward(g):
        r = over_pairs(g * clip_weight)
        g_u, g_v, g_scale = back_clip((r / 2, r / 2))
        towards = (r * scale)[:, None]
        g_u -= towards * v
        g_v -= towards * u
        g_scale -= (r * partner).sum() / scale
        pull = g * (2 * alignment_weight / len(u)) * apart
        g_u += pull
        g_v -= pull
        g_u += back_u(g * uniformity_weight / 2)
        g_v += back_v(g * uniformity_weight / 2)
        crossed_u, crossed_v = back_cross(g * cross_uniformity_weight)
        g_u += crossed_u
        g_v += crossed_v
        return to_a(g_u), to_b(g_v), -g_scale * scale**2

    return sum(terms.values()), backward, terms


def _cross_log_mean_exp(u, v, sharpness, tile):
    """(value, backward) of log mean over i != j of e^{-sharpness |u_i - v_j|²}."""
    xp = backend_of(u).xp
    width = u.shape[1]
    half_u, half_v = ((x * x).sum(axis=1, keepdims=True) / -2 for x in (u, v))
    x = xp.concatenate([u, half_u, xp.ones_like(half_u)], axis=1)
    y = xp.concatenate([v, xp.ones_like(half_v), half_v], axis=1)
    (over_rows, _), back = similarity_logsumexp.on_arrays(x, y, 2 * sharpness, skip_diagonal=True, tile=tile)
    top = over_rows.max()
    shares = xp.exp(over_rows - top)
    total = shares.sum()

    def backward(g):
        g_x, g_y, _ = back((g / total * shares, None))
        return g_x[:, :width] - g_x[:, width : width + 1] * u, g_y[:, :width] - g_y[:, width + 1 :] * v

    return top + xp.log(total) - math.log(len(u) * (len(u) - 1)), backward


@definition(contrastive_gap)
def contrastive_gap_definition(
    a,
    b,
    temperature,
    sharpness,
    clip_weight,
    uniformity_weight,
    alignment_weight,
    cross_uniformity_weight,
):
    u, v = unit_rows(a), unit_rows(b)
    rows, width = u.shape

    def spread(x, y):
        apart = x.reshape(rows, 1, width) - y.reshape(1, rows, width)
        return logsumexp(off_diagonal(-sharpness * (apart * apart).sum(axis=2))) - math.log(rows * (rows - 1))

    logits = u @ v.T / temperature
    clip = ((logsumexp(logits, axis=1) + logsumexp(logits, axis=0)) / 2 - diagonal(logits)).mean()
    alignment = ((u - v) ** 2).sum(axis=1).mean()
    uniformity = (spread(u, u) + spread(v, v)) / 2
    return (
        clip_weight * clip
        + uniformity_weight * uniformity
        + alignment_weight * alignment
        + cross_uniformity_weight * spread(u, v)
    )
