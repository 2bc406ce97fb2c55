import numpy as np
import pytest

from mini_repr.masking import spaced_patches
from mini_repr.nn import patchify


def test_without_a_gap_nothing_changes():
    images = np.random.default_rng(0).random((2, 3, 8, 8), dtype=np.float32)
    assert spaced_patches(np.random.default_rng(1), images, 4, 0) is images


def test_patches_come_from_their_cells_and_do_not_touch():
    """On ramps whose values are the pixels' own coordinates, a patch tells where it was taken."""
    rows, columns = np.indices((16, 16)) + 0.5
    images = np.stack([rows, columns])[None].repeat(200, axis=0)
    spaced = patchify(spaced_patches(np.random.default_rng(2), images, 4, 2), 4).reshape(200, 4, 4, 4, 4, 2)
    assert spaced.dtype == images.dtype
    enlarged = spaced * 24 / 16  # back to pixels of the enlarged image, from its edge
    tops, lefts = enlarged[..., 0, 0, 0] - 0.5, enlarged[..., 0, 0, 1] - 0.5
    inside = slice(1, 3)  # at the image's edges the interpolation stays at the last pixel
    for starts, axis in ((tops, 1), (lefts, 2)):
        offsets = np.take(starts, [1, 2], axis=axis) - np.expand_dims(6 * np.array([1, 2]), (0, 3 - axis))[..., :]
        offsets = offsets[:, inside] if axis == 2 else offsets[:, :, inside]
        np.testing.assert_allclose(offsets, offsets.round(), atol=1e-9)
        assert set(np.unique(offsets.round())) == {0, 1}
    gaps = np.diff(tops[:, inside], axis=1) - 4
    assert gaps.min() > 0.99, "a pixel or more between neighbours"
    np.testing.assert_allclose(np.diff(enlarged[:, 1, 1, :, 0, 0], axis=-1), 1)


@pytest.mark.parametrize("patch, gap", [(3, 1), (0, 1), (4, -1)])
def test_what_does_not_fit_is_refused(patch, gap):
    with pytest.raises(ValueError, match=r"^spaced_patches: "):
        spaced_patches(np.random.default_rng(0), np.zeros((2, 1, 8, 8), np.float32), patch, gap)
