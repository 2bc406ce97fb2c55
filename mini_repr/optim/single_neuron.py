"""One neuron from labels that an adversary may have changed: descend the surrogate, not the square loss.

For rows x (N, D) and any labels y, look for σ(w·x) near y with |w| <= radius. The square loss L(w) = E (σ(w·x) - y)² is
not convex, and its gradient is 0 where σ' is: a ReLU that starts at 0, or is off for most rows, never learns. The
surrogate is convex for every increasing σ, and its gradient is that of the square loss without σ' (and the 2):

    L_sur(w) = E[ Φ(w·x) - y w·x ],   Φ' = σ,        gradient  E[ (σ(w·x) - y) x ],        Hessian E[ σ'(w·x) x xᵀ ]

Descent from w = 0 by steps of ``lr`` / λ, λ the largest eigenvalue of E x xᵀ (σ' <= 1: the surrogate falls below
lr = 2), each followed by a projection onto the ball. Of all iterates the one of least square loss is returned. Where
the rows spread enough along the best neuron w*, the surrogate is sharp,

    gradient · (w - w*)  >=  µ |w - w*|²    wherever |w - w*|² >= C OPT,       OPT = min over the ball of L

so that the square loss comes within a constant factor of OPT, whatever the labels. With σ the identity this is least
squares.

Source: Wang, Zarifis, Diakonikolas, Diakonikolas 2023, arXiv 2306.07892 (problem 1.1, the surrogate and its sharpness);
there gradients of small batches of new rows and a step of µ over a smoothness, here all rows given.
"""

from typing import NamedTuple

import numpy as np

from mini_repr.backend import backend_of
from mini_repr.pages.arguments import Choice, Count, Positive, Rows
from mini_repr.pages.declare import procedure
from mini_repr.pages.page import definition

SLOPE = 0.1  # of the leaky ReLU below 0
LEAKS = {"relu": 0.0, "leaky_relu": SLOPE, "identity": 1.0}


class Neuron(NamedTuple):
    """weights (D,); the square loss and the surrogate there."""

    weights: object
    loss: float
    surrogate: float


@procedure(paper="078", sizes={"N": 12, "D": 3})
def fit_neuron(
    x: Rows("N D", frozen=True),
    y: Rows("N", frozen=True),
    activation: Choice(*LEAKS) = "relu",
    radius: Positive = 3.0,
    steps: Count() = 500,
    lr: Positive = 1.0,
):
    """Fit one neuron to rows and labels, some of which may be wrong where it hurts.

    Args:
        x: rows, with a column of ones where the neuron is to have a bias. radius: the length that weights may have.
        lr: share of the step 1/λ.
    Raises:
        ValueError: rows that are all 0.
    """
    xp, leak = backend_of(x).xp, LEAKS[activation]
    weights = xp.zeros(x.shape[1], x.dtype)
    largest = float(xp.linalg.eigvalsh(x.T @ x / len(x))[-1])
    if not largest:
        raise ValueError("fit_neuron: x: got zeros alone, expected rows that reach somewhere")
    step = lr / largest
    best = None
    for _ in range(steps + 1):
        reach = x @ weights
        rest = activated(xp, reach, leak) - y
        loss = float((rest**2).mean())
        if best is None or loss < best[0]:
            best = loss, weights, reach
        weights = in_ball(xp, weights - step * (rest @ x) / len(x), radius)
    loss, weights, reach = best
    return Neuron(weights, loss, float((reach * activated(xp, reach, leak) / 2 - y * reach).mean()))


def activated(xp, reach, leak):
    """σ of w·x: itself above 0, ``leak`` times it below. Its integral Φ is w·x σ(w·x) / 2."""
    return xp.where(reach > 0, reach, leak * reach)


def in_ball(xp, weights, radius):
    """The nearest vector of length ``radius`` or less."""
    return weights / xp.maximum(1, xp.linalg.norm(weights) / radius)


@definition(fit_neuron)
def fit_neuron_definition(x, y, activation, radius, steps, lr):
    """By loops over rows; the surrogate by Simpson's rule for Φ, which is exact for a line on each side of 0."""
    leak = LEAKS[activation]

    def sigma(t):
        return t if t > 0 else leak * t

    def loss(w):
        return sum((sigma(row @ w) - label) ** 2 for row, label in zip(x, y, strict=True)) / len(x)

    def surrogate(w):
        total = 0.0
        for row, label in zip(x, y, strict=True):
            t = row @ w
            total += (sigma(0) + 4 * sigma(t / 2) + sigma(t)) * t / 6 - label * t
        return total / len(x)

    step = lr / max(np.linalg.eigvals(sum(np.outer(row, row) for row in x) / len(x)).real)
    iterates = [np.zeros(x.shape[1])]
    for _ in range(steps):
        w = iterates[-1]
        gradient = sum((sigma(row @ w) - label) * row for row, label in zip(x, y, strict=True)) / len(x)
        w = w - step * gradient
        iterates.append(w if np.sqrt(w @ w) <= radius else w * radius / np.sqrt(w @ w))
    best = min(iterates, key=loss)
    return Neuron(best, loss(best), surrogate(best))
