import json

import numpy as np
import pytest

from mini_repr.data import BalancedBatches, Batches, BoundBatches, TaskBatches


def make_shuffled(seed=3):
    return Batches(23, 5, seed)


def make_balanced(seed=3):
    return BalancedBatches(np.repeat([7, 2, 9, 4], [10, 4, 6, 7]), 3, 2, seed)


def make_bound(seed=3):
    return BoundBatches(np.repeat([7, 2, 9, 4], [10, 4, 6, 7]), 9, seed)


def test_every_row_comes_once_an_epoch():
    whole = Batches(23, 5, seed=1, drop_last=False)
    assert whole.per_epoch == 5
    batches = [next(whole) for _ in range(10)]
    assert [len(batch) for batch in batches] == [5, 5, 5, 5, 3] * 2
    for epoch in (batches[:5], batches[5:]):
        assert sorted(np.concatenate(epoch)) == list(range(23))
    assert not np.array_equal(np.concatenate(batches[:5]), np.concatenate(batches[5:]))
    dropping = make_shuffled()
    assert dropping.per_epoch == 4 and {len(next(dropping)) for _ in range(9)} == {5}
    assert (dropping.step, dropping.epoch) == (9, 2)


def test_an_epoch_is_a_function_of_seed_and_number():
    batches = make_shuffled()
    taken = [next(batches) for _ in range(8)]
    order = np.random.default_rng([3, 1]).permutation(23)
    assert np.array_equal(np.concatenate(taken[4:]), order[:20])
    assert not np.array_equal(taken[0], next(make_shuffled(seed=4)))


@pytest.mark.parametrize("make", [make_shuffled, make_balanced, make_bound])
@pytest.mark.parametrize("stop", [0, 1, 3, 4, 7])
def test_resume_goes_on_with_the_very_next_batch(make, stop):
    straight = make()
    for _ in range(stop):
        next(straight)
    resumed = make()
    resumed.restore(json.loads(json.dumps(straight.state())))
    for _ in range(9):
        assert np.array_equal(next(straight), next(resumed))
    assert straight.state() == resumed.state()


@pytest.mark.parametrize("counts", [[4, 4, 4], [10, 4, 6, 7], [50, 2, 3], [9] * 10])
def test_balanced_batches_hold_classes_times_samples(counts):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    batches = BalancedBatches(labels, 3, 2, seed=5)
    for epoch in range(4):
        rows = batches.epoch_batches(epoch)
        assert len(rows) == batches.per_epoch >= 1
        for batch in rows:
            groups = labels[batch].reshape(3, 2)
            assert (groups[:, 0] == groups[:, 1]).all() and len(set(groups[:, 0])) == 3
        used = np.concatenate(rows)
        assert len(set(used)) == len(used)
    if len(set(counts)) == 1:  # even classes: no more is left over than cannot be helped
        assert len(used) >= 0.8 * len(labels)
    assert not np.array_equal(*(np.concatenate(batches.epoch_batches(epoch)) for epoch in (0, 1)))


@pytest.mark.parametrize("drop_last", [True, False])
def test_bound_batches_share_one_row_a_class(drop_last):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(4), [10, 4, 6, 1]))
    batches = BoundBatches(labels, 9, seed=5, drop_last=drop_last)
    assert labels[batches.bound].tolist() == [0, 1, 2, 3]
    assert batches.per_epoch == (3 if drop_last else 4)
    for epoch in range(3):
        rows = batches.epoch_batches(epoch)
        assert len(rows) == batches.per_epoch
        assert all(np.array_equal(batch[-4:], batches.bound) for batch in rows)
        others = np.concatenate([batch[:-4] for batch in rows])
        assert len(set(others)) == len(others) == (15 if drop_last else 17)
        assert not set(others) & set(batches.bound)
    assert not np.array_equal(*(np.concatenate(batches.epoch_batches(epoch)) for epoch in (0, 1)))
    assert not np.array_equal(batches.bound, BoundBatches(labels, 9, seed=6).bound)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Batches(4, 5), "batch_size is 5, expected at most the 4 rows"),
        (lambda: Batches(0, 1), "count is 0, expected an int of at least 1"),
        (lambda: Batches(4, 0), "batch_size is 0"),
        (lambda: Batches(4, 2.0), "batch_size is 2.0"),
        (lambda: Batches(4, True), "batch_size is True"),
        (lambda: Batches(4, 2, seed=-1), "seed is -1, expected an int of at least 0"),
        (lambda: BalancedBatches([0.0, 1.0], 2, 2), "labels are float64"),
        (lambda: BalancedBatches([[0, 1]], 2, 2), "expected integers"),
        (lambda: BalancedBatches([], 2, 2), "expected integers"),
        (lambda: BalancedBatches([0, 0, 1, 1], 3, 2), "classes is 3, expected at most the 2 classes"),
        (lambda: BalancedBatches([0, 0, 1, 1], 1, 2), "classes is 1"),
        (lambda: BalancedBatches([0, 0, 1, 1], 2, 1), "samples is 1"),
        (lambda: BalancedBatches([0, 0, 5], 2, 2), "class 5 has 1 rows, expected at least samples=2"),
        (lambda: BoundBatches([0.0, 1.0], 2), "BoundBatches: labels are float64"),
        (lambda: BoundBatches([0, 0, 1, 1], 2), "batch_size is 2, expected 3 .one more than the classes. to 4"),
        (lambda: BoundBatches([0, 0, 1, 1], 5), "batch_size is 5, expected 3"),
        (lambda: BoundBatches([0, 0, 1, 1], 3).restore(BoundBatches([0, 1, 1, 0], 3).state()), "state has labels"),
        (lambda: make_shuffled().restore({"step": 1}), "expected a dict of step, count"),
        (lambda: make_shuffled().restore(None), "state None"),
        (lambda: make_shuffled().restore(make_shuffled(4).state()), "state has seed 4, expected 3"),
        (lambda: make_shuffled().restore(make_shuffled().state() | {"step": -1}), "step is -1"),
        (
            lambda: BalancedBatches([0, 0, 1, 1], 2, 2).restore(BalancedBatches([0, 1, 1, 0], 2, 2).state()),
            "state has labels",
        ),
    ],
)
def test_misuse_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_batches_of_one_task_each():
    tasks = np.repeat([3, 0, 1], [11, 7, 5])
    batches = TaskBatches(tasks, 3, seed=1)
    assert batches.per_epoch == 3 + 2 + 1
    taken = [next(batches) for _ in range(12)]
    assert all(len(set(tasks[batch])) == 1 and len(set(batch)) == 3 for batch in taken)
    for epoch in (taken[:6], taken[6:]):
        assert len(set(np.concatenate(epoch))) == 18
    kinds = [[int(tasks[batch[0]]) for batch in epoch] for epoch in (taken[:6], taken[6:])]
    assert sorted(kinds[0]) == sorted(kinds[1]) == [0, 0, 1, 3, 3, 3] and kinds[0] != kinds[1]
    again = TaskBatches(tasks, 3, seed=1)
    again.restore({**batches.state(), "step": 7})
    np.testing.assert_array_equal(next(again), taken[7])
    with pytest.raises(ValueError, match="TaskBatches: batch_size is 6, expected at most 5, the rows of a task"):
        TaskBatches(tasks, 6)
    with pytest.raises(ValueError, match="state has tasks"):
        TaskBatches(tasks[::-1], 3, seed=1).restore(batches.state())
