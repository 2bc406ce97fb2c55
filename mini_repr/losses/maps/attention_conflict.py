"""Attention conflict: the places of two subjects must not look at the same parts of the image.

Definition. With s_i the self-attention map of the place where subject i is looked at most, of M subjects,

    f(i, j) = sum_p min(s_i, s_j) / sum_p (s_i + s_j),     L = mean over images and pairs i < j of f(i, j)

Near 0 where the maps hardly overlap, 1/2 where they are alike. One subject alone is in no conflict: 0. Which place a
map is taken from has no gradient.

Gradient. With U the denominator of a pair, df/ds_i[p] = ([s_i < s_j] - f) / U at p, ties 1/2 in place of 0 or 1, times
2 / (B M (M - 1)).

Shapes: maps (B, M, P), numbers > 0.

Source. OptiPrune, 2025, arXiv 2507.00789, self-attention score, as a review that a program wrote of it says; that of
InitNO (Guo et al. 2024, arXiv 2404.04650). Checked against InitNO's code, xiefan-guo/initno,
initno/pipelines/pipeline_sd_initno.py (fn_compute_loss), run on random maps without its smoothing: value and
gradient agree but for the 1e-6 that is added to U there. Its score is 0 as long as that of neglect is above 1/2.
"""

from mini_repr.autograd import absolute
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Rows
from mini_repr.pages.invariants import between, exact, permutation, scaling
from mini_repr.pages.loss import definition, loss

_ALIKE = [[[0.5, 0.25, 0.25], [0.5, 0.25, 0.25]]]
_PARTLY = [[[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]]]

_TEX = {
    "definition": r"""
L = \frac{1}{B} \sum_b \frac{2}{M (M - 1)} \sum_{i < j} f(i, j)

f(i, j) = \frac{\sum_p \min(s_{ip}, s_{jp})}{\sum_p (s_{ip} + s_{jp})}
""",
    "gradient": r"""
\frac{\mathrm{d}f}{\mathrm{d}s_{ip}} = \frac{[s_{ip} < s_{jp}] - f}{\sum_p (s_{ip} + s_{jp})}
""",
}


@loss(
    paper="074",
    tex=_TEX,
    invariants=[
        permutation("B"),
        permutation("M"),
        permutation("P"),
        scaling("maps"),
        between(0, 0.5),
        exact("maps that are alike", 0.5, maps=_ALIKE),
        exact("three quarters of either are shared", 0.375, maps=_PARTLY),
        exact("one subject", 0.0, maps=[[[0.5, 0.5]]]),
    ],
)
def attention_conflict(maps: Rows("B M P", above=0)):
    xp, (batch, count) = backend_of(maps).xp, maps.shape[:2]
    first, second = maps[:, :, None], maps[:, None]  # (B, i, j, P) together
    total = (first + second).sum(axis=3)
    others = 1 - xp.eye(count, dtype=maps.dtype)
    f = xp.minimum(first, second).sum(axis=3) / total * others
    pairs = batch * max(count * (count - 1), 1)

    def backward(g):
        lower = (first < second) + (first == second) / maps.dtype.type(2)
        slope = (lower - f[..., None]) * (others / total)[..., None]
        return (slope.sum(axis=2) * (2 * g / pairs),)  # each pair stands there twice

    return f.sum() / pairs, backward


@definition(attention_conflict)
def attention_conflict_definition(maps):
    batch, count = maps.shape[:2]
    total, pairs = 0 * maps.sum(), count * (count - 1) / 2
    for k in range(batch):
        for j in range(count):
            for i in range(j):
                a, b = maps[k, i], maps[k, j]
                low, union = ((a + b - absolute(a - b)) / 2).sum(), (a + b).sum()
                total = total + (low / union) / pairs
    return total / batch
