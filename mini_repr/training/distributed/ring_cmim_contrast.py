"""cMIM's contrastive term over the rows of all ranks, which meet on the ring: a softplus of each row's log-sum-exp.

Livne 2025, arXiv 2502.19642.
"""

import math

from mini_repr.autograd import softplus
from mini_repr.pages.rows import rows_of
from mini_repr.training.distributed.ring import among


def ring_cmim_contrast(z, *, world, temperature, over, normalize, tile):
    """``cmim_contrast`` of the rows of all ranks, the same on every rank; gradients for the own rows, whole.

    Args:
        z: (n, D), the own rows. world: ``World`` of the ranks. The rest: as ``cmim_contrast``.
    """
    scale, count = 1 / temperature, len(z) * world.size
    u, to_z = rows_of(z, normalize)
    others, back = among(world, u, scale, tile)
    own = (u * u).sum(axis=1) * scale
    cost, to_excess = softplus.on_arrays(others - own - (math.log(count - 1) if over == "mean" else 0.0))

    def backward(g):
        push = to_excess((cost * 0 + 1) * (g / count))
        du, _ = back(push)
        return (to_z(du - (2 * scale * push)[:, None] * u),)

    return world.total(cost) / count, backward
