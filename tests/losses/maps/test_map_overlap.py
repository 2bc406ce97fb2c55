"""What map_overlap alone promises: naive loops, and the official code's lines."""

import numpy as np

from mini_repr.losses.maps.map_overlap import map_overlap


def loops(a, b, goal, union):
    total = 0.0
    for x, y in zip(a, b, strict=True):
        n, m = ([[(float(v) - z.min()) / ((z.max() - z.min()) or 1) for v in row] for row in z] for z in (x, y))
        shared = below = 0.0
        for row, other in zip(n, m, strict=True):
            for p, q in zip(row, other, strict=True):
                shared += p * q
                below += p + q - (p * q if union == "iou" else 0)
        total += shared / (below or 1)
    return total / len(a) if goal == "apart" else 1 - total / len(a)


def test_a_map_may_be_moved_and_stretched():
    a, b = np.random.default_rng(0).random((2, 3, 4, 4))
    np.testing.assert_allclose(map_overlap(3 * a + 2, b).data, map_overlap(a, b).data, rtol=1e-12)


def test_flat_maps_overlap_by_nothing_and_have_no_gradient():
    b = np.random.default_rng(0).random((2, 4, 4))
    value, gradients = map_overlap.value_and_grad(np.ones((2, 4, 4)), b)
    assert value == 0 and not gradients["a"].any()


def test_a_step_against_the_gradient_brings_an_attribute_to_its_noun():
    a, b = np.random.default_rng(1).random((2, 1, 4, 4))
    before = float(map_overlap(a, b, goal="together").data)
    _, gradients = map_overlap.value_and_grad(a, b, goal="together")
    assert float(map_overlap(np.maximum(a - 0.1 * gradients["a"], 1e-9), b, goal="together").data) < before
