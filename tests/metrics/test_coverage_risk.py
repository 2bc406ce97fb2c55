import itertools

import numpy as np
import pytest
from device_double import DOUBLE

from mini_repr.metrics.coverage_risk import area_under_coverage_risk, coverage_at_risk, coverage_risk


def test_curve_by_hand():
    scores = np.array([0.9, 0.1, 0.5, 0.7])
    correct = np.array([True, False, False, True])
    coverage, risk = coverage_risk(scores, correct)
    np.testing.assert_array_equal(coverage, [0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(risk, [0, 0, 1 / 3, 1 / 2])
    assert area_under_coverage_risk(scores, correct) == pytest.approx((1 / 3 + 1 / 2) / 4)
    assert coverage_at_risk(scores, correct, 0.0) == 0.5
    assert coverage_at_risk(scores, correct, 0.4) == 0.75
    assert coverage_at_risk(-scores, correct, 0.1) == 0.0


def test_ties_give_the_mean_over_their_orders():
    scores = np.array([2.0, 1.0, 1.0, 1.0, 0.0])
    correct = np.array([False, True, False, True, True])
    curves = []
    for middle in itertools.permutations([1, 2, 3]):
        wrong = np.cumsum(~correct[[0, *middle, 4]])
        curves.append(wrong / np.arange(1, 6))
    np.testing.assert_allclose(coverage_risk(scores, correct)[1], np.mean(curves, axis=0), rtol=1e-14)


def test_random_scores_give_the_error_rate_and_a_perfect_order_its_limit():
    rng = np.random.default_rng(0)
    correct = rng.random(20000) > 0.2
    rate = 1 - correct.mean()
    assert area_under_coverage_risk(rng.random(20000), correct) == pytest.approx(rate, abs=0.02)
    assert area_under_coverage_risk(np.zeros(20000), correct) == pytest.approx(rate, rel=1e-12)
    perfect = rate - (1 - rate) * np.log(1 / (1 - rate))
    assert area_under_coverage_risk(correct.astype(float), correct) == pytest.approx(perfect, abs=1e-3)


def test_runs_on_the_device_double():
    rng = np.random.default_rng(1)
    scores, correct = rng.integers(0, 5, 30).astype(float), rng.random(30) < 0.7
    _, risk = coverage_risk(DOUBLE.asarray(scores), DOUBLE.asarray(correct))
    np.testing.assert_allclose(DOUBLE.to_numpy(risk), coverage_risk(scores, correct)[1])


@pytest.mark.parametrize(
    "scores, correct, message",
    [
        (np.ones((2, 2)), np.ones(2, bool), r"scores: got shape \(2, 2\), expected an array of shape \(N\)"),
        (np.ones(0), np.ones(0, bool), r"scores: got shape \(0,\), which is empty"),
        (np.ones(3), np.ones(2, bool), r"correct: got shape \(2,\), expected shape \(N=3 as in scores\)"),
        (np.ones(3), np.ones(3), "correct: got dtype float64, expected booleans"),
        (np.array([1.0, np.nan]), np.ones(2, bool), "scores: got a NaN"),
    ],
)
@pytest.mark.parametrize("metric", [coverage_risk, area_under_coverage_risk])
def test_bad_arguments_are_named(metric, scores, correct, message):
    with pytest.raises(ValueError, match=f"^{metric.__name__}: {message}"):
        metric(scores, correct)
