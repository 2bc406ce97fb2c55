"""What contrastive_noise alone promises: naive loops, what acts at the start, and what the pull's strength is for."""

import math

import numpy as np

from mini_repr.losses.pairs.contrastive_noise import contrastive_noise


def loops(a, b, temperature, gamma, include_self):
    def cosine(x, y):
        return float(x @ y) / max(math.sqrt(float(x @ x) * float(y @ y)), 1e-300)

    count = len(a)
    gamma = 1 / (temperature * math.log(count - 1) + 1) if gamma is None else gamma
    total = 0.0
    for i in range(count):
        others = [j for j in range(count) if include_self or j != i]
        pushed = math.log(sum(math.exp(cosine(a[i], a[j]) / temperature) for j in others))
        total += pushed - cosine(a[i], b[i]) / (gamma * temperature)
    return total / count


def rows(seed=0):
    return np.random.default_rng(seed).standard_normal((2, 5, 4))


def test_where_nothing_has_moved_only_the_push_acts():
    a, _ = rows()
    gradients = [contrastive_noise.value_and_grad(a, a, gamma=gamma)[1]["a"] for gamma in (None, 1.0, 1e9)]
    for one in gradients[1:]:
        np.testing.assert_allclose(one, gradients[0], atol=1e-12)


def test_the_strongest_pull_is_the_strongest_push():
    """All rows alike: log((B - 1) e^(1/t)) of the others' push is what rows that have not moved are pulled with."""
    alike = np.ones((6, 3))
    value = float(contrastive_noise(alike, alike, include_self=False).data)
    np.testing.assert_allclose(value, 0, atol=1e-9)


def test_a_step_against_the_gradient_spreads_the_rows_and_the_pull_holds_them_back():
    a, b = rows(3)
    b = a + 0.01 * b

    def moved(gamma, steps=200):
        x = a.copy()
        for _ in range(steps):
            x -= 0.05 * contrastive_noise.value_and_grad(x, b, gamma=gamma)[1]["a"]
        u, v = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, b))
        return float((u @ u.T)[~np.eye(5, dtype=bool)].mean()), float((u * v).sum(axis=1).mean())

    (spread, kept), (free_spread, free_kept) = moved(None), moved(1e9)
    u = a / np.linalg.norm(a, axis=1, keepdims=True)
    assert free_spread < spread < float((u @ u.T)[~np.eye(5, dtype=bool)].mean())
    assert free_kept < kept
