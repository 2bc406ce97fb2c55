"""The log of the mean over all pairs of rows of all ranks of an exponential: what spreads rows apart."""

import math

from mini_repr.backend import backend_of
from mini_repr.training.distributed.columns import centred
from mini_repr.training.distributed.ring import between, softmax_over_ranks


def pair_log_mean_exp(world, x, scale, distances=True, self_pairs=False, tile=None):
    """As the primitive of this name on the rows of all ranks: (value, 0-d, the same on all; backward to the own rows).

    It is a log-sum-exp of those of the rows, each of which the ring gives. As a product the exponent is
    -scale |x_i - x_j|² = p_i·q_j with p = (2 scale x, -scale |x|², -scale) and q = (x, 1, |x|²).

    Args:
        x: (n, D), the own rows. The rest: as the primitive.
    """
    xp, count = backend_of(x).xp, len(x) * world.size
    if distances:
        x, _ = centred(world, x)  # no distance changes, and fewer digits cancel
        squares, one = (x * x).sum(axis=1)[:, None], xp.ones((len(x), 1), dtype=x.dtype)
        p = xp.concatenate([2 * scale * x, -scale * squares, -scale * one], axis=1)
        q = xp.concatenate([x, one, squares], axis=1)
    else:
        p, q = scale * x, x
    (over, _), back = between(world, p, q, 1.0, columns=False, skip_partner=True, tile=tile)
    own = xp.zeros(len(x), dtype=x.dtype) if distances else scale * (x * x).sum(axis=1)
    per_row = xp.logaddexp(over, own) if self_pairs else over
    shares, total = softmax_over_ranks(world, per_row)

    def backward(g):
        g_rows = g * shares
        g_p, g_q, _ = back((g_rows * xp.exp(over - per_row), None))
        if not distances:
            g_x = scale * g_p + g_q
            if self_pairs:
                g_x += (2 * scale * g_rows * xp.exp(own - per_row))[:, None] * x
            return g_x
        width = x.shape[1]
        g_squares = g_q[:, width + 1] - scale * g_p[:, width]
        return 2 * scale * g_p[:, :width] + g_q[:, :width] + 2 * g_squares[:, None] * x

    return total - math.log(count * (count if self_pairs else count - 1)), backward
