"""What edit_direction alone promises: naive loops, and that an unchanged image has no gradient."""

import math

import numpy as np

from mini_repr.losses.towers.edit_direction import edit_direction


def loops(image, image_before, text, text_before):
    total = 0.0
    for rows in zip(image, image_before, text, text_before, strict=True):
        x, x0, t, t0 = ([float(v) for v in row] for row in rows)
        e, f = [a - b for a, b in zip(x, x0, strict=True)], [a - b for a, b in zip(t, t0, strict=True)]
        size = math.sqrt(sum(v * v for v in e) * sum(v * v for v in f))
        total += 1 - (sum(a * b for a, b in zip(e, f, strict=True)) / size if size else 0.0)
    return total / len(image)


def test_an_unchanged_image_has_no_gradient():
    x, t, t0 = np.random.default_rng(0).standard_normal((3, 2, 4))
    value, gradients = edit_direction.value_and_grad(x, x, t, t0)
    assert value == 1 and not gradients["image"].any()
