"""Pretext tasks on Gaussian parts and on tables: what is exact under conditional independence, and the bound beyond."""

import numpy as np
import pytest

from mini_repr.data.generated.two_parts import two_parts
from mini_repr.metrics.theory import cca, conditional_dependence
from mini_repr.metrics.theory.pretext import pretext_map


def independent_given_label():
    """Rows in which the parts are exactly independent given the label: all pairs of each class's values."""
    rng = np.random.default_rng(0)
    parts = [
        (np.repeat(rng.normal(size=(6, 4)), 7, axis=0), np.tile(rng.normal(size=(7, 5)), (6, 1))) for _ in range(3)
    ]
    x1, x2 = (np.concatenate(part) for part in zip(*parts, strict=True))
    return x1, x2, np.repeat(np.arange(3), 42)


def test_nothing_is_lost_under_conditional_independence():
    x1, x2, labels = independent_given_label()
    found = conditional_dependence(x1, x2, labels)
    assert found.dependence == pytest.approx(0, abs=1e-20)
    assert found.loss == pytest.approx(0, abs=1e-12) and found.predicted > 0.01
    # The prediction has one column less than there are classes.
    first = x1 - x1.mean(axis=0)
    deviations = np.linalg.svd(first @ pretext_map(x1, x2, 4), compute_uv=False)
    assert deviations[1] > 0.1 and deviations[2:] == pytest.approx([0, 0], abs=1e-9)


@pytest.mark.parametrize("dependence", [0.0, 0.3, 1.0, 3.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_loss_is_bounded_by_the_dependence(seed, dependence):
    x1, x2, labels = two_parts(400, dependence, np.random.default_rng(seed))
    # Few columns of x2: what ψ can hold is narrow, and something is lost.
    found = conditional_dependence(x1, x2[:, :4], labels)
    assert 0 < found.loss <= found.bound < np.inf


def test_dependence_grows_with_what_the_parts_share():
    found = [conditional_dependence(*two_parts(5000, c, np.random.default_rng(1))) for c in (0.0, 0.3, 1.0, 3.0)]
    dependence = [one.dependence for one in found]
    assert dependence == sorted(dependence) and dependence[0] < 0.3 < 80 < dependence[-1]


def test_parts_that_do_not_tell_of_each_other():
    x1, x2 = np.tile(np.eye(3), (4, 1)), np.repeat(np.eye(4), 3, axis=0)
    found = conditional_dependence(x1, x2, np.tile(np.arange(3), 4))
    assert found.predicted == pytest.approx(0, abs=1e-20) and found.bound == np.inf
    assert found.loss == pytest.approx(2 / 3) and found.direct_risk == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_correlations_do_not_change_under_invertible_maps(seed):
    rng = np.random.default_rng(seed)
    x1, x2, _ = two_parts(300, 1.0, rng, widths=(6, 5), shared=3)
    expected = cca(x1, x2, 5)
    moved = cca(x1 @ rng.normal(size=(6, 6)) + 3, x2 @ rng.normal(size=(5, 5)), 5)
    np.testing.assert_allclose(moved.correlations, expected.correlations, rtol=1e-10)
    assert (np.diff(expected.correlations) <= 0).all() and expected.correlations[0] < 1


def test_maps_are_white_and_minimise_the_loss_without_constraints():
    rng = np.random.default_rng(2)
    x1, x2, _ = two_parts(300, 1.0, rng, widths=(6, 5), shared=3)
    x1, x2, found = x1 - x1.mean(axis=0), x2 - x2.mean(axis=0), cca(x1, x2, 3)
    psi, eta = x1 @ found.first, x2 @ found.second
    np.testing.assert_allclose(psi.T @ psi / 300, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(psi.T @ eta / 300, np.diag(found.correlations), atol=1e-12)

    def loss(f, g):
        p, q = x1 @ f, x2 @ g
        return -2 * (p * q).mean(axis=0).sum() + np.trace(p.T @ p @ q.T @ q) / 300**2

    f, g = (m * np.sqrt(found.correlations) for m in (found.first, found.second))
    assert loss(f, g) == pytest.approx(-(found.correlations**2).sum())
    for scale in (1e-3, 0.1, 1.0):
        assert loss(f + scale * rng.normal(size=f.shape), g + scale * rng.normal(size=g.shape)) > loss(f, g)


def test_constant_columns_are_no_directions_and_a_width_beyond_them_is_refused():
    x1, x2, _ = two_parts(50, 0.0, np.random.default_rng(3), widths=(4, 3), shared=2)
    padded = np.concatenate([x1, np.ones((50, 2)), x1[:, :1]], axis=1)
    np.testing.assert_allclose(cca(padded, x2, 3).correlations, cca(x1, x2, 3).correlations, rtol=1e-10)
    with pytest.raises(ValueError, match="cca: width: got 4, expected at most 3, as many as"):
        cca(padded, x2, 4)
