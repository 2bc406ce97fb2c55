"""Relevance of source tasks by two norms, the rows it allots, and learning with it."""

import numpy as np
import pytest

from mini_repr.data.generated.linear_tasks import linear_tasks, task_rows
from mini_repr.pages.samples import sample_inputs, sizes_of, wrong_values
from mini_repr.posthoc.active_multitask import (
    allocate,
    fit_shared,
    lasso,
    learn_actively,
    relevance,
)


@pytest.mark.parametrize("norm", ["1", "2"])
@pytest.mark.parametrize("seed", range(3))
def test_equals_its_definition(norm, seed):
    arrays = sample_inputs(relevance, np.random.default_rng(seed))
    found, expected = relevance(**arrays, norm=norm), relevance.definition(**arrays, norm=norm)
    np.testing.assert_allclose(found.relevance, expected.relevance, atol=1e-9)
    assert found.norm == pytest.approx(expected.norm)
    np.testing.assert_allclose(arrays["weights"] @ found.relevance, arrays["target"], atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_norm_1_is_sparse_and_the_shorter_in_its_own_norm(seed):
    world = linear_tasks(30, 30, 5, 3, np.random.default_rng(seed))
    one, two = (relevance(world.weights, world.target, norm=norm) for norm in ("1", "2"))
    assert one.norm <= np.abs(two.relevance).sum() and two.norm <= np.linalg.norm(one.relevance)
    assert (np.abs(one.relevance) > 1e-9).sum() <= 5 < (np.abs(two.relevance) > 1e-9).sum()
    assert one.norm <= np.abs(world.relevance).sum() + 1e-9
    copied = relevance(np.hstack([world.weights, world.weights[:, :1]]), world.target)
    assert copied.norm == pytest.approx(one.norm)


def test_the_lasso_meets_its_conditions():
    rng = np.random.default_rng(0)
    weights, target = rng.normal(size=(5, 20)), rng.normal(size=5)
    nu = lasso(weights, target, 0.3, steps=20000)
    slope = weights.T @ (weights @ nu - target)
    assert np.abs(slope).max() <= 0.3 + 1e-9
    np.testing.assert_allclose(slope[nu != 0], -0.3 * np.sign(nu[nu != 0]), atol=1e-9)
    assert 0 < (nu != 0).sum() <= 5
    np.testing.assert_array_equal(lasso(weights, target, 100.0), 0)


def test_allotted_rows_are_whole_and_add_up():
    assert allocate(np.array([1.0, -2.0, 0.0]), 10).tolist() == [3, 7, 0]
    assert allocate(np.array([1.0, -2.0, 0.0]), 10, norm="2").tolist() == [2, 8, 0]
    assert allocate(np.array([1.0, -3.0]), 10, floor=3).tolist() == [4, 6]
    assert allocate(np.zeros(3), 10).sum() == 10
    with pytest.raises(ValueError, match="allocate: budget: got 5, expected 6 or more"):
        allocate(np.ones(3), 5, floor=2)


def test_shared_columns_are_found_without_noise():
    rng = np.random.default_rng(1)
    world = linear_tasks(8, 10, 3, 2, rng)
    rows = [task_rows(world, w, 30, 0.0, rng) for w in world.weights.T]
    basis, weights = fit_shared(rows, 3)
    np.testing.assert_allclose(basis @ weights, world.basis @ world.weights, atol=1e-6)


def test_active_draws_spend_the_budget_where_it_matters():
    rng = np.random.default_rng(2)
    world = linear_tasks(10, 12, 3, 2, rng)
    target = task_rows(world, world.target, 100, 0.1, rng)

    def draw(task, count):
        return task_rows(world, world.weights[:, task], count, 0.1, rng)

    found = learn_actively(draw, 10, target, 3, 1000, pilot=30)
    needed = np.abs(relevance(world.weights, world.target).relevance) > 1e-9
    assert found.counts.sum() == 1000 and found.counts.min() >= 30
    assert needed.sum() == 3 and found.counts[needed].sum() > 390  # 300 of uniform draws
    error = ((found.target - world.basis @ world.target) ** 2).sum()
    assert error < 0.01
    assert learn_actively(draw, 10, target, 3, 1000, norm="uniform", pilot=30).counts.tolist() == [100] * 10


def test_wrong_values_are_refused_by_name():
    rng = np.random.default_rng(3)
    good = sample_inputs(relevance, rng)
    for p in relevance.parameters.values():
        for _, value in wrong_values(p.annotation, rng, sizes_of(relevance)):
            with pytest.raises(ValueError, match=rf"^relevance: {p.name}: got .+, expected .+"):
                relevance(**{**good, p.name: value})
    with pytest.raises(ValueError, match="relevance: target: got weights that the source tasks do not span"):
        relevance(np.eye(3)[:, :2], np.array([0.0, 0.0, 1.0]))
