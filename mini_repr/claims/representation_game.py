"""Representation game: a mixture of few played rules nears the optimum; a prior on tasks beats principal components.

Uzan, Weinberger 2024, arXiv 2403.06971. *random*: 10 columns, rules of 3 features, ill-conditioned random covariance
and prior; the worst expected regret of principal components, the pure optimum and mixtures of 4, 8 and 16 rules that
were found by play, as multiples of the mixed optimum's. *digits*: 64 pixels, rules of 4 features; a task is +1 for five
random digits and -1 for the others. The prior is the second moment of the least-squares vectors of 40 tasks on half of
the training rows, with a hundredth of its mean eigenvalue added; the number is the largest mean square error on test
rows over 40 further tasks, predicted by least squares from the features (of a mixture: the mean over its rules). As
many features of principal components, of the pure optimum, of the mixed one, and of 16 rules played.
"""

import numpy as np

from mini_repr.claims.bench.claim import Claim, below, lower
from mini_repr.data import load
from mini_repr.posthoc.representation_game import mixed_representation, play, pure_representation, worst_regret

TASKS, FEATURES = 40, 4


def random_spectra(seed):
    rng = np.random.default_rng(seed)

    def drawn():
        q = np.linalg.qr(rng.normal(size=(10, 10)))[0]
        return (q * 10 ** rng.uniform(-1, 1, 10)) @ q.T

    covariance, prior = drawn(), drawn()
    best = mixed_representation(covariance, prior, 3).regret
    components = np.linalg.eigh(covariance)[1][:, -3:]
    arms = {
        "components": worst_regret(components[None], [1.0], covariance, prior),
        "pure": pure_representation(covariance, prior, 3).regret,
    }
    arms |= {f"played, {m} rules": play(covariance, prior, 3, rules=m, seed=seed).regrets[-1] for m in (4, 8, 16)}
    return {name: {"random": value / best} for name, value in arms.items()}


def drawn_tasks(rng):
    """A map from labels (N,) to (N, TASKS) of +1 and -1: which five digits are positive is random."""
    signs = np.stack([rng.permutation(np.repeat([-1.0, 1.0], 5)) for _ in range(TASKS)], axis=1)
    return lambda labels: signs[labels]


def digits(seed):
    data, rng = load("digits"), np.random.default_rng(seed)
    half = rng.permutation(len(data.train))[: len(data.train) // 2]
    x = data.train.images.reshape(len(data.train), -1)[half].astype(np.float64)
    mean = x.mean(axis=0)
    x, test = x - mean, data.test.images.reshape(len(data.test), -1) - mean
    known, further = drawn_tasks(rng), drawn_tasks(rng)
    covariance = x.T @ x / len(x)
    covariance += 1e-3 * np.trace(covariance) / 64 * np.eye(64)
    found = np.linalg.solve(covariance, x.T @ known(data.train.labels[half]) / len(x))
    prior = found @ found.T / TASKS
    prior += 0.01 * np.trace(prior) / 64 * np.eye(64)

    y, test_y = further(data.train.labels[half]), further(data.test.labels)

    def worst(rules, weights):
        errors = 0.0
        for rule, weight in zip(rules, weights, strict=True):
            w = np.linalg.lstsq(x @ rule, y - y.mean(axis=0))[0]
            errors = errors + weight * ((test @ rule @ w + y.mean(axis=0) - test_y) ** 2).mean(axis=0)
        return float(errors.max())

    mixed, played = mixed_representation(covariance, prior, FEATURES), play(covariance, prior, FEATURES, seed=seed)
    return {
        "components": worst(np.linalg.eigh(covariance)[1][None, :, -FEATURES:], [1.0]),
        "pure": worst(pure_representation(covariance, prior, FEATURES).rule[None], [1.0]),
        "mixed": worst(mixed.rules, mixed.weights),
        "played, 16 rules": worst(played.rules, played.weights),
    }


def measure(seed):
    arms = random_spectra(seed)
    for name, value in digits(seed).items():
        arms.setdefault(name, {})["digits"] = value
    return arms


CLAIM = Claim(
    paper="021",
    says="few rules found by play come near the best random representation, and a prior on tasks beats components",
    measure=measure,
    expects=(
        below("random", "played, 16 rules", 1.1),
        lower("random", "played, 16 rules", "pure", by=0.05),
        lower("digits", "pure", "components", by=0.02),
        lower("digits", "mixed", "pure"),
        lower("digits", "played, 16 rules", "pure"),
    ),
    seeds=8,
)
