"""Distributions over candidates by the kernel of two sets of rows, a tile of rows at a time."""

from collections.abc import Callable
from typing import NamedTuple

from mini_repr.autograd import softmax, unit_rows
from mini_repr.backend import backend_of


class KernelShares(NamedTuple):
    """q_ij in proportion to e^{l_ij}: over the candidates j of each row i, or over all pairs and then times N.

    ``log_q(part)``: log q of a tile of rows, (tile, K). ``backward(dl)``: the gradients of a, b and the temperature,
    where ``dl(part, log_q)`` gives the gradient of a tile's l.
    """

    log_q: Callable
    backward: Callable


def kernel_shares(a, b, kernel, temperature, tiles, exclude_self=False, over_pairs=False):
    """``KernelShares`` of rows a (N, D) and candidates b (K, D); the kernels l are those of the page ``icon``.

    Args:
        tiles: slices of the rows of a. exclude_self: row i is not its own candidate (needs N = K).
    """
    xp = backend_of(a).xp
    affinities, back = _affinities(a, b, kernel, temperature)

    def logits(part):
        block, slope = affinities(part)
        if exclude_self:
            block[own_places(xp, part)] = -xp.inf
        return block, slope

    # The sum of e^l is e^top total; kept apart, as a large l has no digits left for the logarithm of the total.
    top, total = (xp.empty(len(a), dtype=a.dtype) for _ in range(2))
    for part in tiles:
        block, _ = logits(part)
        top[part] = block.max(axis=1)
        block -= top[part, None]
        total[part] = xp.exp(block, out=block).sum(axis=1)
    if over_pairs:
        total = xp.broadcast_to((total * xp.exp(top - top.max())).mean(), top.shape)
        top = xp.broadcast_to(top.max(), top.shape)

    def log_q_and_slope(part):
        log_q, slope = logits(part)
        log_q -= top[part, None]
        log_q -= xp.log(total[part, None])
        return log_q, slope

    def backward(dl):
        def weights(part):
            log_q, slope = log_q_and_slope(part)
            gradient = dl(part, log_q)
            gradient *= slope
            return gradient

        return back(weights, tiles)

    return KernelShares(lambda part: log_q_and_slope(part)[0], backward)


def own_places(xp, part):
    """The places in a tile where its rows meet themselves."""
    return xp.arange(part.stop - part.start), xp.arange(part.start, part.stop)


def _affinities(a, b, kernel, temperature):
    """(``affinities(part)``: l of a tile of rows and its slope in x·y or |x - y|², and their backward).

    ``back(weights, tiles)`` takes the gradient of each tile's x·y or |x - y|² to those of a, b and the temperature.
    """
    xp, column_sums = backend_of(a).xp, backend_of(a).column_sums
    scale, distances = 1 / temperature, kernel in ("gaussian", "student_t")
    x, y, to_a, to_b = a, b, lambda g: g, lambda g: g
    if kernel == "cosine":
        (x, to_a), (y, to_b) = unit_rows.on_arrays(a), unit_rows.on_arrays(b)
    elif distances:  # a shift of all rows changes no distance, and saves digits
        mean = backend_of(b).column_means(b)
        x, y = a - mean, b - mean
    elif kernel == "clusters":
        (x, to_scores_a), (members, _) = softmax.on_arrays(a * scale), softmax.on_arrays(b * scale)
        least = xp.finfo(a.dtype).tiny
        sizes = xp.maximum(column_sums(members), least)
        y = members / sizes

        def to_a(g):
            return to_scores_a(g) * scale

        def to_b(g):  # through members / sizes and the softmax at once: 1 / sizes, of an empty cluster, has overflown
            g_scores = y * (g - column_sums(g * y))
            g_scores -= members * g_scores.sum(axis=1, keepdims=True)
            return g_scores * scale

    def affinities(part):
        block = x[part] @ y.T
        if distances:
            block *= -2
            block += (x[part] * x[part]).sum(axis=1)[:, None]
            block += (y * y).sum(axis=1)
            xp.maximum(block, 0, out=block)  # rounding must not make a distance negative
        if kernel == "student_t":
            block *= scale
            return -xp.log1p(block), -scale / (1 + block)
        if kernel == "clusters":
            shared = xp.maximum(block, least)
            return xp.log(shared), (block > least) / shared
        slope = -scale / 2 if distances else scale
        block *= slope
        return block, slope

    def back(weights, tiles):
        g_x, g_y = xp.empty_like(x), xp.zeros_like(y)
        for part in tiles:
            w = weights(part)
            g_x[part] = w @ y
            g_y += w.T @ x[part]
            if distances:
                g_x[part] -= w.sum(axis=1)[:, None] * x[part]
                g_y -= column_sums(w)[:, None] * y
        if distances:  # the gradient of |x - y|² is 2 (x - y)
            g_x *= -2
            g_y *= -2
        g_a, g_b = to_a(g_x), to_b(g_y)
        if kernel == "clusters":
            return g_a, g_b, -((a * g_a).sum() + (b * g_b).sum()) * scale
        return g_a, g_b, -((x * g_x).sum() + (y * g_y).sum()) * (scale / 2)

    return affinities, back
