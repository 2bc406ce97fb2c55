"""Contrastive noise: push what a batch of noises would become apart, and keep each near what it was going to be.

Definition. With u, v the unit rows of the current clean predictions a and of those of the first noises b (constants),
c_ij = u_i·u_j and t the temperature,

    L = mean_i [ -u_i·v_i / (gamma t) + log sum_j e^(c_ij / t) ],    gamma = 1 / (t log(B - 1) + 1) unless it is given

The sum has the row itself, j = i (``include_self``), and not the positive. With this gamma the strongest pull is as
large as the strongest push, 1 / (gamma t) = log((B - 1) e^(1 / t)); gamma = 1 is the plain form.

Gradient. With Q_ij = softmax_j(c_ij / t), every row is an anchor and a negative:

    du_i = (1/B) [ (1/t) sum_j (Q_ij + Q_ji) u_j - v_i / (gamma t) ],    da = (du - u (u·du)) / |a|

The term j = i points along u and is lost there, but it makes the other weights smaller. At a = b only the push acts.

Shapes: a, b (B, D), B >= 2. Ranges: temperature, gamma > 0. A zero row has cosine 0 with all and gradient 0.

Source. Kim, Um, Ye 2025, arXiv 2510.03813, read in a public note on the paper: the official code was not found. There a
is the network's clean estimate at the first step, averaged over windows, and the network counts as a constant.
"""

import math

from mini_repr.autograd import logsumexp, off_diagonal, stop_gradient, unit_rows
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Flag, Optional, Positive, Rows
from mini_repr.pages.invariants import exact, permutation, rotation, row_scaling
from mini_repr.pages.loss import definition, loss, variant

_TWO = [[2.0, 0.0], [0.0, 3.0]]

_TEX = {
    "definition": r"""
L = \frac{1}{B} \sum_i \Bigl( -\frac{u_i \cdot v_i}{\gamma t} + \log \sum_j e^{c_{ij}/t} \Bigr)

c_{ij} = u_i \cdot u_j

\gamma = \frac{1}{t \log(B - 1) + 1}
""",
    "gradient": r"""
\mathrm{d}u_i = \frac{1}{B} \Bigl( \frac{1}{t} \sum_j (Q_{ij} + Q_{ji}) \, u_j - \frac{v_i}{\gamma t} \Bigr)

Q_{ij} = \frac{e^{c_{ij}/t}}{\sum_k e^{c_{ik}/t}}
""",
}


@loss(
    paper="085",
    tex=_TEX,
    variants={
        "plain": variant("pull and push at one temperature", gamma=1.0),
        "without_self": variant("a row is no negative of itself", include_self=False),
    },
    invariants=[
        permutation("B"),
        rotation("D"),
        row_scaling("a", "b"),
        exact("orthogonal rows that are where they were", math.log(1 + math.exp(-10.0)), a=_TWO, b=_TWO),
        exact("the same without themselves", -10.0, a=_TWO, b=_TWO, include_self=False),
        exact("equal rows: log B and what the pull lacks", math.log(2), a=[[1.0, 1.0]] * 2, b=[[2.0, 2.0]] * 2),
    ],
)
def contrastive_noise(
    a: Rows("B>=2 D"),
    b: Rows("B D", frozen=True),
    temperature: Positive = 0.1,
    gamma: Optional(Positive) = None,
    include_self: Flag = True,
):
    xp, count = backend_of(a).xp, len(a)
    u, through = unit_rows.on_arrays(a)
    v, _ = unit_rows.on_arrays(b)
    pull = _pull(temperature, gamma, count)
    logits = u @ u.T / temperature
    if not include_self:
        xp.fill_diagonal(logits, -xp.inf)
    top = logits.max(axis=1, keepdims=True)
    share = xp.exp(logits - top)
    total = share.sum(axis=1, keepdims=True)
    share /= total
    push = (xp.log(total) + top).mean()
    near = (u * v).sum(axis=1).mean()

    def backward(g):
        du = (share + share.T) @ u
        du /= temperature
        du -= pull * v
        return (through(du * (g / count)),)

    return push - pull * near, backward, {"push": push, "pull": near}


def _pull(temperature, gamma, count):
    """1 / (gamma t)."""
    return (temperature * math.log(count - 1) + 1 if gamma is None else 1 / gamma) / temperature


@definition(contrastive_noise)
def contrastive_noise_definition(a, b, temperature, gamma, include_self):
    u, v = unit_rows(a), unit_rows(stop_gradient(b))
    logits = u @ u.T / temperature
    push = logsumexp(logits if include_self else off_diagonal(logits), axis=1)
    gamma = 1 / (temperature * math.log(a.shape[0] - 1) + 1) if gamma is None else gamma
    return (push - (u * v).sum(axis=1) / (gamma * temperature)).mean()
