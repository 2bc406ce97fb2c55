import numpy as np
import pytest

from mini_repr.masking import CLIP_MASKS, clip_mask

GRID = (4, 3, 5)


def masks(kind, ratio, grid=GRID, batch=400, seed=0):
    mask = clip_mask(np.random.default_rng(seed), batch, grid, ratio, kind)
    assert mask.dtype == bool and mask.shape == (batch, np.prod(grid)) and len(set(mask.sum(axis=1))) == 1
    assert mask.any(axis=1).all() and not mask.all(axis=1).any()
    return mask.reshape(batch, *grid)


@pytest.mark.parametrize("kind", CLIP_MASKS)
@pytest.mark.parametrize("ratio", [0.01, 0.5, 0.9, 0.99])
def test_every_clip_hides_as_many_tokens_and_every_token_is_hidden_at_times(kind, ratio):
    mask = masks(kind, ratio)
    if 0.5 <= ratio <= 0.9:
        np.testing.assert_allclose(mask.mean(axis=0), mask.mean(), atol=0.13)
    assert np.array_equal(mask, masks(kind, ratio)) and not np.array_equal(mask, masks(kind, ratio, seed=1))


def test_structure():
    space, time, block = (masks(kind, 0.5) for kind in CLIP_MASKS)
    assert (space == space[:, :1]).all() and space[0, 0].sum() == 8  # of 15 places
    assert (time.all(axis=(2, 3)) == time.any(axis=(2, 3))).all() and time[0].sum() == 30
    assert block[0].sum() == 30
    corners = list(np.ndindex(2, 2, 2))
    boxes = np.all([np.roll(block, -np.array(corner), axis=(1, 2, 3)) for corner in corners], axis=0)  # whole ones
    covered = np.any([np.roll(boxes, corner, axis=(1, 2, 3)) for corner in corners], axis=0)
    assert (block & ~covered).sum(axis=(1, 2, 3)).max() < 8, "what is in no whole box is the last, which is cut"
    assert boxes.any(axis=(1, 2, 3)).all()


def test_a_short_axis_takes_blocks_as_long_as_it_is():
    assert masks("block", 0.5, grid=(1, 4, 4))[0].sum() == 8
    flat = masks("block", 0.25, grid=(1, 2, 2), batch=50)
    assert flat.sum(axis=(1, 2, 3)).tolist() == [1] * 50


@pytest.mark.parametrize(
    "kind, grid, ratio, message",
    [
        ("tube", GRID, 0.5, "clip mask 'tube': no such clip mask"),
        ("time", (1, 4, 4), 0.5, "clip_mask: time: 1 to choose from"),
        ("space", (4, 1, 1), 0.5, "clip_mask: space: 1 to choose from"),
        ("block", GRID, 1.0, "ratio 1; expected 2 or more, between 0 and 1"),
    ],
)
def test_what_does_not_fit_is_refused(kind, grid, ratio, message):
    with pytest.raises(ValueError, match=message):
        clip_mask(np.random.default_rng(0), 2, grid, ratio, kind)
