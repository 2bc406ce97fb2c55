"""What spatial_relation alone promises: naive loops, opposites, and what a shift of both does."""

import math

import numpy as np
import pytest

from mini_repr.losses.maps.spatial_relation import spatial_relation


def loops(a, b, relation):
    total = 0.0
    for pair in zip(a, b, strict=True):
        middles = []
        for x in pair:
            mass = moment = 0.0
            for i in range(len(x)):
                for j in range(len(x[i])):
                    mass += x[i][j]
                    moment += x[i][j] * (j if "of" in relation else i)
            middles.append(moment / mass)
        apart = middles[0] - middles[1]
        total += 1 / (1 + math.exp(-apart if relation in ("left of", "above") else apart))
    return total / len(a)


def maps(seed=0):
    return np.random.default_rng(seed).random((2, 3, 4, 5))


@pytest.mark.parametrize("one, other", [("left of", "right of"), ("above", "below")])
def test_opposites_add_up_to_1_and_swap_their_maps(one, other):
    a, b = maps()
    value = float(spatial_relation(a, b, relation=one).data)
    np.testing.assert_allclose(value + spatial_relation(a, b, relation=other).data, 1, rtol=1e-14)
    np.testing.assert_allclose(spatial_relation(b, a, relation=other).data, value, rtol=1e-14)


def test_only_where_they_are_to_each_other_counts():
    a, b = maps()
    a[..., -1] = b[..., -1] = 1e-300
    np.testing.assert_allclose(
        spatial_relation(np.roll(a, 1, axis=2), np.roll(b, 1, axis=2)).data, spatial_relation(a, b).data, rtol=1e-12
    )


def test_equal_maps_are_pulled_apart_by_as_much_to_either_side():
    a, _ = maps()
    value, gradients = spatial_relation.value_and_grad(a, a)
    assert value == 0.5
    np.testing.assert_allclose(gradients["a"], -gradients["b"], rtol=1e-14)
