"""How close rows of one class stay: the counterpart of uniformity in the uniformity-tolerance dilemma."""

from mini_repr.autograd import unit_rows
from mini_repr.backend import backend_of
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
    u = unit_rows.on_arrays(z.astype("float64"))[0]  # the difference below cancels
    _, index, counts = xp.unique(labels, return_inverse=True, return_counts=True)
    pairs = int((counts * (counts - 1)).sum())
    if pairs == 0:
        raise ValueError("tolerance: labels: got no two rows of the same class, expected a pair at least")
    sums = xp.zeros((counts.shape[0], z.shape[1]))
    backend.scatter_add(sums, index, u)
    return (float(xp.vdot(sums, sums)) - float(xp.vdot(u, u))) / pairs


@definition(tolerance)
def tolerance_definition(z, labels):
    u = z / backend_of(z).xp.linalg.norm(z, axis=1, keepdims=True)
    numbers = range(len(z))
    cosines = [float(u[i] @ u[j]) for i in numbers for j in numbers if i != j and int(labels[i]) == int(labels[j])]
    return sum(cosines) / len(cosines)
