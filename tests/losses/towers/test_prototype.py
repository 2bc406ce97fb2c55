"""What prototype alone promises: naive loops, and that the class's own word is best where only the class is asked."""

import math

import numpy as np
import pytest

from mini_repr.losses.towers.prototype import prototype


def loops(text, image, object, name, among):
    def unit(x):
        size = math.sqrt(sum(float(v) ** 2 for v in x))
        return [float(v) / size if size else 0.0 for v in x]

    total = 0.0
    for t, *known in zip(text, image, object, name, strict=True):
        chosen = {"all": known, "class": known[2:], "images": known[:2]}[among]
        h = unit([sum(values) for values in zip(*map(unit, chosen), strict=True)])
        total += 1 - sum(a * b for a, b in zip(unit(t), h, strict=True))
    return total / len(text)


def test_the_class_s_own_text_costs_nothing_and_has_no_gradient_where_only_the_class_counts():
    x, o, k = np.random.default_rng(0).standard_normal((3, 2, 5))
    value, gradients = prototype.value_and_grad(k, x, o, k, among="class")
    assert value == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(gradients["text"], 0, atol=1e-12)
    assert prototype.value_and_grad(k, x, o, k)[0] > 0.01
