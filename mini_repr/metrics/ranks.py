"""How many dimensions a representation uses: smooth ranks of its singular values, and its spread by dimension."""

import math

from mini_repr.autograd import unit_rows
from mini_repr.backend import backend_of
from mini_repr.kernels.singular_values import singular_values
from mini_repr.pages.arguments import Positive, Rows
from mini_repr.pages.declare import metric
from mini_repr.pages.page import definition


@metric()
def effective_rank(z: Rows("N D")):
    """Exp entropy of the singular values, 1 to min(N, D).

    exp(-sum_k p_k log p_k) of p = singular values / their sum; rows are not centred.

    Source: Roy & Vetterli 2007, "The effective rank: a measure of effective dimensionality", definition 1 (0 log 0 =
    0).
    """
    return math.exp(entropy(singular_shares("effective_rank", z)))


@definition(effective_rank)
def effective_rank_definition(z):
    return rankme_definition(z, 0.0)


@metric()
def rankme(z: Rows("N D"), eps: Positive = 1e-7):
    """Effective rank with RankMe's eps, which is added to every p_k.

    Source: Garrido, Balestriero, Najman & LeCun 2022, arXiv 2210.02885, section 3 (eps = 1e-7 for float32).
    """
    return math.exp(entropy(singular_shares("rankme", z) + eps))


@definition(rankme)
def rankme_definition(z, eps):
    singular_values = [float(s) for s in backend_of(z).xp.linalg.svd(z)[1]]
    p = [s / sum(singular_values) + eps for s in singular_values]
    return math.exp(-sum(x * math.log(x) for x in p if x > 0))


@metric(paper="067")
def dimension_std(z: Rows("N D", no_zero_row=True)):
    """Spread of unit rows by dimension, 1 uniform, 0 collapsed.

    Mean over dimensions of the standard deviation of unit rows, times sqrt(D): 1 for rows spread evenly over the
    sphere, 0 when all rows are the same. The deviation is the population's (divisor N).

    Source: Chen & He 2020 (SimSiam), arXiv 2011.10566, section 4.1.
    """
    return float(unit_rows.on_arrays(z)[0].std(axis=0).mean()) * math.sqrt(z.shape[1])


@definition(dimension_std)
def dimension_std_definition(z):
    u = z / backend_of(z).xp.linalg.norm(z, axis=1, keepdims=True)
    deviations = [math.sqrt(float(((column - column.mean()) ** 2).mean())) for column in u.T]
    return sum(deviations) / len(deviations) * math.sqrt(len(deviations))


def singular_shares(name, z):
    """The singular values of z over their sum; a ValueError that names the metric where all are 0."""
    largest = max(float(z.max()), -float(z.min()))
    if largest == 0.0:
        raise ValueError(f"{name}: z: got zeros only, expected some number other than 0")
    found = singular_values(z, lambda rows: rows / largest)
    return found / found.sum()


def entropy(p):
    """-sum_k p_k log p_k with 0 log 0 = 0, as a float."""
    p = p[p > 0.0]
    return -float((p * backend_of(p).xp.log(p)).sum())
