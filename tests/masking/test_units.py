import numpy as np
import pytest

from mini_repr.masking import distance_to_visible, unit_mask


def test_units_are_hidden_whole_and_equally_often():
    mask = unit_mask(np.random.default_rng(0), 3000, (4, 6), 0.5, 2)
    assert (mask.sum(axis=1) == 12).all()
    units = mask.reshape(3000, 2, 2, 3, 2).transpose(0, 1, 3, 2, 4).reshape(3000, 6, 4)
    assert (units.all(axis=2) == units.any(axis=2)).all()
    np.testing.assert_allclose(mask.mean(axis=0), 0.5, atol=0.04)
    assert (unit_mask(np.random.default_rng(0), 5, (4, 4), 0.3, 2).sum(axis=1) == 8).all(), "rounded up"
    assert (unit_mask(np.random.default_rng(0), 5, (4, 4), 0.99, 2).sum(axis=1) == 12).all(), "something is shown"


def test_larger_units_and_ratios_hide_patches_farther_from_what_is_seen():
    def distance(ratio, unit):
        return distance_to_visible(unit_mask(np.random.default_rng(0), 500, (8, 8), ratio, unit), (8, 8))

    assert distance(0.5, 1) < distance(0.5, 2) < distance(0.5, 4)
    assert distance(0.25, 2) < distance(0.5, 2) < distance(0.75, 2)
    one = np.zeros((1, 9), dtype=bool)
    one[0, [3, 4]] = True  # the middle and what is left of it, both beside a visible patch
    assert distance_to_visible(one, (3, 3)) == 1


@pytest.mark.parametrize("grid, ratio, unit", [((4, 4), 0.5, 3), ((4, 4), 0.5, 4), ((4, 4), 0.5, 0), ((4, 4), 1.0, 2)])
def test_what_does_not_fit_is_refused(grid, ratio, unit):
    with pytest.raises(ValueError, match=r"^unit_mask: unit"):
        unit_mask(np.random.default_rng(0), 2, grid, ratio, unit)
