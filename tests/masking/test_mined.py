import numpy as np
import pytest

from mini_repr.masking import mined_mask


def test_the_hardest_are_hidden_and_the_rest_is_random():
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((500, 16))
    hardest = np.argsort(np.argsort(-scores, axis=1), axis=1)
    for share in (0.0, 0.4, 1.0):
        mask = mined_mask(rng, scores, 0.75, share)
        assert (mask.sum(axis=1) == 12).all()
        assert mask[hardest < int(12 * share)].all()
    assert np.array_equal(mask, hardest < 12), "all of them by score"
    others = mined_mask(rng, np.tile(np.arange(16.0), (4000, 1)), 0.5, 0.5)
    assert others[:, 12:].all(), "the four with the highest scores"
    np.testing.assert_allclose(others[:, :12].mean(axis=0), 4 / 12, atol=0.03)
    np.testing.assert_allclose(mined_mask(rng, scores[:, :16] * 0, 0.5, 0.0).mean(axis=0), 0.5, atol=0.1)


@pytest.mark.parametrize(
    "patches, ratio, share", [(1, 0.5, 0), (4, 0.0, 0), (4, 1.0, 0), (4, 0.5, -0.1), (4, 0.5, 1.1)]
)
def test_what_does_not_fit_is_refused(patches, ratio, share):
    with pytest.raises(ValueError, match=r"^mined_mask: "):
        mined_mask(np.random.default_rng(0), np.zeros((2, patches)), ratio, share)
