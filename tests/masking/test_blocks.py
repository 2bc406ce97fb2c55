import numpy as np
import pytest

from mini_repr.masking import block_mask


@pytest.mark.parametrize("grid, ratio", [((4, 4), 0.65), ((4, 4), 0.25), ((7, 7), 0.5), ((3, 9), 0.7), ((1, 5), 0.6)])
@pytest.mark.parametrize("inverse", [False, True])
def test_one_rectangle_of_the_torus_of_the_exact_count(grid, ratio, inverse):
    mask = block_mask(np.random.default_rng(0), 200, grid, ratio, inverse)
    patches = grid[0] * grid[1]
    assert (mask.sum(axis=1) == round(ratio * patches)).all()
    for one in (~mask if inverse else mask).reshape(-1, *grid):
        rolls = (np.roll(one, (i, j), axis=(0, 1)) for i in range(grid[0]) for j in range(grid[1]))
        # Somewhere on the torus it is a rectangle from the corner on, whose last patches were given back.
        assert any(_cut_rectangle(rolled) for rolled in rolls)


def _cut_rectangle(mask):
    rows, columns = mask.any(axis=1).sum(), mask.any(axis=0).sum()
    full = np.zeros_like(mask)
    full[:rows, :columns] = True
    full.reshape(-1)[np.flatnonzero(full)[mask.sum() :]] = False
    return np.array_equal(mask, full)


def test_every_patch_is_hidden_equally_often():
    mask = block_mask(np.random.default_rng(1), 4000, (4, 4), 0.65, inverse=True)
    np.testing.assert_allclose(mask.mean(axis=0), 10 / 16, atol=0.03)


@pytest.mark.parametrize("grid, ratio", [((1, 1), 0.5), ((4, 4), 0.0), ((4, 4), 1.0)])
def test_what_does_not_fit_is_refused(grid, ratio):
    with pytest.raises(ValueError, match=r"^block_mask: "):
        block_mask(np.random.default_rng(0), 2, grid, ratio)
