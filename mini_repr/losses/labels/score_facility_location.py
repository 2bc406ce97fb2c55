"""SCoRe, facility location: no class may stand in for the rows of another.

Definition. With u_i = z_i/|z_i|, s_ij = u_i·u_j, V all rows and A_k those of class k, the set function facility
location f(A) = sum_{i in V} max_{j in A} s_ij says how well A represents V. As loss, with the classes as sets,

    total correlation   C_f = sum_k f(A_k) - f(V) = sum_i l_i,    l_i = sum_{k != y_i} max_{j in A_k} s_ij
    total information   S_f = sum_k f(A_k)        = sum_i l_i + s_ii

``form`` chooses; the two differ by a constant, 1 per row, since each row represents itself best. L = the mean of l_i
over rows (``reduction``; "sum" is the set function itself). ``smoothing`` = t > 0 takes t log sum e^{s/t} for the
maximum.

Gradient. With r_i row i's weight in the reduction, s_ij of another class's row receives G_ij = r_i [j is the maximum of
its class], shared equally by ties; r_i times the softmax of s/t over the class for smoothing > 0. Then
du = (G + Gᵀ) u and dz = (du - u (u·du)) / |z|. One class at a time, in tiles of rows: O(N * tile) memory.

Shapes: z (N, D), N >= 1; labels (N,), any integers. Range: smoothing >= 0. One class only gives l_i = 0. A zero row
has similarity 0 to everything and a zero gradient. For unit rows l_i lies between -(K - 1) and K - 1, K classes.

Source. Majee et al. 2023, arXiv 2310.00165: total information and total correlation of class sets, with facility
location, graph cut and log-determinant; only the abstract was read for this page, the set function is that of
submodlib's documentation. The official code (amajee11us/SCoRe) departs from it: FacilityLocation takes one log-sum-exp
per row over all classes, in which rows of its own class count e^0, times lambda * temperature / 0.07: its training
script takes cosines, lambda 1 and temperature 0.07, the class's own defaults are distances scaled to [0, 1] within the
batch, 0.5 and 0.7.
"""

from itertools import pairwise

from mini_repr.autograd import logsumexp, max, unit_rows
from mini_repr.backend import backend_of, blocks_of
from mini_repr.kernels.tiles import choose_tile
from mini_repr.pages.arguments import Choice, Labels, NonNegative, Reduction, Rows, Tile
from mini_repr.pages.invariants import exact, permutation, relabelling, rotation, row_scaling
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

_SAME = {"z": [[1.0, 2.0]] * 4, "labels": [0, 1, 2, 2]}

_TEX = {
    "definition": r"""
C_f = \sum_k f(A_k) - f(V) = \sum_i \sum_{k \ne y_i} \max_{j \in A_k} s_{ij}

S_f = \sum_k f(A_k)

f(A) = \sum_{i \in V} \max_{j \in A} s_{ij}
""",
    "gradient": r"""
G_{ij} = r_i \, \bigl[ s_{ij} = \max_{m \in A_k} s_{im} \bigr]

\mathrm{d}u = (G + G^\top) \, u
""",
}


@loss(
    paper="090",
    tex=_TEX,
    variants={
        "information": variant("total information: each row's similarity to itself added", form="information"),
        "soft": variant("log-sum-exp for the maximum, as the official code", smoothing=0.1),
        "sum": variant("the set function itself: summed over rows", reduction="sum"),
    },
    invariants=[
        permutation("N"),
        rotation("D"),
        row_scaling("z"),
        relabelling(),
        exact("identical rows: each represents every other class", 2.0, **_SAME),
        exact("and itself", 3.0, form="information", **_SAME),
        exact("orthogonal classes cost nothing", 0.0, z=[[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]], labels=[4, 4, 1]),
    ],
)
def score_facility_location(
    z: Rows("N D"),
    labels: Labels("N", stays=True),
    form: Choice("correlation", "information") = "correlation",
    smoothing: NonNegative = 0.0,
    reduction: Reduction = "mean",
    tile: Tile = None,
):
    backend, label_xp = backend_of(z), backend_of(labels).xp
    xp = backend.xp
    order = backend.asarray(label_xp.argsort(labels))
    u, to_z = unit_rows.on_arrays(z)
    u = u[order]
    ends = label_xp.cumsum(label_xp.unique(labels, return_counts=True)[1]).tolist()

    def others():
        """(a class's rows, some rows outside it), until every row has met every other class."""
        for low, high in pairwise([0, *ends]):
            step = tile or choose_tile(u, high - low)
            for start, stop in ((0, low), (high, len(u))):
                for block in blocks_of(stop - start, step):
                    yield slice(low, high), slice(start + block.start, start + block.stop)

    def represent(members, rows):
        """How well the class represents each row, and the share of each member in that."""
        s = u[rows] @ u[members].T
        top = s.max(axis=1)
        if not smoothing:
            shares = (s == top[:, None]).astype(u.dtype)
            return top, shares / shares.sum(axis=1, keepdims=True)
        s -= top[:, None]
        s /= smoothing
        shares = xp.exp(s, out=s)
        total = shares.sum(axis=1)
        shares /= total[:, None]
        return top + smoothing * xp.log(total), shares

    sorted_rows = xp.zeros(len(u), dtype=u.dtype)
    for members, rows in others():
        sorted_rows[rows] += represent(members, rows)[0]
    if form == "information":
        sorted_rows += (u * u).sum(axis=1)
    per_row = xp.empty_like(sorted_rows)
    per_row[order] = sorted_rows
    value, spread = reduce_rows(per_row, reduction)

    def backward(g):
        r = spread(g)[order]
        g_sorted = xp.zeros_like(u)
        for members, rows in others():
            weights = represent(members, rows)[1]
            weights *= r[rows, None]
            g_sorted[rows] += weights @ u[members]
            g_sorted[members] += weights.T @ u[rows]
        g_u = xp.empty_like(g_sorted)
        g_u[order] = g_sorted
        return (to_z(g_u),)

    return value, backward


@definition(score_facility_location)
def score_facility_location_definition(z, labels, form, smoothing, reduction):
    xp = backend_of(labels).xp
    u = unit_rows(z)
    s = u @ u.T
    per_row = (u * u).sum(axis=1) * (1 if form == "information" else 0)
    for k in xp.unique(labels):
        to_class = s[:, xp.nonzero(labels == k)[0]]
        best = smoothing * logsumexp(to_class / smoothing, axis=1) if smoothing else max(to_class, axis=1)
        per_row = per_row + best * (labels != k)
    return reduced(per_row, reduction)
