"""Batch norm whose statistics are those of the rows of all ranks."""

from mini_repr.autograd import primitive
from mini_repr.backend import backend_of


@primitive
def batch_norm_over_ranks(x, gain, bias, /, world, eps=1e-5):
    """As the primitive ``batch_norm`` on the rows (n, D) of all ranks; x and the output are the own ones.

    Two sums over ranks forward, mean then variance (centred first, to lose no digits), and one back: with g the
    gradient of the output and n the normalised rows, g_x needs the sums of g and g n over *all* rows. The gradients of
    gain and bias are the own rows' parts.
    """
    xp = backend_of(x).xp
    rows = len(x) * world.size
    mean = world.sum(x.sum(axis=0)) / rows
    normal = x - mean
    variance = world.sum((normal * normal).sum(axis=0)) / rows
    rstd = 1 / xp.sqrt(variance + eps)
    normal *= rstd

    def backward(gradients):
        g = gradients[0]
        g_gain, g_bias = (g * normal).sum(axis=0), g.sum(axis=0)
        all_gain, all_bias = world.sum(xp.stack([g_gain, g_bias]))
        g_x = g - all_bias / rows - normal * (all_gain / rows)
        return g_x * (gain * rstd), g_gain, g_bias

    return (normal * gain + bias, mean, variance), backward
