"""Dual-view MoCo: queries told from past keys and keys from past queries, by the hardest of them only.

Definition. With u_i = a_i/|a_i| the queries, v_i = b_i/|b_i| the keys, temperature t, and past rows made unit rows too,

    l(x, y, H) = -log( e^{x·y/t} / (e^{x·y/t} + sum_{n in H} e^{x·n/t}) )
    L = mean_i [ (1 - key_weight) l(u_i, v_i, H_i) + key_weight l(v_i, u_i, H'_i) ]

H_i is what a filter leaves of ``queue``, the keys of past batches, for the query u_i; H'_i of ``query_queue``, their
queries, for the key v_i (of ``queue`` where no query_queue is given). It goes by the cosine to the anchor: rows above
``ceiling`` are left out as suspected false negatives; of the others the most similar are kept, a share ``hardest`` of
the whole queue (rounded up; ties with the last of them stay too; all, where no more are left). Where none is left the
term is 0. The third return value holds the means of the two terms, ``query`` and ``key``, before their weights.

Gradient. The choice is a constant: a logit receives r (softmax - [partner]), r the anchor's weight; queues take none.
du_i = sum_c G_ic c / t over anchors and partners, da = (du - u (u·du)) / |a|, dt = -sum G s / t². A key from a
momentum encoder is a plain array and takes no gradient: the second term then moves the query as the partner of its key.
Tiles of rows: O((B + K) * tile) memory.

Shapes: a, b (B, D); queue (K, D); query_queue (M, D). Ranges: temperature > 0; 0 < hardest <= 1; -1 <= ceiling <= 1;
0 <= key_weight <= 1. A zero row has similarity 0 to everything and a zero gradient. An untrained encoder may give every
pair a cosine near 1: a ceiling then leaves no negatives, and nothing pushes apart.

Source. Hoang, Ngo, Pham, Nguyen, Bao, Phan 2025, arXiv 2501.16360. Only its abstract could be read (a dual-view loss
that balances queries and keys; negatives chosen by cosine similarity for how challenging they are); no code was found.
The two weights 1/2, the second queue, the share kept and the ceiling are this page's reading. MoCo: He et al. 2020,
arXiv 1911.05722, eq. 1 and temperature 0.07, is variant ``moco``.
"""

import math

from mini_repr.autograd import concatenate, logsumexp, unit_rows, where
from mini_repr.backend import backend_of
from mini_repr.kernels.log_sum_exp import LogSums, combine, partner_logit
from mini_repr.kernels.tiles import row_tiles
from mini_repr.pages.arguments import Fraction, Optional, Positive, Reduction, Rows, Scalar, Tile, WithGradient
from mini_repr.pages.invariants import at_least, exact, permutation, rotation, row_scaling
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

_QUEUES = ("queue", "query_queue")
_PAIR = {"a": [[1.0, 0.0]], "b": [[2.0, 0.0]], "temperature": 1.0}
_QUEUE = [[3.0, 0.0], [0.0, 1.0], [0.0, -2.0], [-1.0, 0.0]]  # cosines 1, 0, 0, -1 to the pair

_TEX = {
    "definition": r"""
L = \frac{1}{B} \sum_i \bigl[ (1 - \lambda) \, \ell(u_i, v_i, H_i) + \lambda \, \ell(v_i, u_i, H_i') \bigr]

\ell(x, y, H) = -\log \frac{e^{x \cdot y / t}}{e^{x \cdot y / t} + \sum_{n \in H} e^{x \cdot n / t}}
""",
    "gradient": r"""
G_{ic} = r_i \, \bigl( P_{ic} - [c \ \text{is the partner}] \bigr)

\mathrm{d}u_i = \frac{1}{t} \sum_c G_{ic} \, c
""",
}


@loss(
    paper="018",
    tex=_TEX,
    variants={
        "query_queue": variant("keys meet past queries, not past keys", ["query_queue"]),
        "false_negatives": variant("rows of a cosine above 0.5 do not count", ["query_queue"], ceiling=0.5),
        "unfiltered": variant("all rows of both queues", ["query_queue"], hardest=1.0),
        "moco": variant("queries alone against all past keys", hardest=1.0, key_weight=0.0),
        "sum": variant("summed over pairs instead of averaged", reduction="sum"),
    },
    invariants=[
        permutation("B"),
        permutation("K"),
        rotation("D", needs=_QUEUES[1:]),
        row_scaling("a", "b", *_QUEUES, needs=_QUEUES[1:]),
        at_least(0),
        exact("half of four rows, with a tie: three negatives", math.log(2 + 2 / math.e), queue=_QUEUE, **_PAIR),
        exact("the same row left out: two", math.log(1 + 2 / math.e), queue=_QUEUE, ceiling=0.9, **_PAIR),
        exact("no row left gives 0", 0.0, queue=_QUEUE, ceiling=-1.0, hardest=0.25, a=[[-1.0, 0.5]], b=[[-1.0, 0.5]]),
    ],
)
def moco_dual(
    a: Rows("B D"),
    b: Rows("B D"),
    queue: Rows("K D", frozen=True),
    query_queue: Optional(Rows("M D", frozen=True)) = None,
    temperature: WithGradient(Positive) = 0.07,
    hardest: Scalar(low=0, high=1, low_open=True) = 0.5,
    ceiling: Optional(Scalar(low=-1, high=1)) = None,
    key_weight: Fraction = 0.5,
    reduction: Reduction = "mean",
    tile: Tile = None,
):
    (u, to_a), (v, to_b) = unit_rows.on_arrays(a), unit_rows.on_arrays(b)
    keys = unit_rows.on_arrays(queue)[0]
    queries = keys if query_queue is None else unit_rows.on_arrays(query_queue)[0]
    scale = 1 / temperature

    def direction(x, y, past):
        """l of the anchors x with partners y, and its backward: to x, y and scale."""
        partner, to_partner = partner_logit.on_arrays(x, y, scale)
        (over, _), back = combine([(partner, to_partner), _hard_logsumexp(x, past, scale, hardest, ceiling, tile)])

        def backward(r):
            return tuple(one - other for one, other in zip(back((r, None)), to_partner((r, None)), strict=True))

        return over - partner.rows, backward

    (over_a, back_a), (over_b, back_b) = direction(u, v, keys), direction(v, u, queries)
    value, spread = reduce_rows((1 - key_weight) * over_a + key_weight * over_b, reduction)

    def backward(g):
        r = spread(g)
        (g_u, g_v, g_scale), (more_v, more_u, more) = back_a((1 - key_weight) * r), back_b(key_weight * r)
        return to_a(g_u + more_u), to_b(g_v + more_v), -(g_scale + more) * scale**2

    return value, backward, {"query": over_a.mean(), "key": over_b.mean()}


def _hard_logsumexp(x, past, scale, hardest, ceiling, tile):
    """Log-sum-exp of each row of x over the rows of ``past`` that the filter leaves it, as ``combine`` joins them."""
    xp = backend_of(x).xp
    count = _kept(hardest, len(past))
    tiles = row_tiles(x, len(past), tile)

    def logits_of(rows):
        s = x[rows] @ past.T
        if ceiling is not None:
            xp.copyto(s, -xp.inf, where=s > ceiling)
        last = xp.partition(s, len(past) - count, axis=1)[:, len(past) - count, None]
        xp.copyto(s, -xp.inf, where=s < last)
        s *= scale
        return s

    over = xp.empty(len(x), dtype=x.dtype)
    for rows in tiles:
        logits = logits_of(rows)
        top = logits.max(axis=1)
        none = xp.isinf(top)
        xp.copyto(top, 0, where=none)
        total = xp.exp(logits - top[:, None]).sum(axis=1)
        xp.copyto(total, 1, where=none)
        over[rows] = xp.where(none, -xp.inf, xp.log(total) + top)

    def backward(g):
        g, _ = g
        g_x = xp.empty_like(x)
        shift = xp.where(xp.isinf(over), 0, over)
        for rows in tiles:
            weights = logits_of(rows)
            weights -= shift[rows, None]
            weights = xp.exp(weights, out=weights)
            weights *= g[rows, None]
            xp.matmul(weights, past, out=g_x[rows])
        g_scale = (x * g_x).sum()
        return g_x * scale, 0, g_scale

    return LogSums(over), backward


def _kept(hardest, length):
    """How many rows of a queue are kept, at least: a share, rounded up (but for round-off of the product)."""
    return max(1, math.ceil(hardest * length - 1e-9))


@definition(moco_dual)
def moco_dual_definition(a, b, queue, query_queue, temperature, hardest, ceiling, key_weight, reduction):
    u, v, keys = unit_rows(a), unit_rows(b), unit_rows(queue)
    queries = keys if query_queue is None else unit_rows(query_queue)
    xp = backend_of(a.data).xp

    def direction(x, y, past):
        cosines = x @ past.T
        allowed = cosines.data.real
        if ceiling is not None:
            allowed = xp.where(allowed > ceiling, -xp.inf, allowed)
        least = xp.sort(allowed, axis=1)[:, past.shape[0] - _kept(hardest, past.shape[0]), None]
        chosen = (allowed >= least) & (allowed > -xp.inf)
        partner = (x * y).sum(axis=1, keepdims=True) / temperature
        every = concatenate(partner, where(chosen, cosines / temperature, -xp.inf), axis=1)
        return logsumexp(every, axis=1) - partner[:, 0]

    per_pair = (1 - key_weight) * direction(u, v, keys) + key_weight * direction(v, u, queries)
    return reduced(per_pair, reduction)
