"""What attention_conflict alone promises: naive loops, and that following it parts the maps."""

import numpy as np

from mini_repr.losses.maps.attention_conflict import attention_conflict


def loops(maps):
    found = []
    for image in maps:
        for j in range(len(image)):
            for i in range(j):
                shared = sum(min(float(x), float(y)) for x, y in zip(image[i], image[j], strict=True))
                found.append(shared / (float(image[i].sum()) + float(image[j].sum())))
    return float(np.mean(found))


def test_following_it_parts_the_maps():
    maps = np.random.default_rng(0).random((1, 2, 4)) + 0.5
    before = float(attention_conflict(maps).data)
    for _ in range(100):
        maps = np.maximum(maps - 0.1 * attention_conflict.value_and_grad(maps)[1]["maps"], 1e-9)
    assert before > 0.35 and float(attention_conflict(maps).data) < 0.1
