"""Prompt orthogonality: prompts without a class should say different things.

Definition. With u_n = z_n / |z_n| the row of prompt n alone, N of them,

    L = mean over n != m of |u_n·u_m|

Between 0, where all are orthogonal, and 1, where all lie on one line. One prompt alone costs 0.

Gradient. du_n = (2 / (N (N - 1))) sum_{m != n} sign(u_n·u_m) u_m, then dz = (du - u (u·du)) / |z|; sign(0) = 0.

Shapes: z (N, D). A zero row is orthogonal to all.

Source. Lu et al. 2022, arXiv 2205.03340 (ProDA), its loss of semantic orthogonality. Public re-implementations (the
same as for ``prompt_distribution``) take the mean of absolute values too; one weighs it by 0.1.
"""

from mini_repr.autograd import absolute, off_diagonal, unit_rows
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Rows
from mini_repr.pages.invariants import between, exact, permutation, rotation, row_scaling
from mini_repr.pages.loss import definition, loss

_TEX = {
    "definition": r"""
L = \frac{1}{N (N - 1)} \sum_{n \ne m} |u_n \cdot u_m|
""",
    "gradient": r"""
\mathrm{d}u_n = \frac{2}{N (N - 1)} \sum_{m \ne n} \mathrm{sign}(u_n \cdot u_m) \, u_m

\mathrm{d}z = \frac{\mathrm{d}u - u \, (u \cdot \mathrm{d}u)}{\lVert z \rVert}
""",
}


@loss(
    paper="062",
    tex=_TEX,
    invariants=[
        permutation("N"),
        rotation("D"),
        row_scaling("z"),
        between(0, 1),
        exact("opposite prompts are one", 1.0, z=[[1.0, 2.0], [-2.0, -4.0]]),
        exact("orthogonal prompts", 0.0, z=[[1.0, 0.0], [0.0, 4.0]]),
        exact("one prompt", 0.0, z=[[1.0, 2.0]]),
    ],
)
def prompt_orthogonality(z: Rows("N D")):
    xp, count = backend_of(z).xp, len(z)
    u, to_z = unit_rows.on_arrays(z)
    products = u @ u.T
    xp.fill_diagonal(products, 0)
    pairs = max(count * (count - 1), 1)
    return xp.abs(products).sum() / pairs, lambda g: (to_z((xp.sign(products) @ u) * (2 * g / pairs)),)


@definition(prompt_orthogonality)
def prompt_orthogonality_definition(z):
    u = unit_rows(z)
    return absolute(off_diagonal(u @ u.T)).mean() if len(z) > 1 else z.sum() * 0
