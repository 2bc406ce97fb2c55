"""What subject_neglect alone promises: naive loops, and that it lifts the subject that is looked at least."""

import numpy as np

from mini_repr.losses.maps.subject_neglect import subject_neglect


def loops(maps):
    return sum(1 - min(max(float(x) for x in one.ravel()) for one in image) for image in maps) / len(maps)


def test_only_the_worst_subject_of_an_image_has_a_gradient_at_its_best_place():
    maps = np.random.default_rng(0).random((3, 2, 2, 2))
    gradient = subject_neglect.value_and_grad(maps)[1]["maps"]
    for image, g in zip(maps, gradient, strict=True):
        worst = image.max(axis=(1, 2)).argmin()
        place = np.unravel_index(image[worst].argmax(), (2, 2))
        assert g[(worst, *place)] == -1 / 3 and np.count_nonzero(g) == 1


def test_following_it_lifts_every_subject():
    maps = np.random.default_rng(1).random((1, 3, 2, 2)) / 4
    for _ in range(300):
        maps -= 0.01 * subject_neglect.value_and_grad(maps)[1]["maps"]
    assert float(subject_neglect(maps).data) < 0.2 and (maps.max(axis=(2, 3)) > 0.8).all()
