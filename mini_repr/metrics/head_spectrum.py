"""Is a language model's head too narrow for its words? The head's spectrum, and how alike all rows are.

Source: Godey, de la Clergerie, Sagot 2024, arXiv 2404.07647 (the softmax bottleneck in small language models). The two
definitions are our reading of it.
"""

import math

from mini_repr.autograd import unit_rows
from mini_repr.backend import backend_of
from mini_repr.metrics.ranks import entropy, singular_shares
from mini_repr.pages.arguments import Rows
from mini_repr.pages.declare import metric
from mini_repr.pages.page import definition


@metric(paper="094")
def singular_entropy(weight: Rows("V D")):
    """How far a head's singular values are from equal, 0 for a flat head.

    From 0 to log min(V, D), that of rank one. It is the divergence from the uniform distribution, log min(V, D) - H(p),
    of p = singular values / their sum. A head whose width is too small for its words ends with all directions in equal
    use.

    Source: Godey et al. 2024, arXiv 2404.07647, section 4.

    Raises:
        ValueError: also where all numbers are zero.
    """
    return max(math.log(min(weight.shape)) - entropy(singular_shares("singular_entropy", weight)), 0.0)


@definition(singular_entropy)
def singular_entropy_definition(weight):
    values = [float(s) for s in backend_of(weight).xp.linalg.svd(weight)[1]]
    p = [s / sum(values) for s in values]
    return sum(x * math.log(x * len(p)) for x in p if x > 0)


@metric(paper="094")
def anisotropy(z: Rows("N>=2 D")):
    """Mean cosine of two distinct rows, 1 where all point one way.

    About 0 for rows that are spread evenly; -1 / (N - 1), the least, where unit rows sum to 0.

    Source: Ethayarajh 2019, arXiv 1909.00512, section 4.1; over training in Godey et al. 2024, arXiv 2404.07647.
    """
    total = unit_rows.on_arrays(z)[0].astype("float64").sum(axis=0)
    present = float((backend_of(z).xp.abs(z).max(axis=1) > 0).sum())  # a zero row has cosine 0 with itself, too
    return (float((total * total).sum()) - present) / (len(z) * (len(z) - 1))


@definition(anisotropy)
def anisotropy_definition(z):
    xp = backend_of(z).xp

    def cosine(x, y):
        return float(x @ y) / float(xp.sqrt(x @ x) * xp.sqrt(y @ y))

    cosines = [cosine(z[i], z[j]) for i in range(len(z)) for j in range(i)]
    return sum(cosines) / len(cosines)
