"""Views drawn in a thread while a step is under way: the numbers of a run do not change by it."""

import numpy as np
import pytest
from device_double import DOUBLE
from method_runs import RUNS, chosen_for

from mini_repr.backend import CPU
from mini_repr.training.run import Run
from mini_repr.training.session import prepare


def small_run(chosen, steps):
    run = Run(*prepare(chosen), CPU)
    few = run.batches.epoch_batches(0)[:steps]
    run.batches.epoch_batches = lambda epoch: few
    return run


@pytest.mark.parametrize("name", RUNS)
def test_what_is_drawn_does_not_depend_on_training_unless_the_method_says_so(name, tmp_path):
    run = small_run(chosen_for(name, tmp_path), 2)
    if run.method.sample_asks_network:
        pytest.skip("it looks at the network, and says so")
    batch = run._batch(np.arange(16))
    start = run.rng.bit_generator.state
    before = [np.copy(x) for x in run._draw(batch)]
    list(run.steps())
    run.rng.bit_generator.state = start
    for one, other in zip(before, run._draw(batch), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["simclr", "masked, MAE"])
def test_a_run_that_draws_ahead_has_the_same_bits(name, tmp_path):
    plain, ahead = (small_run(chosen_for(name, tmp_path), 3) for _ in range(2))
    assert not plain.draws_ahead
    ahead.draws_ahead = True
    for _ in range(2):
        records = [run.train_epoch() for run in (plain, ahead)]
    assert records[0]["loss"] == records[1]["loss"]
    states = [run.method.state_dict() for run in (plain, ahead)]
    for name, array in states[0].items():
        np.testing.assert_array_equal(array, states[1][name])
    assert plain.rng.bit_generator.state == ahead.rng.bit_generator.state


def test_an_error_of_the_views_comes_out_and_leaves_no_thread_behind(tmp_path):
    run = small_run(chosen_for("simclr", tmp_path), 3)
    run.draws_ahead, views, calls = True, run.method.views, []

    def failing(images, rng):
        calls.append(1)
        if len(calls) == 3:
            raise ValueError("views: no")
        return views(images, rng)

    run.method.views = failing
    with pytest.raises(ValueError, match="views: no"):
        run.train_epoch()
    assert run.step == 1


@pytest.mark.parametrize(("name", "ahead"), [("simclr", True), ("hpm", False), ("sharpness", False)])
def test_which_runs_draw_ahead_on_a_device(name, ahead, tmp_path):
    assert Run(*prepare(chosen_for(name, tmp_path)), DOUBLE).draws_ahead is ahead
