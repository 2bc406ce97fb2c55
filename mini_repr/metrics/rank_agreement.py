"""Do cosines of pairs order as their graded similarities do? Spearman's correlation, as benchmarks of STS report it."""

import math

from mini_repr.autograd import unit_rows
from mini_repr.backend import backend_of
from mini_repr.kernels.average_ranks import average_ranks
from mini_repr.pages.arguments import Rows
from mini_repr.pages.declare import metric
from mini_repr.pages.page import definition


@metric(paper=("088", "115"))
def rank_agreement(a: Rows("N>=2 D"), b: Rows("N>=2 D"), similarity: Rows("N>=2", frozen=True)):
    """Whether pairs that are more alike have the larger cosine: Spearman's rank correlation.

    The correlation of the ranks of the cosines of a_i and b_i with the ranks of the graded similarities; equal values
    share the mean of their ranks.

    Source: Spearman 1904, "The proof and measurement of association between two things"; the measure of semantic
    textual similarity in Gao et al. 2021, arXiv 2104.08821, section 6.1 ("all" pairs of a task together).

    Args:
        a, b: (N, D); a zero row has cosine 0 to everything. similarity: (N,), on any scale.
    Returns:
        float in [-1, 1]; 0 where all cosines or all similarities are equal.
    """
    cosine = (unit_rows.on_arrays(a)[0] * unit_rows.on_arrays(b)[0]).sum(axis=1)
    # Equal pairs need not get equal cosines out of rounding: what is this near is a tie.
    cosine = backend_of(a).xp.rint(cosine / (16 * float(backend_of(a).xp.finfo(cosine.dtype).eps)))
    x, y = (average_ranks(values) for values in (cosine, similarity))
    x, y = x - x.mean(), y - y.mean()
    size = math.sqrt(float((x * x).sum()) * float((y * y).sum()))
    return float((x * y).sum()) / size if size else 0.0


@definition(rank_agreement)
def rank_agreement_definition(a, b, similarity):
    def ranks(values):
        return [sum(y < x for y in values) + (sum(y == x for y in values) - 1) / 2 for x in values]

    def cosine(u, v):
        lengths = math.sqrt(sum(x * x for x in u)) * math.sqrt(sum(x * x for x in v))
        return sum(x * y for x, y in zip(u, v, strict=True)) / lengths

    x = ranks([cosine(u, v) for u, v in zip(a.tolist(), b.tolist(), strict=True)])
    y = ranks(similarity.tolist())
    middle = (len(x) - 1) / 2
    products = [
        [(p - middle) * (q - middle) for p, q in zip(one, other, strict=True)]
        for one, other in ((x, y), (x, x), (y, y))
    ]
    return sum(products[0]) / math.sqrt(sum(products[1]) * sum(products[2]))
