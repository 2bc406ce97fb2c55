"""What prompt_orthogonality alone promises: naive loops, and that steps against it turn prompts apart."""

import math

import numpy as np

from mini_repr.losses.towers.prompt_orthogonality import prompt_orthogonality


def loops(z):
    total, pairs = 0.0, 0
    for i in range(len(z)):
        for j in range(len(z)):
            if i != j:
                size = math.sqrt(float(z[i] @ z[i]) * float(z[j] @ z[j]))
                total += abs(float(z[i] @ z[j])) / size if size else 0.0
                pairs += 1
    return total / max(pairs, 1)


def test_steps_against_the_gradient_make_prompts_orthogonal():
    z = np.ones((3, 4)) + 0.1 * np.random.default_rng(0).standard_normal((3, 4))
    for _ in range(3000):
        z -= 0.01 * prompt_orthogonality.value_and_grad(z)[1]["z"]
    assert float(prompt_orthogonality(z).data) < 0.02
