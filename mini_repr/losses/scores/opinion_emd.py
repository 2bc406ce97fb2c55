"""Opinion distance: predicted opinions must be where given ones are, and nearer is better than farther.

Definition. With p = softmax(scores) over opinions 1 .. C, from worst to best, q = targets / sum(targets) those given,
and P_c = p_1 + .. + p_c, Q_c their sums up to c,

    L = mean over rows of  mean_c (P_c - Q_c)²        ("root": of the square root of that mean)

the squared earth mover's distance of order 2 along the line of opinions: mass that lies k opinions off costs the more,
the larger k is, which cross-entropy does not see. 0 exactly where p = q.

Gradient. With e_c = (2 / (N C)) (P_c - Q_c) and h_b = sum_{c >= b} e_c: dscores_b = p_b (h_b - sum_k p_k h_k), over
2 sqrt(mean_c (P_c - Q_c)²) for "root", where p = q has gradient 0.

Shapes: scores, targets (N, C), C >= 2; targets >= 0, some above 0 in each row, never differentiated.

Source. Talebi, Milanfar 2017, arXiv 1709.05424 (NIMA), eq. 1 with r = 2, which is "root": the trained models of opinion
that Yoshida et al. 2020, arXiv 2009.00382, optimise images against.
"""

from mini_repr.autograd import concatenate, softmax, sqrt
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Flag, Rows
from mini_repr.pages.invariants import between, constant_shift, exact, permutation, row_scaling
from mini_repr.pages.loss import definition, loss, variant

_FAR = {"scores": [[500.0, 0.0, 0.0, 0.0]], "targets": [[0.0, 0.0, 0.0, 1.0]]}

_TEX = {
    "definition": r"""
L = \frac{1}{N} \sum \frac{1}{C} \sum_c (P_c - Q_c)^2

P_c = \sum_{b \le c} p_b

Q_c = \sum_{b \le c} q_b

p = \mathrm{softmax}(s)
""",
    "gradient": r"""
\mathrm{d}s_b = p_b \Bigl( h_b - \sum_k p_k h_k \Bigr)

h_b = \frac{2}{N C} \sum_{c \ge b} (P_c - Q_c)
""",
}


@loss(
    paper="069",
    tex=_TEX,
    variants={"root": variant("the distance, not its square", root=True)},
    invariants=[
        permutation("N"),
        constant_shift("scores"),
        row_scaling("targets"),
        between(0, 1),
        exact("three steps off, of four opinions", 0.75, **_FAR),
        exact("one step off", 0.25, scores=_FAR["scores"], targets=[[0.0, 1.0, 0.0, 0.0]]),
        exact("opinions as given", 0.0, scores=[[1.0, 1.0]], targets=[[3.0, 3.0]]),
        exact("the root of three quarters", 0.75**0.5, **_FAR, root=True),
    ],
)
def opinion_emd(
    scores: Rows("N C>=2"), targets: Rows("N C", frozen=True, least=0, no_zero_row=True), root: Flag = False
):
    xp = backend_of(scores).xp
    p, to_scores = softmax.on_arrays(scores)
    off = xp.cumsum(p - targets / targets.sum(axis=1, keepdims=True), axis=1)
    off[:, -1] = 0  # both sum to 1, up to round-off
    per_row = (off * off).mean(axis=1)
    value = xp.sqrt(per_row) if root else per_row

    def backward(g):
        e = off * (2 * g / off.size)
        if root:
            e /= xp.where(value > 0, 2 * value, xp.inf)[:, None]
        return (to_scores(xp.flip(xp.cumsum(xp.flip(e, 1), axis=1), 1)),)

    return value.mean(), backward


@definition(opinion_emd)
def opinion_emd_definition(scores, targets, root):
    gap = softmax(scores) - targets / targets.sum(axis=1, keepdims=True)
    squares = [gap[:, :c].sum(axis=1, keepdims=True) ** 2 for c in range(1, scores.shape[1])]
    mean = concatenate(*squares, axis=1).sum(axis=1) / scores.shape[1]
    return (sqrt(mean) if root else mean).mean()
