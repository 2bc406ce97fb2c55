"""Approximate sufficiency on joints of views: three equal forms, data processing, and the bound of every task."""

import numpy as np
import pytest

from mini_repr.autograd import gradcheck
from mini_repr.data.generated.discrete_joint import discrete_joint
from mini_repr.metrics.theory import excess_risk, sufficiency
from mini_repr.metrics.theory.divergences import GENERATORS, information, ratios
from mini_repr.metrics.theory.sufficiency import offsets, risk_of

JOINT = discrete_joint(30, 60, 3, np.random.default_rng(0)).joint


@pytest.mark.parametrize("kind", GENERATORS)
def test_a_generator_its_derivative_and_its_conjugate_belong_together(kind):
    f, r = GENERATORS[kind], np.linspace(0.1, 4, 40)
    s, h = f.derivative(r), 1e-6
    assert f.value(1.0) == 0
    np.testing.assert_allclose((f.value(r + h) - f.value(r - h)) / (2 * h), s, rtol=1e-7, atol=1e-8)
    slope = (f.conjugate(s + h) - f.conjugate(s - h)) / (2 * h)
    np.testing.assert_allclose(slope, f.conjugate_derivative(s), rtol=1e-6)
    np.testing.assert_allclose(f.conjugate_derivative(s), r)
    np.testing.assert_allclose(f.conjugate(s), r * s - f.value(r), atol=1e-12)
    assert (r[:, None] * s - f.value(r)[:, None] <= f.conjugate(s) + 1e-12).all()


@pytest.mark.parametrize("kind", GENERATORS)
@pytest.mark.parametrize("clusters", [2, 8, 32])
def test_three_forms_are_equal(kind, clusters):
    labels = np.random.default_rng(clusters).integers(clusters, size=60)
    found = sufficiency(JOINT, labels, kind)
    assert found.of_information > 0.01
    assert found.of_information == pytest.approx(found.variational, abs=1e-9)
    assert found.of_information == pytest.approx(found.bregman, abs=1e-9)


@pytest.mark.parametrize("kind", GENERATORS)
def test_nothing_is_lost_where_rows_of_r_are_equal(kind):
    """Views 0 to 59 copied, unequally often: the copies need not be told apart."""
    joint = np.concatenate([0.3 * JOINT, 0.7 * JOINT])
    found = sufficiency(joint, np.tile(np.arange(60), 2), kind)
    assert found[2:] == pytest.approx((0, 0, 0), abs=1e-12) and found.whole == pytest.approx(information(JOINT, kind))


@pytest.mark.parametrize("kind", GENERATORS)
def test_merging_clusters_never_lowers_the_loss(kind):
    rng = np.random.default_rng(1)
    labels = np.arange(60)
    losses = [sufficiency(JOINT, labels, kind).of_information]
    assert losses[0] == pytest.approx(0, abs=1e-12)
    while len(np.unique(labels)) > 1:
        one, other = rng.choice(np.unique(labels), 2, replace=False)
        labels = np.where(labels == one, other, labels)
        losses.append(sufficiency(JOINT, labels, kind).of_information)
    assert (np.diff(losses) >= -1e-12).all()
    assert losses[-1] == pytest.approx(information(JOINT, kind))


@pytest.mark.parametrize("kind", GENERATORS)
def test_no_score_has_a_lower_risk_than_the_ratio(kind):
    r, rng = ratios(JOINT)[0], np.random.default_rng(2)
    best = GENERATORS[kind].derivative(r)
    assert excess_risk(JOINT, best, kind).excess == pytest.approx(0, abs=1e-12)
    for scale in (0.01, 0.3, 3.0):
        found = excess_risk(JOINT, best + scale * rng.normal(size=r.shape), kind)
        assert found.excess > 0 and found.risk == pytest.approx(found.least + found.excess)
    # A constant of each x changes nothing.
    moved = excess_risk(JOINT, best + rng.normal(size=(60, 1)), kind)
    assert moved.excess == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("kind", GENERATORS)
@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0])
def test_the_bound_holds_and_covers_every_task(kind, scale):
    rng = np.random.default_rng(3)
    r, p, q = ratios(JOINT)
    for _ in range(5):
        scores = GENERATORS[kind].derivative(r) + scale * rng.normal(size=r.shape)
        found = excess_risk(JOINT, scores, kind)
        assert 0 < found.downstream <= found.bound
        r_s = GENERATORS[kind].conjugate_derivative(scores - offsets(scores, q, kind)[:, None])
        np.testing.assert_allclose(r_s @ q, 1, rtol=1e-12)
        for u in (rng.uniform(-1, 1, 60), np.sign(rng.normal(size=60))):
            assert p @ (((r - r_s) * q) @ u) ** 2 <= found.downstream + 1e-15


@pytest.mark.parametrize("kind", GENERATORS)
def test_the_gradient_of_the_risk_is_the_law_minus_the_joint(kind):
    """dR/dS = p q r_S - P: c is where its own derivative is 0."""
    rng = np.random.default_rng(4)
    joint = rng.uniform(0.5, 1, (6, 5))
    joint /= joint.sum()
    scores, (_, p, q) = 0.3 * rng.normal(size=(6, 5)), ratios(joint)
    law = np.outer(p, q) * GENERATORS[kind].conjugate_derivative(scores - offsets(scores, q, kind)[:, None])
    gradcheck(lambda s: risk_of(joint, s, kind), [scores], [law - joint], rng, step=1e-5, tolerance=1e-6)


def test_kl_is_infonce_with_infinitely_many_negatives():
    rng = np.random.default_rng(5)
    scores = rng.normal(size=JOINT.shape)
    _, p, q = ratios(JOINT)
    with_negatives = p @ np.log(np.exp(scores) @ q) - (JOINT * scores).sum()
    assert excess_risk(JOINT, scores, "kl").risk == pytest.approx(with_negatives)
