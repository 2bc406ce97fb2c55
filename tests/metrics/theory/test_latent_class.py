"""The latent-class bound: an exact inequality for every f, and where it is an equality."""

import math

import numpy as np
import pytest

from mini_repr.metrics.theory import latent_class_bound
from mini_repr.metrics.theory.latent_class import LOSSES


def pool(seed, rows=30, classes=4, width=3, separation=0.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=rows)
    labels[:classes] = np.arange(classes)
    return rng.normal(size=(rows, width)) + separation * rng.normal(size=(classes, width))[labels], labels


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("separation", [0.0, 1.0, 5.0])
@pytest.mark.parametrize("seed", range(5))
def test_the_bounds_hold_for_every_pool(seed, separation, loss):
    found = latent_class_bound(*pool(seed, separation=separation), loss=loss)
    ratio = found.collision / (1 - found.collision)
    at_zero = float(LOSSES[loss](0.0))
    assert found.supervised <= found.bound
    assert found.bound == pytest.approx(found.different + ratio * (found.same - at_zero))
    assert 0 <= found.same - at_zero <= math.sqrt(2) * found.spread
    mixed = (1 - found.collision) * found.different + found.collision * found.same
    assert found.unsupervised == pytest.approx(mixed)


@pytest.mark.parametrize("loss, at_zero", [("logistic", math.log(2)), ("hinge", 1.0)])
def test_rows_of_zero_give_equality(loss, at_zero):
    labels = np.arange(12) % 3
    found = latent_class_bound(np.zeros((12, 2)), labels, loss=loss)
    assert found[:5] == pytest.approx([at_zero] * 5)
    assert found.spread == 0 and (found.two_way, found.collision) == pytest.approx((0.5, 1 / 3))


def test_classes_without_spread_give_equality_too():
    """Jensen's inequality loses nothing where a class is a point."""
    labels = np.repeat(np.arange(3), [2, 5, 9])
    found = latent_class_bound(np.random.default_rng(0).normal(size=(3, 4))[labels], labels)
    assert found.bound == pytest.approx(found.supervised) and found.spread == pytest.approx(0, abs=1e-6)


def test_a_class_in_two_halves_is_bounded_loosely():
    """The bound sees the spread of a class, which its mean does not."""
    labels, half = np.arange(40) % 2, np.arange(40) < 20
    found = latent_class_bound(np.stack([np.where(labels, 1.0, -1.0), np.where(half, 3.0, -3.0)], axis=1), labels)
    assert found.two_way == pytest.approx(1) and found.bound > 5 * found.supervised


def test_refuses_one_class():
    with pytest.raises(ValueError, match="latent_class_bound: labels: got one class, expected two or more"):
        latent_class_bound(np.ones((4, 2)), np.zeros(4, int))
