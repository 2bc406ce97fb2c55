"""How close rows of one class stay: the counterpart of uniformity in the uniformity-tolerance dilemma."""

from mini_repr.autograd import unit_rows
from mini_repr.backend import backend_of
from mini_repr.kernels.tiles import column_blocks
from mini_repr.pages.arguments import Labels, Rows
from mini_repr.pages.declare import metric
from mini_repr.pages.page import definition


@metric(paper="092")
def tolerance(z: Rows("N D", no_zero_row=True), labels: Labels("N")):
    """Mean similarity within classes.

    The mean cosine over all pairs of distinct rows with the same label: 1 where each class is one point. A class with n
    unit rows that sum to S has pairs that sum to |S|² - n, so no pair is ever formed. The paper writes an expectation
    over all pairs with an indicator of the same class, but describes and plots the mean within classes, which is what
    this is: its value does not depend on the number of classes.

    Source: Wang & Liu 2020, arXiv 2012.09740, section 4.

    Raises:
        ValueError: also where no two rows have the same label.
    """
    backend = backend_of(z)
    xp = backend.xp
    _, index, counts = xp.unique(labels, return_inverse=True, return_counts=True)
    pairs = int((counts * (counts - 1)).sum())
    if pairs == 0:
        raise ValueError("tolerance: labels: got no two rows of the same class, expected a pair at least")
    sums, own = xp.zeros((counts.shape[0], z.shape[1])), 0.0
    for block in column_blocks(z):
        u = unit_rows.on_arrays(z[block].astype("float64"))[0]  # the difference below cancels
        backend.scatter_add(sums, index[block], u)
        own += float(xp.vdot(u, u))
    return (float(xp.vdot(sums, sums)) - own) / pairs


@definition(tolerance)
def tolerance_definition(z, labels):
    u = z / backend_of(z).xp.linalg.norm(z, axis=1, keepdims=True)
    numbers = range(len(z))
    cosines = [float(u[i] @ u[j]) for i in numbers for j in numbers if i != j and int(labels[i]) == int(labels[j])]
    return sum(cosines) / len(cosines)
