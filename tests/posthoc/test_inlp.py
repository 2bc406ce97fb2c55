"""Iterative null-space projection: an exact projection, an attribute that goes, and what is left."""

import numpy as np
import pytest

from mini_repr.metrics import linear_probe
from mini_repr.posthoc.inlp import INLP
from mini_repr.posthoc.projections import nullspace_projection


def rows_with_attribute(seed, count=600, width=12, directions=2):
    """Rows in which an attribute shows along several directions, with random strength, and a task in others."""
    rng = np.random.default_rng(seed)
    attribute, task = rng.integers(2, size=(2, count))
    z = rng.normal(size=(count, width))
    for k in range(directions):
        z[:, k] += 4 * (attribute - 0.5) * rng.exponential(size=count)
    z[:, directions] += 4 * (task - 0.5)
    q = np.linalg.qr(rng.normal(size=(width, width)))[0]
    return z @ q, attribute, task


def probe(z, labels):
    return linear_probe(z[::2], labels[::2], z[1::2], labels[1::2])


@pytest.mark.parametrize("seed", range(3))
def test_the_attribute_goes_and_the_task_stays(seed):
    z, attribute, task = rows_with_attribute(seed)
    found = INLP(8).fit(z, attribute)
    clean = found.transform(z)
    assert probe(z, attribute) > 0.85 and probe(clean, attribute) < 0.56
    assert probe(clean, task) > 0.93
    assert found.accuracies_[0] > 0.85 and found.accuracies_.min() < 0.6
    # Random directions remove nothing of it.
    random = nullspace_projection([np.random.default_rng(9).normal(size=(len(found.directions_), 12))], 12)
    assert probe(z @ random, attribute) > 0.8


def test_it_is_an_orthogonal_projection_without_the_directions():
    z, attribute, _ = rows_with_attribute(0)
    found = INLP(3).fit(z, attribute)
    p, b = found.projection_, found.directions_
    np.testing.assert_allclose(p @ p, p, atol=1e-14)
    np.testing.assert_array_equal(p, p.T)
    np.testing.assert_allclose(b @ b.T, np.eye(len(b)), atol=1e-14)
    assert np.linalg.matrix_rank(p) == 12 - len(b) == 9
    np.testing.assert_allclose(p @ b.T, 0, atol=1e-14)
    np.testing.assert_allclose(found.transform(found.transform(z)), found.transform(z), atol=1e-12)


def test_an_attribute_of_three_values_loses_two_directions_a_round():
    rng = np.random.default_rng(1)
    attribute = np.arange(300) % 3
    z = rng.normal(size=(300, 6)) + 3 * np.eye(3, 6)[attribute]
    assert INLP(1).fit(z, attribute).directions_.shape == (2, 6)


def test_no_attribute_no_projection():
    rng = np.random.default_rng(2)
    found = INLP(8, tolerance=0.2).fit(rng.normal(size=(400, 5)), rng.integers(2, size=400))
    np.testing.assert_array_equal(found.projection_, np.eye(5))
    assert len(found.accuracies_) == 1 and found.directions_.shape == (0, 5)


def test_with_by_only_what_tells_within_classes_goes():
    """A direction that tells the task alone, correlated with the attribute: removed without by, kept with it."""
    rng = np.random.default_rng(3)
    task = rng.integers(2, size=2000)
    attribute = np.where(rng.random(2000) < 0.9, task, 1 - task)
    z = rng.normal(size=(2000, 4)) * 0.5
    z[:, 0] += 2.0 * task
    z[:, 1] += 2.0 * attribute
    plain = INLP(2).fit_transform(z, attribute)
    within = INLP(2).fit_transform(z, attribute, task)
    assert probe(plain, task) < 0.9 < 0.97 < probe(within, task)
    inside = task == 0
    assert probe(within[inside], attribute[inside]) < 0.93


def test_intersection_of_null_spaces_that_are_not_orthogonal():
    rng = np.random.default_rng(4)
    rows = [rng.normal(size=(1, 5)), rng.normal(size=(2, 5)), np.zeros((1, 5))]
    p = nullspace_projection(rows, 5)
    np.testing.assert_allclose(np.linalg.eigvalsh(p), [0, 0, 0, 1, 1], atol=1e-14)
    np.testing.assert_allclose(np.concatenate(rows) @ p, 0, atol=1e-14)
    np.testing.assert_array_equal(nullspace_projection([], 3), np.eye(3))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda z, y: INLP(0).fit(z, y), "inlp|INLP: rounds: got 0"),
        (lambda z, y: INLP(l2=-1).fit(z, y), "l2: got -1"),
        (lambda z, y: INLP().fit(z[:, 0], y), r"inlp: z: got float64 of shape \(20,\), expected finite"),
        (lambda z, y: INLP().fit(z * np.nan, y), "inlp: z: got NaN or infinity"),
        (lambda z, y: INLP().fit(z, y[:-1]), r"inlp: attribute: got int64 of shape \(19,\), expected whole numbers"),
        (lambda z, y: INLP().fit(z, y * 0), "inlp: attribute: got one class, expected 2 or more"),
        (lambda z, y: INLP().fit(z, y, y), "inlp: attribute: got one value in class 0 of by"),
        (lambda z, y: INLP().transform(z), "inlp: got rows before fit"),
        (lambda z, y: INLP(1).fit(z, y).transform(z[:, :2]), r"expected finite float32 or float64 rows \(N, 3\)"),
    ],
)
def test_mistakes_are_named(make, message):
    rng = np.random.default_rng(5)
    with pytest.raises(ValueError, match=message):
        make(rng.normal(size=(20, 3)), np.arange(20) % 2)
