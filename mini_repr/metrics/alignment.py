"""How close the two rows of a positive pair lie on the sphere."""

from mini_repr.backend import backend_of
from mini_repr.metrics.rows import unit_pairs


def alignment(a, b, alpha=2.0):
    """Mean over pairs of ||a_i - b_i||^alpha, rows scaled to length 1: 0 for identical rows, at most 2^alpha.

    Source: Wang & Isola 2020, arXiv 2005.10242, section 4.1.

    Args:
        a, b: (N, D), row i of a belongs to row i of b.
        alpha: above 0.
    Raises:
        ValueError: shapes, empty sets, values that are not finite, zero rows, alpha not above 0.
    """
    xp = backend_of(a).xp
    a, b = unit_pairs("alignment", a, b)
    if not alpha > 0.0:
        raise ValueError(f"alignment: alpha must be above 0, got {alpha}")
    return float((xp.linalg.norm(a - b, axis=1) ** alpha).mean())
