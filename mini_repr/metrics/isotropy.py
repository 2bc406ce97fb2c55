"""Over how many directions do rows spread?"""

from mini_repr.backend import backend_of
from mini_repr.kernels.singular_values import singular_values
from mini_repr.pages.arguments import Fraction, Rows
from mini_repr.pages.declare import metric
from mini_repr.pages.page import definition


@metric(paper="097")
def isotropy(z: Rows("N>=2 D"), share: Fraction = 0.9):
    """Share of the dimensions that hold 0.9 of the variance, from 1/D.

    The least number of principal components that together hold ``share`` of the variance of the centred rows, over D:
    about ``share`` where all directions are alike, 1/D where one holds all of it, 0 where no two rows differ.

    Source: the comparison of text embeddings by where their variance lies, Attimonelli et al. 2025, arXiv 2507.05006;
    the number is our reading of it.
    """
    xp = backend_of(z).xp
    mean = z.mean(axis=0, dtype="float64")
    variances = singular_values(z, lambda rows: rows.astype("float64") - mean) ** 2
    total = float(variances.sum())
    if not total > 0:
        return 0.0
    before = xp.cumsum(variances) - variances  # what those ahead of each component hold
    return float((before < share * total * (1 - 1e-12)).sum()) / z.shape[1]


@definition(isotropy)
def isotropy_definition(z, share):
    xp = backend_of(z).xp
    centred = z - z.mean(axis=0)
    values = sorted((float(v) for v in xp.linalg.eigvalsh(centred.T @ centred)), reverse=True)
    for k in range(1, len(values) + 1):
        if sum(values[:k]) >= share * sum(values) * (1 - 1e-12):
            return k / len(values)
