"""What entity_missing alone promises: naive loops, and when it says nothing."""

import numpy as np

from mini_repr.losses.maps.entity_missing import entity_missing


def loops(maps, sharpness, margin):
    total = 0.0
    for image in maps:
        count = len(image)
        if count < 2:
            continue
        q = [sharpness * e / e.sum() for e in image]
        for i in range(count):
            leads = [max(0.0, max(float(x) for x in (q[i] - q[j]).ravel())) for j in range(count) if j != i]
            total += max(0.0, margin - sum(leads) / (count - 1))
    return total / len(maps)


def test_a_small_lead_is_enough():
    """1/1000 of its mass somewhere, in the official code: that is nearly always 0 for two words."""
    even = np.ones((1, 2, 2, 2))
    assert float(entity_missing(even, sharpness=1000.0).data) == 2
    even[0, 0, 0, 0] += 0.05
    assert float(entity_missing(even, sharpness=1000.0).data) == 0
    assert float(entity_missing(even).data) > 1.8


def test_one_thing_alone_misses_nothing():
    value, gradients = entity_missing.value_and_grad(np.random.default_rng(0).random((2, 1, 3, 3)))
    assert value == 0 and not gradients["maps"].any()


def test_the_gradient_leads_a_hidden_word_to_a_place_of_its_own():
    maps = np.random.default_rng(0).random((1, 3, 3, 3))
    maps[0, 2] = maps[0, :2].min(axis=0)
    before = float(entity_missing(maps, sharpness=10.0).data)
    for _ in range(50):
        maps = np.maximum(maps - 0.01 * entity_missing.value_and_grad(maps, sharpness=10.0)[1]["maps"], 1e-9)
    assert float(entity_missing(maps, sharpness=10.0).data) < 0.5 * before
