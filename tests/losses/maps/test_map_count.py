"""What map_count alone promises: naive loops, and that a dynamic scale counts what is detected."""

import numpy as np

from mini_repr.losses.maps.map_count import map_count


def loops(density, goal, scale, error):
    total = 0.0
    for row, asked, s in zip(density, goal, scale, strict=True):
        off = sum(float(v) for v in row) / float(s) - float(asked)
        total += abs(off) if error == "absolute" else off * off
    return total / len(goal)


def test_a_dynamic_scale_counts_what_is_detected_and_still_has_a_gradient():
    density, detected = np.random.default_rng(0).random((2, 4)), np.array([3.0, 1.0])
    scale = density.sum(axis=1) / detected
    value, gradients = map_count.value_and_grad(density, np.array([1.0, 2.0]), scale)
    np.testing.assert_allclose(value, (2 + 1) / 2, rtol=1e-12)
    expected = np.array([1.0, -1.0]) * detected / density.sum(axis=1) / 2
    np.testing.assert_allclose(gradients["density"], np.repeat(expected[:, None], 4, axis=1), rtol=1e-12)
