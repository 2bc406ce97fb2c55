"""How close the two rows of a positive pair lie on the sphere."""

from mini_repr.autograd import unit_rows
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Positive, Rows
from mini_repr.pages.declare import metric
from mini_repr.pages.page import definition


@metric(paper="001")
def alignment(a: Rows("N D", no_zero_row=True), b: Rows("N D", no_zero_row=True), alpha: Positive = 2.0):
    """Mean distance within positive pairs, 0 is best.

    Mean over pairs of |u_i - v_i|^alpha, u and v the rows scaled to length 1: 0 for identical rows, at most 2^alpha.

    Source: Wang & Isola 2020, arXiv 2005.10242, section 4.1.

    Args:
        a, b: (N, D), row i of a belongs to row i of b.
    """
    (u, _), (v, _) = unit_rows.on_arrays(a), unit_rows.on_arrays(b)
    return float((backend_of(a).xp.linalg.norm(u - v, axis=1) ** alpha).mean())


@definition(alignment)
def alignment_definition(a, b, alpha):
    xp = backend_of(a).xp
    distances = [xp.linalg.norm(x / xp.linalg.norm(x) - y / xp.linalg.norm(y)) for x, y in zip(a, b, strict=True)]
    return sum(float(distance) ** alpha for distance in distances) / len(a)
