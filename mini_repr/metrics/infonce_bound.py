"""InfoNCE as a measure of two views: the share of the pairing's information that cosine similarities tell."""

import math

from mini_repr.backend import backend_of
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.pages.arguments import Positive, Rows
from mini_repr.pages.declare import metric
from mini_repr.pages.page import definition


@metric(paper="048")
def infonce_bound(
    a: Rows("N>=2 D", no_zero_row=True), b: Rows("N>=2 D", no_zero_row=True), temperature: Positive = 0.1
):
    """Share of the pairing that cosine similarities tell, at most 1.

    1 - loss / log N, of the InfoNCE loss with anchors in a: 1 where every partner is told for sure, 0 by chance. log N
    - loss is a lower bound on the mutual information of the views (van den Oord et al. 2018, arXiv 1807.03748); over
    log N it compares sets of one size N. Wrong for sure can be far below 0.

    Source: Skean et al. 2025, arXiv 2502.02013, official code ("mi-lower-bound", temperature 0.1), on unit rows.

    Args:
        a, b: (N, D), row i of a belongs to row i of b.
    """
    return 1.0 - float(infonce(a, b, temperature=temperature, symmetric=False).data) / math.log(len(a))


@definition(infonce_bound)
def infonce_bound_definition(a, b, temperature):
    xp = backend_of(a).xp
    u, v = (x / xp.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    p = xp.exp(u @ v.T / temperature)
    loss = sum(-math.log(float(p[i, i] / p[i].sum())) for i in range(len(a))) / len(a)
    return 1 - loss / math.log(len(a))
