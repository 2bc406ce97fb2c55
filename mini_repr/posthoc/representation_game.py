"""The representation game: the few linear features that are best for the worst task of a class, pure or random.

Rows x have covariance Σ (D, D). A task is y = f·x + noise with f in the ellipsoid { f : fᵀ S⁻¹ f <= 1 }, S the prior. A
representation Rᵀx, R (D, r), predicts y by least squares; what it loses against x itself is its regret

    regret(R, f) = fᵀ [ Σ - Σ R (Rᵀ Σ R)⁻¹ Rᵀ Σ ] f

One player chooses R, then the other the worst f. With λ_1 >= λ_2 >= ... and V the eigenvalues and eigenvectors of
Σ^{1/2} S Σ^{1/2}:

    pure    min_R max_f regret = λ_{r+1},                      at R = Σ^{-1/2} V_{1:r}; with S = I these are principal
                                                               components
    mixed   min over laws of R of max_f E regret = max_{l>r} (l - r) / sum_{i<=l} 1/λ_i = v

A best law draws r of the first l directions Σ^{-1/2} V_i, direction i with probability 1 - v/λ_i, l the maximiser.
Every one of these tasks then has the regret v, and those beyond have at most λ_{l+1} <= v. ``mixed_representation``
gives such a law with at most l rules, by systematic sampling: with the probabilities laid end to end, those that the
points t, t + 1, ..., t + r - 1 fall into are drawn together, t uniform in [0, 1).

``play`` needs no closed form, only gradients: starting from one rule it adds, each round, the task that is worst for
the mixture of rules, and the rule that is best for the mixture of tasks, and weighs both anew. With
A = Σ^{1/2} S^{1/2}, f = S^{1/2} u, |u| <= 1, R = Σ^{-1/2} Q, g = A u and P = Q (QᵀQ)⁻¹ Qᵀ,

    regret = |g|² - |P g|²,     d/du = 2 Aᵀ (g - P g),     d/dQ = -2 (g - P g) qᵀ,  q = (QᵀQ)⁻¹ Qᵀ g

Source: Uzan, Weinberger 2024, arXiv 2403.06971: the game, both optima and the algorithm, whose weights are there
found by multiplicative updates and here, exactly, by a linear program. The form of the law is ours.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import linprog

from mini_repr.pages.arguments import Count, Rows
from mini_repr.pages.declare import procedure, theorem
from mini_repr.pages.page import definition


class PureRepresentation(NamedTuple):
    """rule R (D, r); its worst regret λ_{r+1}; all λ (D,), falling."""

    rule: np.ndarray
    regret: float
    eigenvalues: np.ndarray


class MixedRepresentation(NamedTuple):
    """rules (m, D, r), drawn with probabilities weights (m,); worst expected regret; inclusion (D,) of directions."""

    rules: np.ndarray
    weights: np.ndarray
    regret: float
    inclusion: np.ndarray


class Played(NamedTuple):
    """rules (m, D, r) and weights (m,); regrets (m,): the worst expected one after each round."""

    rules: np.ndarray
    weights: np.ndarray
    regrets: np.ndarray


@theorem(paper="021")
def pure_representation(covariance: Rows("D D", frozen=True), prior: Rows("D D", frozen=True), r: Count() = 2):
    """The linear representation of r features that is best for the worst task.

    Args:
        covariance: Σ, symmetric, eigenvalues above 0. prior: S, likewise. r: below D.
    Raises:
        ValueError: matrices that are none such, or an r that is too large.
    """
    values, directions, _ = _directions("pure_representation", covariance, prior, r)
    return PureRepresentation(directions[:, :r], float(values[r]), values)


@definition(pure_representation)
def pure_representation_definition(covariance, prior, r):
    """By generalised eigenvectors, S v = λ Σ⁻¹ v."""
    from scipy.linalg import eigh

    values, vectors = eigh(prior, np.linalg.inv(covariance))
    rule = np.linalg.inv(covariance) @ vectors[:, ::-1][:, :r]
    largest = np.abs(rule).argmax(axis=0)
    return PureRepresentation(rule * np.sign(rule[largest, range(r)]), float(values[::-1][r]), values[::-1])


@theorem(paper="021")
def mixed_representation(covariance: Rows("D D", frozen=True), prior: Rows("D D", frozen=True), r: Count() = 2):
    """The law over linear representations of r features that is best for the worst task, and its regret.

    Args:
        covariance, prior, r: as for ``pure_representation``.
    """
    values, directions, _ = _directions("mixed_representation", covariance, prior, r)
    counts = np.arange(1, len(values) + 1)
    each = (counts - r) / np.cumsum(1 / values)
    last = int(each.argmax()) + 1
    regret = float(each[last - 1])
    inclusion = np.where(counts <= last, np.maximum(1 - regret / values, 0), 0)
    ends = np.cumsum(inclusion)
    starts = np.unique(np.round(np.append(ends[:last] % 1, 0), 12) % 1)
    middles = (starts + np.append(starts[1:], 1)) / 2
    chosen = [np.searchsorted(ends[:last], middle + np.arange(r)) for middle in middles]
    weights = np.diff(np.append(starts, 1))
    return MixedRepresentation(np.stack([directions[:, one] for one in chosen]), weights, regret, inclusion)


@definition(mixed_representation)
def mixed_representation_definition(covariance, prior, r):
    """The regret by bisection of sum_i max(0, 1 - v/λ_i) = r; the law by the same sampling, point by point."""
    values = np.linalg.eigvals(covariance @ prior).real
    values = np.sort(values)[::-1]
    low, high = 0.0, float(values[0])
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.maximum(0, 1 - middle / values).sum() > r else (low, middle)
    inclusion = np.maximum(0, 1 - low / values)
    rule = pure_representation_definition(covariance, prior, int((inclusion > 1e-9).sum()) - 1).rule
    last = pure_representation_definition(covariance, prior, len(values) - 1).rule
    directions = np.concatenate([rule, last[:, rule.shape[1] :]], axis=1)
    ends = [sum(inclusion[: k + 1]) for k in range(len(values)) if inclusion[k] > 1e-9]
    cuts = sorted({round(end % 1, 12) % 1 for end in ends} | {0.0})
    rules, weights = [], []
    for start, stop in zip(cuts, [*cuts[1:], 1.0], strict=True):
        points = [(start + stop) / 2 + k for k in range(r)]
        rules.append(directions[:, [next(k for k, end in enumerate(ends) if end >= point) for point in points]])
        weights.append(stop - start)
    return MixedRepresentation(np.stack(rules), np.array(weights), low, inclusion)


@procedure(paper="021")
def play(
    covariance: Rows("D D", frozen=True),
    prior: Rows("D D", frozen=True),
    r: Count() = 2,
    rules: Count() = 16,
    steps: Count() = 200,
    seed: Count(least=0) = 0,
):
    """Find a mixture of representations by playing the game, one more rule each round.

    Args:
        covariance, prior, r: as for ``pure_representation``. rules: at the end. steps: of gradient for each answer.
        seed: of the first rule and of the starts of all answers.
    """
    values, _, (to_rules, a) = _directions("play", covariance, prior, r)
    rng, step = np.random.default_rng(seed), 0.5 / values[0]
    found, tasks = [_orthonormal(rng.normal(size=(len(a), r)))], []
    weights, regrets = np.ones(1), [_worst(a, found, [1.0])]
    while len(found) < rules:
        tasks.append(_worst_task(a, found, weights, rng, step, steps))
        weights, odds = _equilibrium(a, found, tasks)
        found.append(_best_rule(a, tasks, odds, r, rng, step, steps))
        weights, _ = _equilibrium(a, found, tasks)
        regrets.append(_worst(a, found, weights))
    return Played(np.stack([to_rules @ q for q in found]), weights, np.array(regrets))


def regret(rule, task, covariance):
    """regret(R, f) of one rule R (D, r) and one task f (D,)."""
    sr = covariance @ rule
    return float(task @ (covariance - sr @ np.linalg.solve(rule.T @ sr, sr.T)) @ task)


def worst_regret(rules, weights, covariance, prior):
    """max over tasks of the expected regret of a mixture of rules (m, D, r)."""
    _, _, (to_rules, a) = _directions("worst_regret", covariance, prior, 0)
    return _worst(a, [_orthonormal(np.linalg.solve(to_rules, rule)) for rule in rules], weights)


def _directions(name, covariance, prior, r):
    """(λ falling, all Σ^{-1/2} V with largest entries positive, (Σ^{-1/2}, A)).

    Raises:
        ValueError: no symmetric matrices of eigenvalues above 0, or an r of D or more.
    """
    roots = {}
    for argument, matrix in (("covariance", covariance), ("prior", prior)):
        values, vectors = np.linalg.eigh(matrix)
        if np.abs(matrix - matrix.T).max() > 1e-6 * np.abs(matrix).max() or values[0] <= 1e-12 * values[-1]:
            raise ValueError(f"{name}: {argument}: got no symmetric matrix of eigenvalues above 0, expected one")
        roots[argument] = (vectors * np.sqrt(values)) @ vectors.T
    if r >= len(covariance):
        raise ValueError(f"{name}: r: got {r}, expected fewer than the {len(covariance)} columns")
    a = roots["covariance"] @ roots["prior"]
    v, singular, _ = np.linalg.svd(a)
    to_rules = np.linalg.inv(roots["covariance"])
    directions = to_rules @ v
    signs = np.sign(directions[np.abs(directions).argmax(axis=0), range(len(a))])
    return singular**2, directions * signs, (to_rules, a)


def _orthonormal(q):
    return np.linalg.qr(q)[0]


def _worst(a, rules, weights):
    """max over |u| <= 1 of the expected regret: an eigenvalue."""
    left = np.eye(len(a)) - sum(w * q @ q.T for w, q in zip(weights, rules, strict=True))
    return float(np.linalg.eigvalsh(a.T @ left @ a)[-1])


def _worst_task(a, rules, weights, rng, step, steps):
    """Ascend the expected regret on the ball."""
    u = rng.normal(size=len(a))
    u /= np.linalg.norm(u)
    for _ in range(steps):
        g = a @ u
        rest = g - sum(w * q @ (q.T @ g) for w, q in zip(weights, rules, strict=True))
        u = u + step * 2 * a.T @ rest
        u /= max(1, np.linalg.norm(u))
    return u


def _best_rule(a, tasks, odds, r, rng, step, steps):
    """Descend the expected regret over rules; orthonormal columns change no regret and keep the steps' size."""
    q = _orthonormal(rng.normal(size=(len(a), r)))
    g = a @ np.stack(tasks, axis=1)
    for _ in range(steps):
        share = q.T @ g
        q = _orthonormal(q + 2 * step / max(odds.max(), 1e-12) * ((g - q @ share) * odds) @ share.T)
    return q


def _equilibrium(a, rules, tasks):
    """(weights of rules, odds of tasks): the optimal mixtures of both players on the finite table of regrets."""
    g = a @ np.stack(tasks, axis=1)
    table = np.stack([(g**2).sum(axis=0) - ((q.T @ g) ** 2).sum(axis=0) for q in rules])  # (rules, tasks)
    found = linprog(
        np.append(np.zeros(len(rules)), 1.0),
        A_ub=np.concatenate([table.T, -np.ones((len(tasks), 1))], axis=1),
        b_ub=np.zeros(len(tasks)),
        A_eq=np.append(np.ones(len(rules)), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0, None)] * len(rules) + [(None, None)],
    )
    odds = -found.ineqlin.marginals
    return found.x[:-1] / found.x[:-1].sum(), odds / odds.sum()
