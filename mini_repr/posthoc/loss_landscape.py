"""The loss around trained weights, along random directions whose filters are as long as the weights' own.

    d_:,j  <-  d_:,j |w_:,j| / |d_:,j|,        d ~ N(0, 1), for every column j (the weights of one output: a filter) of
                                               every array; arrays of one axis (biases, norms' gains) get 0
    f(α) = L(w + α d),       f(α, β) = L(w + α d + β d')

Networks with ReLU compute the same when one layer's weights grow and the next one's shrink. A direction of fixed length
then moves the small weights far and the large ones hardly; with filters of the weights' own lengths surfaces of
different networks can be compared. α = 0 is the trained network; the weights are restored bit for bit.

Source: Li, Xu, Taylor, Studer, Goldstein 2017, arXiv 1712.09913, section 4; github.com/tomgoldstein/loss-landscape,
net_plotter.py: there a filter is a row of a torch weight, 1e-10 is added to the direction's norm, and ignoring arrays
of one axis is the option "biasbn".
"""

import numpy as np

from mini_repr.backend import backend_of


def filter_normalised(parameters, rng):
    """{name: array like the parameter's}: a random direction, filter by filter as long as the parameters.

    A filter is a column: all weights with the same last index. Drawn on the host: one seed, one direction everywhere.

    Args:
        parameters: {name: Tensor}.
    """
    direction = {}
    for name, parameter in parameters.items():
        weights = backend_of(parameter.data).to_numpy(parameter.data)
        drawn = rng.standard_normal(weights.shape)
        axes = tuple(range(weights.ndim - 1))
        if axes:
            lengths = np.sqrt((drawn**2).sum(axis=axes, keepdims=True))
            drawn *= np.sqrt((weights.astype(np.float64) ** 2).sum(axis=axes, keepdims=True)) / np.maximum(
                lengths, 1e-300
            )
        else:
            drawn[...] = 0
        direction[name] = backend_of(parameter.data).asarray(drawn.astype(weights.dtype))
    return direction


def curve(loss_of, parameters, direction, steps):
    """(len(steps),) losses at w + α d for each α of ``steps``; see ``surface``."""
    return surface(loss_of, parameters, direction, None, steps, (0.0,))[:, 0]


def surface(loss_of, parameters, first, second, steps, others):
    """(len(steps), len(others)) losses at w + α d + β d'. The parameters are as before when it returns or fails.

    Args:
        loss_of: called without arguments, gives a number. parameters: {name: Tensor}. first, second: directions.
    """
    before = {name: parameter.data.copy() for name, parameter in parameters.items()}
    found = np.empty((len(steps), len(others)))
    try:
        for i, alpha in enumerate(steps):
            for j, beta in enumerate(others):
                for name, parameter in parameters.items():
                    moved = before[name] + alpha * first[name]
                    parameter.data[...] = moved if second is None else moved + beta * second[name]
                found[i, j] = loss_of()
    finally:
        for name, parameter in parameters.items():
            parameter.data[...] = before[name]
    return found


def non_convex_share(grid):
    """The share of inner points of a surface (A, B) on an even grid where a second difference is negative.

    That is, where the discrete Hessian has a negative eigenvalue.
    """
    centre = grid[1:-1, 1:-1]
    xx = grid[2:, 1:-1] - 2 * centre + grid[:-2, 1:-1]
    yy = grid[1:-1, 2:] - 2 * centre + grid[1:-1, :-2]
    xy = (grid[2:, 2:] - grid[2:, :-2] - grid[:-2, 2:] + grid[:-2, :-2]) / 4
    least = (xx + yy) / 2 - np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    return float((least < 0).mean())
