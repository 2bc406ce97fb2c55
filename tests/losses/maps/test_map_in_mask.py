"""What map_in_mask alone promises: naive loops, and that a map is drawn into its mask."""

import numpy as np

from mini_repr.losses.maps.map_in_mask import map_in_mask


def loops(a, mask):
    total = 0.0
    for x, m in zip(a, mask, strict=True):
        high = max(float(v) for row in x for v in row)
        total += sum(
            (float(v) / high - w) ** 2 for row, other in zip(x, m, strict=True) for v, w in zip(row, other, strict=True)
        )
    return total / a.size


def test_steps_against_the_gradient_draw_a_map_into_its_mask():
    a = np.random.default_rng(0).random((1, 3, 3)) + 0.5
    mask = np.zeros((1, 3, 3))
    mask[0, 0, :2] = 1
    for _ in range(300):
        a = np.maximum(a - 0.3 * map_in_mask.value_and_grad(a, mask)[1]["a"], 1e-6)
    assert float(map_in_mask(a, mask).data) < 0.01
    assert a[0, 0, :2].min() > 5 * a[mask == 0].max()
