import numpy as np
import pytest

from mini_repr.masking import random_mask, visible_patches


def test_every_image_hides_the_same_number_uniformly():
    mask = random_mask(np.random.default_rng(0), 4000, 16, 0.75)
    assert (mask.sum(axis=1) == 12).all()
    np.testing.assert_allclose(mask.mean(axis=0), 0.75, atol=0.03)


def test_something_is_hidden_and_something_shown():
    rng = np.random.default_rng(0)
    assert (random_mask(rng, 5, 4, 0.01).sum(axis=1) == 1).all()
    assert (random_mask(rng, 5, 4, 0.99).sum(axis=1) == 3).all()


def test_visible_patches_are_the_rest_in_order():
    mask = np.array([[True, False, False, True], [False, True, False, True]])
    np.testing.assert_array_equal(visible_patches(mask), [[1, 2], [0, 2]])


@pytest.mark.parametrize("ratio", [0, 1, -0.1, 1.5])
def test_ratio_out_of_range(ratio):
    with pytest.raises(ValueError, match="random_mask: ratio"):
        random_mask(np.random.default_rng(0), 2, 4, ratio)


def test_one_patch_cannot_be_masked():
    with pytest.raises(ValueError, match="random_mask: patches: got 1"):
        random_mask(np.random.default_rng(0), 2, 1, 0.5)
