"""Principal components: orthonormal, the best of their number, and nothing lost with all of them."""

import numpy as np
import pytest

from mini_repr.metrics import isotropy, mean_reciprocal_rank
from mini_repr.posthoc.pca import PCA


def rows(seed=0, count=60, width=6):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, width)) @ rng.standard_normal((width, width)) + 3


def test_components_are_orthonormal_and_the_best_of_their_number():
    z = rows()
    fitted = PCA(2).fit(z)
    np.testing.assert_allclose(fitted.components_ @ fitted.components_.T, np.eye(2), atol=1e-13)
    back = fitted.transform(z) @ fitted.components_ + fitted.mean_
    lost = ((z - back) ** 2).sum()
    assert 1 - fitted.shares_.sum() == pytest.approx(lost / ((z - z.mean(axis=0)) ** 2).sum(), rel=1e-10)
    rng = np.random.default_rng(1)
    for _ in range(20):
        other = np.linalg.qr(rng.standard_normal((6, 2)))[0]
        centred = z - z.mean(axis=0)
        assert ((centred - centred @ other @ other.T) ** 2).sum() >= lost
    assert (fitted.components_[np.arange(2), np.abs(fitted.components_).argmax(axis=1)] > 0).all()


def test_all_components_rotate_the_centred_rows():
    z, queries = rows(), rows(2)
    fitted = PCA(6).fit(z)
    np.testing.assert_allclose(fitted.shares_.sum(), 1)
    centred = [x - z.mean(axis=0) for x in (queries, z)]
    ranks = mean_reciprocal_rank(fitted.transform(queries), fitted.transform(z))
    assert ranks == pytest.approx(mean_reciprocal_rank(*centred), rel=1e-12)


@pytest.mark.parametrize(
    "settings, z, message",
    [
        ({"components": 7}, rows(), "pca: components: got 7, expected at most 6"),
        ({"components": 4}, rows(count=4), "expected at most 3 for rows of shape"),
        ({"components": 0}, rows(), "PCA: components: got 0"),
        ({"components": 1}, np.ones((5, 3)), "rows that are all equal"),
        ({"components": 1}, np.ones(5), "pca: z: got float64 of shape"),
    ],
)
def test_what_has_no_such_components_is_refused(settings, z, message):
    with pytest.raises(ValueError, match=message):
        PCA(**settings).fit(z)


def test_isotropy_of_one_direction_of_all_and_of_none():
    rng = np.random.default_rng(0)
    assert isotropy(np.outer(rng.standard_normal(50), np.ones(4))) == 0.25
    corners = np.concatenate([np.eye(4), -np.eye(4)])
    assert isotropy(corners) == 1 and isotropy(corners, share=0.5) == 0.5
    assert isotropy(np.ones((5, 4))) == 0
    z = rows()
    assert isotropy(z @ np.linalg.qr(rng.standard_normal((6, 6)))[0] + 7) == isotropy(z)
