"""Whole runs under CuPy's own rules: a step of every method, resuming, embedding."""

import numpy as np
import pytest
from method_runs import RUNS, chosen_for

from mini_repr.pages.registry import pages_of
from mini_repr.training import session


@pytest.fixture(params=RUNS)
def name(request):
    return request.param


def test_two_steps_then_resumed_and_embedded(name, backend, tmp_path):
    chosen = {**chosen_for(name, tmp_path), "device": "gpu"}
    run, home = session.start(chosen, out=tmp_path / "run")
    for index in list(run.batches.epoch_batches(0))[:2]:
        run.train_step(index)
    run.save(home)
    home.close()
    again, home = session.resume(tmp_path / "run", {})
    home.close()
    again.train_step(np.arange(16))
    for one in (run, again):
        assert one.backend is backend
        assert {type(p.data) for p in one.method.parameters()} == {backend.xp.ndarray}
    shapes = session.embed(tmp_path / "run", again.settings["data"]["name"], tmp_path / "rows.npz")
    assert all(len(shape) == 2 for shape in shapes.values())


def test_the_table_has_every_method():
    assert {name.partition(",")[0] for name in RUNS} - {"sharpness"} == pages_of("method").keys()
