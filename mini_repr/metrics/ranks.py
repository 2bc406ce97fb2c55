"""How many dimensions a representation uses: smooth ranks of its singular values, and its spread by dimension."""

import math

from mini_repr.backend import backend_of
from mini_repr.metrics.rows import checked_rows, unit_rows


def effective_rank(z):
    """exp of the entropy of p = singular values / their sum, from 1 to min(N, D); rows are not centred.

    Source: Roy & Vetterli 2007, "The effective rank: a measure of effective dimensionality", definition 1 (0 log 0 =
    0).

    Args:
        z: (N, D).
    Raises:
        ValueError: shape, empty set, values that are not finite, all values zero.
    """
    p = _normalised_singular_values("effective_rank", z)
    return _exp_entropy(p[p > 0.0])


def rankme(z, eps=1e-7):
    """``effective_rank`` with eps added to every p_k.

    Source: Garrido, Balestriero, Najman & LeCun 2022, arXiv 2210.02885, section 3 (eps = 1e-7 for float32).

    Args:
        z: (N, D).
        eps: above 0.
    Raises:
        ValueError: as ``effective_rank``, or eps not above 0.
    """
    if not eps > 0.0:
        raise ValueError(f"rankme: eps must be above 0, got {eps}")
    return _exp_entropy(_normalised_singular_values("rankme", z) + eps)


def dimension_std(z):
    """Mean over dimensions of the standard deviation of unit rows, times sqrt(D).

    1 for rows spread evenly over the sphere, 0 when all rows are the same. The deviation is the population's (divisor
    N).

    Source: Chen & He 2020 (SimSiam), arXiv 2011.10566, section 4.1.

    Args:
        z: (N, D).
    Raises:
        ValueError: shape, empty set, values that are not finite, zero rows.
    """
    z = unit_rows("dimension_std", "z", z)
    return float(z.std(axis=0).mean()) * math.sqrt(z.shape[1])


def _normalised_singular_values(metric, z):
    xp = backend_of(checked_rows(metric, "z", z)).xp
    largest = float(xp.abs(z).max())
    if largest == 0.0:
        raise ValueError(f"{metric}: z is all zeros")
    singular_values = xp.linalg.svd(z / largest, compute_uv=False)
    return singular_values / singular_values.sum()


def _exp_entropy(p):
    xp = backend_of(p).xp
    return math.exp(-float((p * xp.log(p)).sum()))
