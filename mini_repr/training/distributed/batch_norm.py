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
    backend = backend_of(x)
    rows = len(x) * world.size
    mean = world.sum(backend.column_sums(x)) / rows
    normal = x - mean
    variance = world.sum(backend.column_sums(normal * normal)) / rows
    rstd = 1 / backend.xp.sqrt(variance + eps)
    normal *= rstd

    def backward(gradients):
        g = gradients[0]
        g_gain, g_bias = backend.column_sums(g * normal), backend.column_sums(g)
        all_gain, all_bias = world.sum(backend.xp.stack([g_gain, g_bias]))
        g_x = g - all_bias / rows - normal * (all_gain / rows)
        return g_x * (gain * rstd), g_gain, g_bias

    return (normal * gain + bias, mean, variance), backward
