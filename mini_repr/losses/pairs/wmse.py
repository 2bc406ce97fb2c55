"""W-MSE: whiten each view, then bring partners together; white rows cannot collapse.

Definition. The rows of a view are cut into sub-batches, and each sub-batch X of n rows is whitened separately,

    S = (1 - eps) X̄ᵀX̄ / (n - 1) + eps I,   S = C Cᵀ (Cholesky, C lower),   z_i = C⁻¹ x̄_i,   X̄ the rows less their mean,

so that, with eps 0, z has mean 0 and covariance I. With u, v the unit rows of the two whitened views,

    L = mean_i |u_i - v_i|² = mean_i (2 - 2 u_i·v_i).

``normalize=False`` compares the white rows as they are: mean_i |z_i - z'_i|² / D. ``size`` rows make a sub-batch; None
takes the batch as one. ``order``, a permutation that the views share, says which: the batch is read in that order and
cut into B // size parts of equal length, to one row. Of more than two views L is the mean over all pairs of views, and
of several orders the mean over the orders: whitening sees one view in one order at a time.

Gradient. With G the gradient of white rows Z, and M the lower triangle of GᵀZ mirrored into a symmetric matrix,

    dX̄ = [G - (1 - eps)/(n - 1) Z M] C⁻¹,   dX = dX̄ less its mean row.

It is the adjoint of Cholesky, dS = C⁻ᵀ Phi(Cᵀ dC) C⁻¹ symmetrised: Cᵀ dC has -GᵀZ in the triangle that Phi reads.

Shapes: a, b (B, D), B >= 2; order (B,) integers. Ranges: 0 <= eps <= 1; size >= 2 (papers: 2D). A batch of fewer rows
than ``size`` is one sub-batch. A sub-batch with a singular S (for eps 0: no more rows than D, or a column that is
constant or follows from the others) is a ValueError. A row at the mean of its sub-batch has cosine 0 and no gradient.

Source. Ermolov, Siarohin, Sangineto, Sebe 2020, arXiv 2007.06346, section 3. github.com/htdt/self-supervised,
methods/w_mse.py and whitening.py: each view separately, sub-batches of 128 rows for D = 64 and of 256 for 128, n - 1,
eps 0, 1 or 4 orders, B a multiple of the size. Cholesky's adjoint: Murray 2016, arXiv 1602.07527.

Public implementations differ in eps and in how whitening turns the rows: S^-1/2 (ZCA) is as white as C⁻¹, but gives
other cosines between views. ``not_normalized`` is the official code's ``no_norm``.
"""

from functools import partial

from mini_repr.autograd import concatenate, sqrt, stack, unit_rows
from mini_repr.backend import backend_of
from mini_repr.kernels.whitening import whitened
from mini_repr.pages.arguments import Count, Flag, Fraction, Labels, Optional, Reduction, Rows
from mini_repr.pages.invariants import between, exact, permutation, scaling, swap, translation
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import reduce_rows, reduced

_SQUARE = [[1.0, 2.0], [1.0, -2.0], [-1.0, 2.0], [-1.0, -2.0]]

_TEX = {
    "definition": r"""
L = \frac{1}{B} \sum_i \lVert u_i - v_i \rVert^2

z_i = C^{-1} \bar x_i

C C^\top = S = \frac{1 - \varepsilon}{n - 1} \bar X^\top \bar X + \varepsilon I

u, v: \text{unit rows of the whitened views}
""",
    "gradient": r"""
\mathrm{d}\bar X = \Bigl[ G - \frac{1 - \varepsilon}{n - 1} Z M \Bigr] C^{-1}

\mathrm{d}X = \mathrm{d}\bar X - \text{its mean row}

M: \text{the lower triangle of } G^\top Z \text{, mirrored}
""",
}


@loss(
    paper="026",
    tex=_TEX,
    sizes={"B": 9, "D": 3},
    variants={
        "sub_batches": variant("whitened 4 rows at a time, in the order given", ["order"], size=4),
        "shrunk": variant("the covariance shrunk towards I", eps=0.1),
        "not_normalized": variant("white rows as they are, squared distances divided by D", normalize=False),
    },
    invariants=[
        permutation("B"),
        swap("a", "b"),
        scaling("a"),
        translation("a", "b", shared=False),
        between(0, 4),
        exact("a view and a shifted, stretched copy agree", 0.0, a=_SQUARE, b=[[3 * x + 1, 5 * y] for x, y in _SQUARE]),
        exact("opposite views give 4", 4.0, a=_SQUARE, b=[[-x, -y] for x, y in _SQUARE]),
        exact("one column the other way round gives 2", 2.0, a=_SQUARE, b=[[x, -y] for x, y in _SQUARE]),
    ],
)
def wmse(
    a: Rows("B>=2 D"),
    b: Rows("B>=2 D"),
    order: Optional(Labels("B", classes="B", stays=True)) = None,
    size: Count(least=2, choose="the whole batch") = None,
    eps: Fraction = 0.0,
    normalize: Flag = True,
    reduction: Reduction = "mean",
):
    backend = backend_of(a)
    xp = backend.xp
    if order is not None and len(backend_of(order).xp.unique(order)) < len(a):
        raise ValueError(f"wmse: order: got a number twice, expected each of 0 to {len(a) - 1} once")
    parts = [part if order is None else backend.asarray(order[part]) for part in _sub_batches(len(a), size)]

    def white(name, x):
        """The rows of a view that are compared, and their backward."""
        z, backs = xp.empty_like(x), []
        for part in parts:
            try:
                z[part], back = whitened.on_arrays(x[part], eps)
            except ValueError as problem:
                raise ValueError(f"wmse: {name}: {problem}") from None
            backs.append(back)

        u, to_white = unit_rows.on_arrays(z) if normalize else (z, None)

        def backward(g):
            g, g_x = to_white(g) if normalize else g, xp.empty_like(x)
            for part, back in zip(parts, backs, strict=True):
                g_x[part] = back(g[part])
            return g_x

        return u, backward

    nbytes = a.nbytes + b.nbytes
    (u, to_a), (v, to_b) = backend.at_once([partial(white, "a", a), partial(white, "b", b)], nbytes)
    if normalize:
        per_row = 2 - 2 * (u * v).sum(axis=1)
    else:
        apart = u - v
        per_row = (apart * apart).mean(axis=1)
    value, spread = reduce_rows(per_row, reduction)

    def backward(g):
        r = spread(g)[:, None]
        pull = None if normalize else (2 / a.shape[1] * r) * apart

        def of_a():
            return to_a(-2 * r * v if normalize else pull)

        def of_b():
            return to_b(-2 * r * u if normalize else -pull)

        return tuple(backend.at_once([of_a, of_b], nbytes))

    return value, backward


def _sub_batches(rows, size):
    """Slices of ``size`` rows or a few more, the same number in each to one; fewer rows than that are one slice."""
    count = 1 if size is None else max(1, rows // size)
    return [slice(i * rows // count, (i + 1) * rows // count) for i in range(count)]


@definition(wmse)
def wmse_definition(a, b, order, size, eps, normalize, reduction):
    order = backend_of(a.data).xp.arange(a.shape[0]) if order is None else order

    def white(x):
        """Cholesky's recursion, one entry at a time, and forward substitution, one column at a time."""
        rows, width = x.shape
        centred = x - x.mean(axis=0)
        covariance = (1 - eps) * (centred.T @ centred) / (rows - 1)
        factor, columns = [[None] * width for _ in range(width)], []
        for k in range(width):
            for m in range(k + 1):
                left = covariance[k, m] - sum(factor[k][e] * factor[m][e] for e in range(m)) + eps * (k == m)
                factor[k][m] = sqrt(left) if k == m else left / factor[m][m]
            left = centred[:, k] - sum(factor[k][e] * columns[e] for e in range(k))
            columns.append(left / factor[k][k])
        return stack(*columns, axis=1)

    parts = [order[part] for part in _sub_batches(a.shape[0], size)]
    u, v = (concatenate(*[white(x[part]) for part in parts]) for x in (a, b))
    places = backend_of(a.data).xp.argsort(order)  # back in the order of the batch
    u, v = u[places], v[places]
    if normalize:
        return reduced(2 - 2 * (unit_rows(u) * unit_rows(v)).sum(axis=1), reduction)
    return reduced(((u - v) ** 2).mean(axis=1), reduction)
