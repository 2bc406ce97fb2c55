"""Whether subclasses within a class are still told apart: dogs and cats among the animals."""

from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Labels, Rows
from mini_repr.pages.declare import metric
from mini_repr.pages.page import definition


@metric(paper="059")
def subclass_share(z: Rows("N D"), classes: Labels("N"), subclasses: Labels("N")):
    """How much subclass means spread within classes: 0 where every class has collapsed.

    With mean µ_s of each subclass, µ_c of its class and µ of all rows, sum_n |µ_s - µ_c|² / sum_n |µ_s - µ|² over rows:
    near 0 the subclasses of a class share their place, near 1 the classes do not stand out. 0 where all means agree. A
    subclass is a pair of class and subclass.

    Source: own, for the class collapse of Xue et al. 2023, arXiv 2305.16536.
    """
    xp = backend_of(z).xp
    z = z.astype("float64")
    of_class = xp.unique(classes, return_inverse=True)[1]
    of_subclass = xp.unique(subclasses, return_inverse=True)[1]
    pairs = xp.unique(of_class * (int(of_subclass.max()) + 1) + of_subclass, return_inverse=True)[1]
    subclass_means, class_means = _means(z, pairs), _means(z, of_class)
    total = float(((subclass_means - z.mean(axis=0)) ** 2).sum())
    return float(((subclass_means - class_means) ** 2).sum()) / total if total else 0.0


def _means(z, codes):
    """The mean of the rows of its own group, for each row."""
    backend = backend_of(z)
    groups = int(codes.max()) + 1
    sums = backend.xp.zeros((groups, z.shape[1]))
    backend.scatter_add(sums, codes, z)
    counts = backend.xp.zeros(groups)
    backend.scatter_add(counts, codes, backend.xp.ones(len(z)))
    return (sums / counts[:, None])[codes]


@definition(subclass_share)
def subclass_share_definition(z, classes, subclasses):
    rows = list(zip(backend_of(z).to_numpy(z), classes.tolist(), subclasses.tolist(), strict=True))
    mean = sum(row for row, _, _ in rows) / len(rows)
    within = total = 0.0
    for _, c, s in rows:
        own_class = [row for row, other, _ in rows if other == c]
        own = [row for row, other, sub in rows if (other, sub) == (c, s)]
        of_class, of_subclass = sum(own_class) / len(own_class), sum(own) / len(own)
        within += float(((of_subclass - of_class) ** 2).sum())
        total += float(((of_subclass - mean) ** 2).sum())
    return within / total
