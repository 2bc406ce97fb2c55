"""DAG likelihood: words are emitted along some path through more states than words, and all such paths are summed.

Definition. A text has U states in order and n targets y_1..y_n. E_ui is the log probability that state u emits target
i, A_uv that state v follows state u (u < v; the rest of A is not read). A path visits n states s_1 < .. < s_n from
s_1 = 1 to s_n = U, one per target:

    log Z = log sum over paths of exp( sum_i E_{s_i, i} + sum_i A_{s_i, s_i+1} ),      L = mean over texts of -log Z / n

It is computed by F_i(v) = E_vi + logsumexp_{u<v}( F_{i-1}(u) + A_uv ), F_1 = E_11 at the first state alone, and
log Z = F_n(U). Texts may have fewer states or targets than the arrays: ``states`` and ``targets`` say how many. What
lies beyond has no part in value or gradient.

Gradient. With the same recursion from the end, B_i(u) = logsumexp_{v>u}( A_uv + E_v,i+1 + B_i+1(v) ), B_n(U) = 0,

    dL/dE_ui = -(w/n) exp( F_i(u) + B_i(u) - log Z )
    dL/dA_uv = -(w/n) sum_i exp( F_i(u) + A_uv + E_v,i+1 + B_i+1(v) - log Z )

with w the text's weight in the reduction. The exponentials are probabilities, given the targets: that state u emits
target i, and that state v follows it with target i + 1.

Shapes: emissions (N, U, S), links (N, U, U); states, targets (N,), 2 <= n <= U. Where every row of exp(E) over all
words and of exp(A) over later states sums to 1, so do the probabilities of all texts of all lengths. Time O(N S U²).

Source. Zheng et al. 2025, arXiv 2501.13397 (ExLM); the graph is that of Huang et al. 2022, arXiv 2205.07459. Compared
with zhengkangjie/ExLM, fs_plugins/custom_ops/dag_loss.py: its PyTorch version was run, log Z and both gradients
agree; fs_plugins/criterions/nat_dag_loss_mlm.py (read) divides each text's log Z by its n, as here.
"""

import math
from itertools import combinations

from mini_repr.autograd import logsumexp, stack
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Labels, Optional, Reduction, Rows
from mini_repr.pages.invariants import exact, permutation
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import lengths_of, reduce_rows, reduced

# The logarithm of what cannot be: with a finite one no sum over nothing becomes NaN, and exp gives exactly 0.
_NEVER = -1e30

_TEX = {
    "definition": r"""
L = -\frac{\log Z}{n}

\log Z = \log \sum_{s_1 < \ldots < s_n} \exp \Bigl( \sum_i E_{s_i, i} + \sum_i A_{s_i, s_{i+1}} \Bigr)

F_i(v) = E_{vi} + \log \sum_{u < v} e^{F_{i-1}(u) + A_{uv}}
""",
    "gradient": r"""
\mathrm{d}E_{ui} = -\frac{w}{n} \, e^{F_i(u) + B_i(u) - \log Z}

\mathrm{d}A_{uv} = -\frac{w}{n} \sum_i e^{F_i(u) + A_{uv} + E_{v,i+1} + B_{i+1}(v) - \log Z}

B_i(u) = \log \sum_{v > u} e^{A_{uv} + E_{v,i+1} + B_{i+1}(v)}
""",
}


@loss(
    paper="070",
    tex=_TEX,
    variants={"sum": variant("summed over the texts", reduction="sum")},
    invariants=[
        permutation("N"),
        exact(
            "as many states as targets leave one path",
            -(1.0 + 2.0 + 0.5) / 2,
            emissions=[[[1.0, 9.0], [9.0, 2.0]]],
            links=[[[9.0, 0.5], [9.0, 9.0]]],
        ),
        exact(
            "two states between the ends and one target: two paths",
            -math.log(2) / 3,
            emissions=[[[0.0] * 3] * 4],
            links=[[[0.0] * 4] * 4],
        ),
    ],
    sizes={"U": 6, "S": 4},
)
def dag_likelihood(
    emissions: Rows("N U>=2 S>=2"),
    links: Rows("N U U"),
    states: Optional(Labels("N", stays=True)) = None,
    targets: Optional(Labels("N", stays=True)) = None,
    reduction: Reduction = "mean",
):
    backend = backend_of(emissions)
    xp, dtype = backend.xp, emissions.dtype
    count, most, steps = emissions.shape
    lengths = {"states": (states, most), "targets": (targets, steps)}
    ends = lengths_of("dag_likelihood", count, lengths, least=2)
    if bool((ends[0] < ends[1]).any()):
        text = int((ends[1] - ends[0]).argmax())
        came = f"{int(ends[0][text])} states for {int(ends[1][text])} targets in text {text}"
        raise ValueError(f"dag_likelihood: emissions: got {came}, expected no fewer states than targets")
    last, words = (backend.asarray(x) for x in ends)
    texts = xp.arange(count)
    allowed = xp.where(xp.tri(most, k=-1, dtype=bool).T, links, xp.asarray(_NEVER, dtype))
    emitted = xp.ascontiguousarray(emissions.transpose(2, 0, 1))

    before = xp.full((steps, count, most), _NEVER, dtype)  # F
    before[0, :, 0] = emitted[0, :, 0]
    for i in range(1, steps):
        before[i] = emitted[i] + logsumexp.on_arrays(before[i - 1][:, :, None] + allowed, axis=1)[0]
    log_z = before[words - 1, texts, last - 1]
    value, spread = reduce_rows(-log_z / words.astype(dtype), reduction)

    def backward(g):
        after = xp.full((steps, count, most), _NEVER, dtype)  # B
        after[words - 1, texts, last - 1] = 0
        used = xp.zeros_like(links)
        for i in range(steps - 2, -1, -1):
            onward = allowed + (emitted[i + 1] + after[i + 1])[:, None, :]
            after[i] = xp.maximum(after[i], logsumexp.on_arrays(onward, axis=2)[0])
            used += xp.exp(onward + (before[i] - log_z[:, None])[:, :, None])
        visits = xp.exp(before + after - log_z[:, None])
        weight = (-spread(g) / words.astype(dtype))[:, None, None]
        return weight * visits.transpose(1, 2, 0), weight * used

    return value, backward


@definition(dag_likelihood)
def dag_likelihood_definition(emissions, links, states, targets, reduction):
    xp, costs = backend_of(emissions.data).xp, []
    for n in range(emissions.shape[0]):
        last = emissions.shape[1] if states is None else int(states[n])
        words = emissions.shape[2] if targets is None else int(targets[n])
        paths = xp.asarray([(0, *inner, last - 1) for inner in combinations(range(1, last - 1), words - 2)])
        scores = emissions[n][paths, xp.arange(words)].sum(axis=1) + links[n][paths[:, :-1], paths[:, 1:]].sum(axis=1)
        costs.append(-logsumexp(scores, axis=0) / words)
    return reduced(stack(*costs), reduction)
