"""Token relations: look from token to token as a teacher does.

Definition. For B sets of N tokens (each head of each image is one), with student queries q and keys k of D columns and
the teacher's q* and k*, constants, of E columns,

    R_i = softmax_j( q_i·k_j / sqrt(D) ),    R*_i = softmax_j( q*_i·k*_j / sqrt(E) )
    L = 1/(B N) sum_i KL(R*_i || R_i) = 1/(B N) sum_ij R*_ij (log R*_ij - log R_ij)

Relations of values with each other are the same with v for both q and k.

Gradient. With A = (R - R*) / (B N sqrt(D)): dq = A k and dk = Aᵀ q, so that values receive (A + Aᵀ) v. Nothing reaches
the teacher. Where the student's rows are the teacher's, L and its gradient are 0.

Shapes: query, key (B, N, D); teacher_query, teacher_key (B, N, E). L >= 0. O(B N²) memory.

Source. Token relations by KL divergence: Wang et al. 2020, arXiv 2002.10957 (MiniLM), a mean over heads and tokens as
here. Shi et al. 2023, arXiv 2306.15876 (Hybrid Distill), take them of a masked autoencoder; its official repository
holds no code, and of its text only the abstract and reviews could be read.
"""

from math import sqrt

from mini_repr.autograd import logsumexp, softmax, stop_gradient
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Rows
from mini_repr.pages.invariants import at_least, exact, permutation
from mini_repr.pages.loss import definition, loss

_SAME = [[[1.0, 2.0], [0.5, -1.0], [3.0, 0.0]]]

_TEX = {
    "definition": r"""
L = \frac{1}{B N} \sum_i \mathrm{KL}(R_i^* \, \| \, R_i)

R_i = \mathrm{softmax}_j \Bigl( \frac{q_i \cdot k_j}{\sqrt D} \Bigr)

R_i^* = \mathrm{softmax}_j \Bigl( \frac{q_i^* \cdot k_j^*}{\sqrt E} \Bigr)
""",
    "gradient": r"""
A = \frac{R - R^*}{B N \sqrt D}

\mathrm{d}q = A k

\mathrm{d}k = A^\top q
""",
}


@loss(
    paper="025",
    tex=_TEX,
    invariants=[
        permutation("B"),
        permutation("N"),
        at_least(0),
        exact("the teacher's own relations", 0.0, query=_SAME, key=_SAME, teacher_query=_SAME, teacher_key=_SAME),
    ],
)
def token_relations(
    query: Rows("B N D"),
    key: Rows("B N D"),
    teacher_query: Rows("B N E", frozen=True),
    teacher_key: Rows("B N E", frozen=True),
):
    xp = backend_of(query).xp
    log_r, r = _relations(query, key)
    log_goal, goal = _relations(teacher_query, teacher_key)
    rows = query.shape[0] * query.shape[1]
    value = (goal * (log_goal - log_r)).sum() / rows

    def backward(g):
        a = (r - goal) * (g / (rows * sqrt(query.shape[-1]))).astype(query.dtype)
        return a @ key, xp.swapaxes(a, -1, -2) @ query

    return value, backward


def _relations(query, key):
    """(log R, R), both (B, N, N)."""
    xp = backend_of(query).xp
    logits = query @ xp.swapaxes(key, -1, -2)
    logits /= sqrt(query.shape[-1])
    logits -= logits.max(axis=-1, keepdims=True)
    r = xp.exp(logits)
    total = r.sum(axis=-1, keepdims=True)
    logits -= xp.log(total)
    r /= total
    return logits, r


@definition(token_relations)
def token_relations_definition(query, key, teacher_query, teacher_key):
    logits = query @ key.transpose(0, 2, 1) / sqrt(query.shape[-1])
    goals = stop_gradient(teacher_query) @ stop_gradient(teacher_key).transpose(0, 2, 1) / sqrt(teacher_query.shape[-1])
    log_r = logits - logsumexp(logits, axis=-1, keepdims=True)
    log_goal = goals - logsumexp(goals, axis=-1, keepdims=True)
    return (softmax(goals) * (log_goal - log_r)).sum(axis=-1).mean()
