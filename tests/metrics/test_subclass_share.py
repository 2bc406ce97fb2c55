"""Class collapse by hand."""

import numpy as np
import pytest

from mini_repr.metrics import subclass_share

CLASSES, SUBCLASSES = np.repeat([0, 1], 4), np.tile([0, 0, 1, 1], 2)


def test_collapse_is_0_and_classes_that_do_not_stand_out_are_1():
    rows = np.stack([2.0 * CLASSES, 3.0 * SUBCLASSES], axis=1)
    assert subclass_share(rows * [1, 0], CLASSES, SUBCLASSES) == 0
    assert subclass_share(rows * [0, 1], CLASSES, SUBCLASSES) == pytest.approx(1)
    # Half of the distance each way: 1² against 1.5² within.
    assert subclass_share(rows, CLASSES, SUBCLASSES) == pytest.approx(1.5**2 / (1 + 1.5**2))


def test_noise_within_a_subclass_does_not_count():
    rows = np.tile([[1.0], [-1.0]], (4, 1))
    assert subclass_share(rows, CLASSES, SUBCLASSES) == 0


def test_a_subclass_number_in_two_classes_is_two_subclasses():
    rows = np.random.default_rng(0).normal(size=(8, 3))
    assert subclass_share(rows, CLASSES, SUBCLASSES) == pytest.approx(
        subclass_share(rows, CLASSES, SUBCLASSES + 2 * CLASSES)
    )
