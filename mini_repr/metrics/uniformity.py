"""How evenly rows spread over the sphere, as the energy of a Gaussian potential between them."""

import math

from mini_repr.autograd import unit_rows
from mini_repr.backend import backend_of
from mini_repr.kernels.distinct_pairs import pair_log_mean_exp
from mini_repr.pages.arguments import Positive, Rows
from mini_repr.pages.declare import metric
from mini_repr.pages.page import definition


@metric(paper=("001", "092"))
def uniformity(z: Rows("N>=2 D", no_zero_row=True), t: Positive = 2.0):
    """Log energy between rows on the sphere, lower is more uniform.

    log of the mean over distinct pairs i < j of exp(-t |u_i - u_j|²), u the rows scaled to length 1. 0 when all rows
    are the same, lower when they spread; never below -4t. Works in tiles of rows: O(N * tile) memory.

    Source: Wang & Isola 2020, arXiv 2005.10242, section 4.1 (t = 2).
    """
    return float(pair_log_mean_exp.on_arrays(unit_rows.on_arrays(z)[0], t)[0])


@definition(uniformity)
def uniformity_definition(z, t):
    xp = backend_of(z).xp
    u = z / xp.linalg.norm(z, axis=1, keepdims=True)
    pairs = [(i, j) for j in range(len(z)) for i in range(j)]
    exponents = xp.stack([-t * ((u[i] - u[j]) ** 2).sum() for i, j in pairs])
    largest = exponents.max()
    return float(largest + xp.log(xp.exp(exponents - largest).sum())) - math.log(len(pairs))
