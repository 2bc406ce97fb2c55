"""Active multi-task learning: draw more rows from the source tasks that the target task is made of.

Source tasks m = 1, ..., M and a target share a representation: y = x·B w_m + noise, B (D, K) orthonormal; the target's
w_0 = W ν for columns w_m of W (K, M). Of all such ν, ``relevance`` is the one of least norm,

    norm 1:  argmin |ν|_1  (a linear program; at most K entries other than 0)     rows n_m in proportion to |ν_m|
    norm 2:  argmin |ν|_2  (the pseudo-inverse; spread over all tasks)            rows n_m in proportion to ν_m²

Nobody knows W and w_0, so that ``learn_actively`` goes in rounds: fit B and W to all source rows so far, w_0 to the
target's rows on the fitted B, estimate ν, draw the next rows by it. With norm 1 the estimate is the lasso's,

    argmin_ν  1/2 |W ν - w_0|² + λ |ν|_1,        at which every |w_m·(W ν - w_0)| <= λ.

Source: Wang, Chen, Jamieson, Du 2023, arXiv 2306.02556 (norm 1); the form of norm 2 is that of Chen, Jamieson, Du 2022,
arXiv 2202.00911, as the former compares it. Rounds, λ, the floor of each task and how the shared map is fitted
(alternating least squares) are ours.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import linprog

from mini_repr.pages.arguments import Choice, Rows
from mini_repr.pages.declare import procedure
from mini_repr.pages.page import definition

NORMS = ("1", "2")


class Relevance(NamedTuple):
    """ν (M,) and its norm."""

    relevance: np.ndarray
    norm: float


class Learnt(NamedTuple):
    """basis (D, K); target (D,): the target's weights B w_0; counts (M,) of source rows drawn; relevance (M,) last."""

    basis: np.ndarray
    target: np.ndarray
    counts: np.ndarray
    relevance: np.ndarray


@procedure(paper="029", sizes={"K": 3, "M": 6})
def relevance(weights: Rows("K M", frozen=True), target: Rows("K", frozen=True), norm: Choice(*NORMS) = "1"):
    """How much each source task matters to the target: the combination of their weights of least norm.

    Args:
        weights: W, a column per source task. target: w_0, which the columns must span.
    Raises:
        ValueError: a target outside of what the source tasks span.
    """
    spread = np.linalg.pinv(weights) @ target
    if np.linalg.norm(weights @ spread - target) > 1e-6 * np.linalg.norm(target):
        raise ValueError("relevance: target: got weights that the source tasks do not span, expected a combination")
    if norm == "2":
        return Relevance(spread, float(np.linalg.norm(spread)))
    found = linprog(np.ones(2 * weights.shape[1]), A_eq=np.hstack([weights, -weights]), b_eq=target)
    positive, negative = np.split(found.x, 2)
    return Relevance(positive - negative, float(found.x.sum()))


@definition(relevance)
def relevance_definition(weights, target, norm):
    """Norm 1 by all bases of K tasks, at one of which the minimum lies; norm 2 by the normal equations."""
    from itertools import combinations

    if norm == "2":
        nu = weights.T @ np.linalg.solve(weights @ weights.T, target)
        return Relevance(nu, float(np.sqrt(sum(v * v for v in nu))))
    best = None
    for chosen in combinations(range(weights.shape[1]), len(weights)):
        nu = np.zeros(weights.shape[1])
        nu[list(chosen)] = np.linalg.solve(weights[:, chosen], target)
        total = sum(abs(v) for v in nu)
        if best is None or total < best.norm:
            best = Relevance(nu, float(total))
    return best


def allocate(relevance, budget, norm="1", floor=0):
    """Whole rows (M,) for each task that sum to ``budget``: ``floor`` each, the rest by relevance."""
    shares = np.abs(relevance) ** int(norm)
    rest = budget - floor * len(shares)
    if rest < 0:
        raise ValueError(f"allocate: budget: got {budget}, expected {floor * len(shares)} or more, the floors of all")
    exact = rest * (shares / shares.sum() if shares.sum() else np.full(len(shares), 1 / len(shares)))
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: rest - counts.sum()]] += 1  # the largest remainders
    return counts + floor


def lasso(weights, target, penalty, steps=2000):
    """argmin 1/2 |W ν - w|² + λ |ν|_1 by ISTA: gradient steps of 1/|W|², each followed by a shrinkage."""
    step = 1 / np.linalg.norm(weights, 2) ** 2
    nu = np.zeros(weights.shape[1])
    for _ in range(steps):
        moved = nu - step * weights.T @ (weights @ nu - target)
        nu = np.sign(moved) * np.maximum(np.abs(moved) - step * penalty, 0)
    return nu


def fit_shared(rows, rank, rounds=20):
    """(B (D, K) orthonormal, W (K, M)) by alternating least squares on [(x (n, D), y (n,)), ...] of the tasks."""
    grams = [(x.T @ x, x.T @ y, len(x)) for x, y in rows]
    # Directions of y's correlation with x, over tasks: where the shared columns show first.
    moments = sum(np.outer(xy, xy) / n for _, xy, n in grams)
    basis = np.linalg.eigh(moments)[1][:, -rank:]

    def weights_on(basis):
        return np.stack([np.linalg.lstsq(basis.T @ xx @ basis, basis.T @ xy)[0] for xx, xy, _ in grams], axis=1)

    for _ in range(rounds):
        weights = weights_on(basis)
        left = sum(np.kron(xx, np.outer(w, w)) for (xx, _, _), w in zip(grams, weights.T, strict=True))
        right = sum(np.outer(xy, w) for (_, xy, _), w in zip(grams, weights.T, strict=True))
        basis = np.linalg.qr(np.linalg.lstsq(left, right.ravel())[0].reshape(right.shape))[0]
    return basis, weights_on(basis)


def fit_target(basis, x, y):
    """w_0 (K,) by least squares on the fitted columns."""
    return np.linalg.lstsq(x @ basis, y)[0]


def joined(chunks):
    """[(x, y), ...] of each task from the chunks in which its rows were drawn."""
    return [tuple(map(np.concatenate, zip(*chunk, strict=True))) for chunk in chunks]


def learn_actively(draw, tasks, target, rank, budget, *, norm="1", pilot=60, rounds=2, penalty=0.05):
    """Learn the target's weights with ``budget`` source rows in all, most of them from the tasks that matter.

    Args:
        draw: ``draw(task, count)`` gives new rows x (count, D) and labels y (count,) of a source task.
        tasks: M. target: its rows (x, y). rank: K. pilot: rows of every task at first, 2 D or more for a fair guess.
        norm: "1", "2", or "uniform", which draws the same from all. rounds: after the pilot.
    """
    chunks = [[draw(m, pilot)] for m in range(tasks)]
    left, nu = budget - pilot * tasks, np.full(tasks, 1 / tasks)
    for number in range(rounds):
        if norm != "uniform":
            basis, weights = fit_shared(joined(chunks), rank)
            guess = fit_target(basis, *target)
            nu = lasso(weights, guess, penalty) if norm == "1" else np.linalg.pinv(weights) @ guess
        now = left // (rounds - number)
        left -= now
        for task, count in enumerate(allocate(nu, now, "2" if norm == "2" else "1")):
            chunks[task].append(draw(task, count))
    rows = joined(chunks)
    basis, _ = fit_shared(rows, rank)
    counts = np.array([len(x) for x, _ in rows])
    return Learnt(basis, basis @ fit_target(basis, *target), counts, nu)
