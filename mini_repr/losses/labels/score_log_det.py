"""SCoRe, log-determinant: classes of little volume in a batch of large volume.

Definition. With u_i = z_i/|z_i|, s_ij = u_i·u_j, V all rows and A_k those of class k, the set function
f(A) = log det(S_A + ridge I) is the log volume that the rows of A span. As loss, with the class sets as its sets,

    total correlation   C_f = sum_k f(A_k) - f(V)        total information   S_f = sum_k f(A_k)

``form`` chooses. S_f draws each class together; C_f spreads the whole batch besides, is never negative (Fischer's
inequality) and 0 exactly where classes are orthogonal to each other. ``reduction="mean"`` divides by the N rows.

Gradient. df/dU_A = 2 (S_A + ridge I)⁻¹ U_A = 2 U_A (ridge I + U_Aᵀ U_A)⁻¹; value and gradient come from the smaller of
the two matrices, n x n or D x D: det(U Uᵀ + r I) = r^(n - D) det(Uᵀ U + r I). Then dz = (du - u (u·du)) / |z|.
O(N D min(N, D)) time, no N x N matrix unless N < D.

Shapes: z (N, D), N >= 1; labels (N,), any integers. Range: ridge at least N times the dtype's epsilon, for the
matrices to be regular. A class of one row has f = log(1 + ridge). A zero row has similarity 0 to everything and a zero
gradient. Named parts: "classes", "whole".

Source. Majee et al. 2023, arXiv 2310.00165: total information and total correlation of class sets, with facility
location, graph cut and log-determinant; only the abstract was read for this page. C_f and ridge 0.5 are those of the
official code (amajee11us/SCoRe, LogDet); its S_f has the opposite sign, the mean over classes and a factor temperature
/ 0.07, which is 1 in its training script and 10 by the class's own default.
"""

import math
from itertools import pairwise

from mini_repr.autograd import log, unit_rows
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Choice, Labels, Positive, Rows
from mini_repr.pages.invariants import at_least, exact, permutation, relabelling, rotation, row_scaling
from mini_repr.pages.loss import definition, loss, variant

_ORTHOGONAL = {"z": [[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]], "labels": [4, 4, 1]}

_TEX = {
    "definition": r"""
C_f = \sum_k f(A_k) - f(V)

S_f = \sum_k f(A_k)

f(A) = \log \det \bigl( S_A + \rho I \bigr)

S_A = U_A U_A^\top
""",
    "gradient": r"""
\frac{\mathrm{d}f}{\mathrm{d}U_A} = 2 \, (S_A + \rho I)^{-1} U_A = 2 \, U_A \, (\rho I + U_A^\top U_A)^{-1}
""",
}


@loss(
    paper="090",
    tex=_TEX,
    variants={
        "information": variant("total information: the classes alone", form="information"),
        "mean": variant("divided by the number of rows", reduction="mean"),
    },
    invariants=[
        permutation("N"),
        rotation("D"),
        row_scaling("z"),
        relabelling(),
        at_least(0),
        exact("orthogonal classes cost nothing", 0.0, **_ORTHOGONAL),
        exact(
            "a class on a line: log of 2.5 * 0.5, one row: log 1.5", math.log(1.875), form="information", **_ORTHOGONAL
        ),
        exact("one class only is the whole", 0.0, z=[[1.0, 2.0], [3.0, 1.0]], labels=[7, 7]),
    ],
)
def score_log_det(
    z: Rows("N D"),
    labels: Labels("N", stays=True),
    form: Choice("correlation", "information") = "correlation",
    ridge: Positive = 0.5,
    reduction: Choice("sum", "mean") = "sum",
):
    backend, label_xp = backend_of(z), backend_of(labels).xp
    xp = backend.xp
    least = len(z) * float(xp.finfo(z.dtype).eps)  # the round-off of the largest eigenvalue
    if ridge < least:
        raise ValueError(
            f"score_log_det: ridge: got {ridge:g}, expected at least {least:.2g} for {len(z)} rows of {z.dtype}"
        )
    u, to_z = unit_rows.on_arrays(z)
    order = backend.asarray(label_xp.argsort(labels))
    ends = label_xp.cumsum(label_xp.unique(labels, return_counts=True)[1]).tolist()
    classes, pull = 0, xp.zeros_like(u)
    for low, high in pairwise([0, *ends]):
        members = order[low:high]
        volume, gradient = _log_volume(xp, u[members], ridge)
        classes = classes + volume
        pull[members] = gradient
    value, terms = classes, {"classes": classes}
    if form == "correlation":
        whole, gradient = _log_volume(xp, u, ridge)
        value, terms["whole"] = classes - whole, whole
        pull -= gradient
    count = len(u) if reduction == "mean" else 1
    return value / count, lambda g: (to_z(pull * (g / count)),), {n: part / count for n, part in terms.items()}


def _log_volume(xp, rows, ridge):
    """log det(rows rowsᵀ + ridge I) and its gradient (n, D)."""
    count, width = rows.shape
    if count <= width:
        inner = rows @ rows.T
        inner[xp.arange(count), xp.arange(count)] += ridge
        return xp.linalg.slogdet(inner)[1], 2 * xp.linalg.solve(inner, rows)
    inner = rows.T @ rows
    inner[xp.arange(width), xp.arange(width)] += ridge
    value = xp.linalg.slogdet(inner)[1] + (count - width) * math.log(ridge)
    return value, 2 * xp.linalg.solve(inner, rows.T).T


@definition(score_log_det)
def score_log_det_definition(z, labels, form, ridge, reduction):
    xp = backend_of(labels).xp
    u = unit_rows(z)
    s = u @ u.T

    def f(members):
        """log det: the pivots of elimination."""
        left, total = s[members][:, members] + ridge * xp.eye(len(members)), 0
        for _ in members:
            total = total + log(left[0, 0])
            left = left[1:, 1:] - left[1:, :1] @ left[:1, 1:] / left[0, 0]
        return total

    total = sum((f(xp.nonzero(labels == k)[0]) for k in xp.unique(labels)), start=0)
    if form == "correlation":
        total = total - f(xp.arange(len(labels)))
    return total / len(labels) if reduction == "mean" else total
