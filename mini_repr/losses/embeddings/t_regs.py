"""T-REGS: stretch the minimum spanning tree of the rows while they stay near the unit sphere.

Definition. With T the tree of least total length that connects the B rows, edges (i, j) of length |z_i - z_j|,

    L = length_weight · L_E + sphere_weight · L_S,     L_E = -1/B sum_{(i,j) in T} |z_i - z_j|,
                                                       L_S =  1/B sum_i (|z_i| - 1)²

The third return value holds ``length`` and ``sphere``, L_E and L_S before their weights. The tree is a stop-gradient
choice: it is found anew at every call and is a constant for the gradient. For B <= D + 1 the
longest tree on the sphere is that of a regular simplex; for many rows its length estimates the Rényi entropy of their
distribution, greatest where it is uniform: so dimensions do not collapse. ``normalize`` puts the rows on the sphere.

Gradient. Along the edges: dz_i = -length_weight/B sum_{(i,j) in T} (z_i - z_j)/|z_i - z_j|, each edge pulling its two
ends apart with the same force whatever its length; and 2 sphere_weight/B (|z_i| - 1) z_i/|z_i|. Where two trees are
equally short, one of them: the value has a kink there.

The tree grows from row 0 by the nearest row outside (Prim), on the device of z: O(B² D) time, O(B D) memory, never the
B x B matrix. Shapes: z (B, D), B >= 2. Rows that coincide are joined by an edge of length 0, which has no direction and
no gradient: it does not part them. A zero row has L_S gradient 0, and stays zero under ``normalize``.

Source. Mordacq et al. 2025, arXiv 2510.23484, and its project page: tree length, sphere constraint; the scaling by 1/B
and the squared form of L_S are taken from a public summary of the paper, not from its text. The simplex is its theorem
4.1, the entropy its theorem 4.4. The paper adds the mean squared distance of the views, L_E and L_S of each view. Its
weights could not be confirmed: 1 and 1 are this page's.
"""

import math

from mini_repr.autograd import sqrt, unit_rows
from mini_repr.backend import backend_of
from mini_repr.fused import by_rows
from mini_repr.pages.arguments import Flag, NonNegative, Rows
from mini_repr.pages.invariants import between, exact, permutation, rotation, row_scaling, translation
from mini_repr.pages.loss import definition, loss, variant
from mini_repr.pages.rows import rows_of

_ON_SPHERE = {"normalize": True, "sphere_weight": 0.0}
_TRIANGLE = [[1.0, 0.0], [-0.5, math.sqrt(0.75)], [-0.5, -math.sqrt(0.75)]]

_TEX = {
    "definition": r"""
L = \lambda_E \, L_E + \lambda_S \, L_S

L_E = -\frac{1}{B} \sum_{(i,j) \in T} \lVert z_i - z_j \rVert

L_S = \frac{1}{B} \sum_i \bigl( \lVert z_i \rVert - 1 \bigr)^2

T: \text{the tree of least total length that connects the rows}
""",
    "gradient": r"""
\mathrm{d}z_i = -\frac{\lambda_E}{B} \sum_{(i,j) \in T} \frac{z_i - z_j}{\lVert z_i - z_j \rVert} + \frac{2
\lambda_S}{B} \bigl( \lVert z_i \rVert - 1 \bigr) \frac{z_i}{\lVert z_i \rVert}
""",
}


@loss(
    paper="102",
    tex=_TEX,
    variants={
        "unit_rows": variant("rows on the sphere itself, tree length alone", **_ON_SPHERE),
        "length": variant("tree length alone, of rows that something else bounds", sphere_weight=0.0),
    },
    invariants=[
        permutation("B"),
        rotation("D"),
        translation("z", sphere_weight=0.0),
        row_scaling("z", **_ON_SPHERE),
        between(-5 / 6 * math.sqrt(12 / 5), 0, **_ON_SPHERE),  # 6 rows, 5 dimensions: the regular simplex is longest
        exact("two opposite unit rows", -1.0, z=[[1.0, 0.0], [-1.0, 0.0]]),
        exact("a regular simplex on the sphere", -2 / math.sqrt(3), z=_TRIANGLE),
        exact("identical unit rows give 0", 0.0, z=[[0.6, 0.8]] * 4),
        exact("rows on a line: neighbours are joined", -1.5, z=[[0.0], [4.0], [1.0], [6.0]], sphere_weight=0.0),
    ],
)
def t_regs(
    z: Rows("B>=2 D"),
    length_weight: NonNegative = 1.0,
    sphere_weight: NonNegative = 1.0,
    normalize: Flag = False,
):
    backend = backend_of(z)
    xp, rows = backend.xp, len(z)
    u, to_z = rows_of(z, normalize)
    inner, outer = spanning_tree(u)
    edges = u[outer] - u[inner]
    lengths = xp.sqrt((edges * edges).sum(axis=1, keepdims=True))
    edges /= xp.where(lengths == 0, xp.inf, lengths)
    directions, _ = unit_rows.on_arrays(u)
    excess = (directions * u).sum(axis=1, keepdims=True) - 1
    terms = {"length": -lengths.sum() / rows, "sphere": (excess * excess).mean()}

    def backward(g):
        g_u = directions * excess
        g_u *= 2 * sphere_weight * g / rows
        along = edges * (length_weight * g / rows)
        g_u[outer] -= along  # every row but the first is the outer end of one edge
        backend.scatter_add(g_u, inner, along)
        return (to_z(g_u),)

    return length_weight * terms["length"] + sphere_weight * terms["sphere"], backward, terms


def spanning_tree(x):
    """Ends (inner, outer), (B - 1,) integers each, of the edges of a minimum spanning tree of the rows x (B, D).

    The tree grows from row 0; ``outer`` is the row that an edge adds. Nothing leaves the device on the way.
    """
    backend = backend_of(x)
    xp = backend.xp
    outer = xp.zeros(len(x) - 1, dtype=xp.int64)
    nearest = xp.zeros(len(x), dtype=xp.int64)  # the row of the tree that each row outside is nearest to
    distance = xp.full((len(x), 1), xp.inf, dtype=x.dtype)
    inside = xp.zeros(len(x), dtype=bool)
    newest = xp.zeros(1, dtype=xp.int64)
    for edge in range(len(x) - 1):
        take_in(backend, x, newest, x.shape[1], distance, nearest, inside)
        newest = outer[edge : edge + 1]
        distance[:, 0].argmin(keepdims=True, out=newest)
    return nearest[outer], outer


@by_rows(
    "T x, raw int64 newest, int64 depth",
    "T distance, raw int64 nearest, bool inside",
    """
    const long long met = newest[0];
    if (row == met) {
        if (lane == 0) {
            inside[row] = true;
            distance[row] = INFINITY;
        }
    } else if (!inside[row]) {
        T sum = 0;
        for (long long d = lane; d < depth; d += 32) {
            const T apart = x[row * depth + d] - x[met * depth + d];
            sum += apart * apart;
        }
        sum = warp_sum(sum);
        if (lane == 0 && sum < distance[row]) {
            distance[row] = sum;
            nearest[row] = met;
        }
    }
    """,
)
def take_in(backend, x, newest, depth, distance, nearest, inside):
    """Take row ``newest`` (1,) of x (B, D) into the tree: it may be nearer to a row outside than all before it.

    ``distance`` (B, 1) is squared, and infinite for rows inside.
    """
    xp = backend.xp
    inside[newest] = True
    apart = x - x[newest]
    apart *= apart
    to_newest = apart.sum(axis=1, keepdims=True)
    closer = (to_newest < distance) & ~inside[:, None]
    xp.copyto(distance, to_newest, where=closer)
    xp.copyto(distance, xp.inf, where=inside[:, None])
    xp.copyto(nearest, newest, where=closer[:, 0])


@definition(t_regs)
def t_regs_definition(z, length_weight, sphere_weight, normalize):
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree
    from scipy.spatial.distance import pdist

    u = unit_rows(z) if normalize else z
    on_host = backend_of(u.data).to_numpy(u.data).real.astype("float64")  # exact numbers too
    # As a sparse matrix, since a 0 in a dense one means no edge; of the tree's edges scipy drops those of length 0.
    pairs = backend_of(on_host).xp.triu_indices(len(on_host), 1)
    tree = minimum_spanning_tree(coo_array((pdist(on_host), pairs), shape=(len(on_host),) * 2).tocsr()).tocoo()
    first, second = (backend_of(u.data).asarray(ends, dtype="int64") for ends in (tree.row, tree.col))
    edges = u[first] - u[second]
    length = sqrt((edges * edges).sum(axis=1)).sum() / len(on_host)
    norms = (unit_rows(u) * u).sum(axis=1)
    return ((norms - 1) ** 2).mean() * sphere_weight - length * length_weight
