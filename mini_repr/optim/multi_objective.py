"""Two losses on the same rows: the step that serves both (MGDA).

With the gradients g1 and g2 of two losses with respect to what they share, the step with the largest gain that is
common to both is along the shortest vector between them,

    g = a g1 + (1 - a) g2,      a = argmin |a g1 + (1 - a) g2|² = (g2 - g1)·g2 / |g1 - g2|²,  cut to [0, 1]

so that g·g1 >= |g|² and g·g2 >= |g|²: along -g neither loss grows, and where g = 0 nothing helps both (a Pareto
stationary point). If one gradient is short and points along with the other, it is g itself: losses of very different
scale are brought to one scale first.

Source: Désidéri 2012 (multiple-gradient descent); Sener, Koltun 2018, arXiv 1810.04650, for two tasks in closed form,
and for gradients at shared rows in place of shared weights; for topic models Nguyen et al. 2024, arXiv 2402.07577.
Compared with isl-org/MultiObjectiveOptimization, multi_task/min_norm_solvers.py (a test repeats its cases): there the
ends are 0.001 and 0.999.
"""

from mini_repr.autograd import primitive
from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Rows
from mini_repr.pages.declare import procedure
from mini_repr.pages.page import definition


@procedure(paper="045")
def min_norm_weight(first: Rows("N D"), second: Rows("N D")):
    """The weight of the first of two gradients in the shortest vector between them, a 0-d array in [0, 1].

    Equal gradients get 1/2 each.

    Args:
        first, second: the gradients of two losses with respect to the same N rows.
    """
    xp = backend_of(first).xp
    apart = second - first
    length = (apart * apart).sum()
    equal = length == 0
    return xp.where(equal, 0.5, xp.clip((apart * second).sum() / xp.where(equal, 1, length), 0, 1))


@definition(min_norm_weight)
def min_norm_weight_definition(first, second):
    """Of both ends and the point where the length has slope 0, the one of the least length."""
    g1, g2 = first.reshape(-1).tolist(), second.reshape(-1).tolist()
    if g1 == g2:
        return 0.5
    slope = [x - y for x, y in zip(g1, g2, strict=True)]
    level = -sum(x * y for x, y in zip(slope, g2, strict=True)) / sum(x * x for x in slope)
    return min(
        [0.0, 1.0] + [level] * (0 <= level <= 1),
        key=lambda a: sum((a * x + (1 - a) * y) ** 2 for x, y in zip(g1, g2, strict=True)),
    )


@primitive
def for_two_losses(rows, /, weight):
    """The same rows twice, once for each of two losses; backward: ``min_norm_weight``'s mean of their gradients.

    What follows the rows on either side, such as a decoder, receives the gradient of its own loss undivided; what made
    them serves both. A loss that does not reach the rows leaves them the other's gradient.

    Args:
        weight: one-element array into which the backward pass writes the weight of the first loss, for logs.
    """

    def backward(g):
        if g[0] is None or g[1] is None:
            weight[...] = 0.0 if g[0] is None else 1.0
            return g[1] if g[0] is None else g[0]
        weight[...] = min_norm_weight.thing(*(one.reshape(len(rows), -1) for one in g))
        return weight * g[0] + (1 - weight) * g[1]

    return (rows, rows), backward
