"""Similarity KL: find among the rows of a batch the similarities that a teacher finds.

Definition. With unit rows u, v of the student's a, b and p, q of the teacher's, temperature t, and B rows per view,

    P_ij = softmax_j( u_i·v_j / t ),   T_ij = softmax_j( p_i·q_j / t ),   L = mean_i sum_j T_ij log( T_ij / P_ij )

The teacher is a constant and may be of another width. ``symmetric`` takes the mean with the same for the anchors b_j
(rows of Sᵀ). ``diagonal=False`` leaves the partners out of both distributions, ``rescale`` multiplies by t² (so that
the gradient does not fade as t grows). One set of rows z is given as both: ``similarity_kl(z, z, teacher, teacher)``.
A narrower student is ``similarity_kl(a[:, :d], b[:, :d], a, b)``. ``reduction="none"`` gives one value per row.

Gradient. s/t receives G_ij = r_i (P_ij - T_ij), r_i the weight of row i in the reduction; du = G v / t, dv = Gᵀ u / t;
da = (du - u (u·du)) / |a|. Neither similarity matrix is stored: tiles of rows, O(B * tile) memory.

Shapes: a, b (B, D), teacher_a, teacher_b (B, E), B >= 2. L >= 0, and 0 where the similarities agree, however the rows
are turned. Without the diagonal two rows per view have nothing to compare: 0. A zero row, of student or teacher, has
similarity 0 to everything; it gets no gradient.

Source. Gu et al. 2025, arXiv 2504.17432, first stage (textual discriminative knowledge distillation): KL divergence of
batch-wise similarity distributions, teacher NV-Embed V2, as the authors' README (deepglint/UniME) says. Their code of
that stage is not published; the direction of the divergence is distillation's and the temperature that of the second
stage's code (0.02).

Public implementations differ in the mean over rows (torch's "batchmean") or over all entries, and in the factor t² of
Hinton et al. 2015, arXiv 1503.02531. What goes by the name of alignment for nested layers (AnglE's ESE trainer) is
a divergence of another thing: of softmaxes over the columns of one embedding, with a factor t.
"""

from mini_repr.autograd import exp, log_softmax, off_diagonal, stop_gradient, unit_rows
from mini_repr.backend import backend_of
from mini_repr.kernels.tiles import row_tiles
from mini_repr.pages.arguments import Flag, Positive, Reduction, Rows, Tile
from mini_repr.pages.invariants import at_least, exact, permutation, rotation, row_scaling
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

_ROWS, _TURNED = [[1.0, 2.0], [0.5, -3.0], [1.0, 0.0]], [[-2.0, 1.0], [3.0, 0.5], [0.0, 1.0]]

_TEX = {
    "definition": r"""
L = \frac{1}{B} \sum_i \sum_j T_{ij} \log \frac{T_{ij}}{P_{ij}}

P_{ij} = \frac{e^{u_i \cdot v_j / t}}{\sum_k e^{u_i \cdot v_k / t}}

T_{ij} = \frac{e^{p_i \cdot q_j / t}}{\sum_k e^{p_i \cdot q_k / t}}
""",
    "gradient": r"""
G_{ij} = r_i \, (P_{ij} - T_{ij})

\mathrm{d}u = \frac{G v}{t}

\mathrm{d}v = \frac{G^\top u}{t}
""",
}


@loss(
    paper=("057", "037"),
    tex=_TEX,
    variants={
        "both_directions": variant("the mean over anchors of both views", symmetric=True),
        "without_partners": variant("the distributions over the other rows only", diagonal=False),
        "hinton": variant("times t²", rescale=True),
        "sum": variant("summed over rows instead of averaged", reduction="sum"),
    },
    invariants=[
        permutation("B"),
        rotation("D"),
        rotation("E"),
        row_scaling("a", "b", "teacher_a", "teacher_b"),
        at_least(0),
        exact("the teacher's similarities give 0", 0.0, a=_TURNED, b=_TURNED, teacher_a=_ROWS, teacher_b=_ROWS),
    ],
)
def similarity_kl(
    a: Rows("B>=2 D"),
    b: Rows("B>=2 D"),
    teacher_a: Rows("B E", frozen=True),
    teacher_b: Rows("B E", frozen=True),
    temperature: Positive = 0.02,
    symmetric: Flag = False,
    diagonal: Flag = True,
    rescale: Flag = False,
    reduction: Reduction = "mean",
    tile: Tile = None,
):
    (u, to_a), (v, to_b) = unit_rows.on_arrays(a), unit_rows.on_arrays(b)
    p, q = unit_rows.on_arrays(teacher_a)[0], unit_rows.on_arrays(teacher_b)[0]
    per_row, back = _divergence(u, v, p, q, 1 / temperature, diagonal, tile)
    if symmetric:
        per_column, back_columns = _divergence(v, u, q, p, 1 / temperature, diagonal, tile)
        per_row = (per_row + per_column) / 2
    factor = temperature**2 if rescale else 1
    value, spread = reduce_rows(per_row * factor, reduction)

    def backward(g):
        r = spread(g) * factor
        if not symmetric:
            g_u, g_v = back(r)
        else:
            (g_u, g_v), (more_v, more_u) = back(r / 2), back_columns(r / 2)
            g_u, g_v = g_u + more_u, g_v + more_v
        return to_a(g_u), to_b(g_v)

    return value, backward


def _divergence(x, y, p, q, scale, diagonal, tile):
    """sum_j T_ij log(T_ij / P_ij) of every row (B,), and the gradients of x and y from row weights."""
    backend = backend_of(x)
    xp = backend.xp
    nothing = float(xp.finfo(x.dtype).min) / 4  # e^nothing is 0, and 0 * (nothing - nothing) is too, as with -inf not
    tiles = row_tiles(x, len(y), tile)

    def log_softmax_of(rows, left, right):
        logits = (left[rows] * scale) @ right.T
        if not diagonal:
            numbers = xp.arange(rows.start, rows.stop)
            logits[numbers - rows.start, numbers] = nothing
        logits -= logits.max(axis=1, keepdims=True)
        logits -= xp.log(xp.exp(logits).sum(axis=1, keepdims=True))
        return logits

    per_row = xp.empty(len(x), dtype=x.dtype)

    def divergences(share):
        for rows in share:
            log_t, log_p = log_softmax_of(rows, p, q), log_softmax_of(rows, x, y)
            xp.subtract(log_t, log_p, out=log_p)
            log_p *= xp.exp(log_t, out=log_t)
            per_row[rows] = log_p.sum(axis=1)

    backend.map_shares(divergences, tiles)

    def backward(r):
        g_x = xp.empty_like(x)

        def gradients(share):
            g_y = xp.zeros_like(y)
            for rows in share:
                log_t, weights = log_softmax_of(rows, p, q), log_softmax_of(rows, x, y)
                xp.exp(weights, out=weights)
                weights -= xp.exp(log_t, out=log_t)
                weights *= (r[rows] * scale)[:, None]
                xp.matmul(weights, y, out=g_x[rows])
                g_y += weights.T @ x[rows]
            return g_y

        parts = backend.map_shares(gradients, tiles)
        return g_x, sum(parts[1:], parts[0])

    return per_row, backward


@definition(similarity_kl)
def similarity_kl_definition(a, b, teacher_a, teacher_b, temperature, symmetric, diagonal, rescale, reduction):
    u, v, p, q = (unit_rows(x) for x in (a, b, stop_gradient(teacher_a), stop_gradient(teacher_b)))

    def divergence(student, teacher):
        logits = (s / temperature if diagonal else off_diagonal(s) / temperature for s in (student, teacher))
        log_p, log_t = (log_softmax(x) for x in logits)
        return (exp(log_t) * (log_t - log_p)).sum(axis=1)

    per_row = divergence(u @ v.T, p @ q.T)
    if symmetric:
        per_row = (per_row + divergence(v @ u.T, q @ p.T)) / 2
    return reduced(per_row * temperature**2 if rescale else per_row, reduction)
