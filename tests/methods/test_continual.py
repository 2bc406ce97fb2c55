"""The continual method: a frozen past, guesses of its rows, and a start from another run."""

import numpy as np
import pytest

from mini_repr.data import load
from mini_repr.methods import Batch, build_method
from mini_repr.training import config

DATA = load("digits")
BATCH = Batch((DATA.train.images[:12],), DATA.train.labels[:12], np.arange(12))


def method_for(loss, method):
    small = {"name": "mlp", "width": 16, "hidden": 16, "depth": 2}
    chosen = {"loss": {"name": loss}, "method": {"name": method, "views": "noise=0.1"}, "encoder": small}
    return build_method(config.resolve(chosen), DATA, np.random.default_rng(0))


def test_the_past_is_the_run_it_starts_from_and_stays():
    earlier = method_for("infonce", "siamese")
    for parameter in earlier.parameters():
        parameter.data += 0.1
    method = method_for("sy_con", "continual")
    predictor = method.past_predictor.state_dict()
    method.start_from(earlier.state_dict())
    for name, array in earlier.encoder.state_dict().items():
        np.testing.assert_array_equal(method.encoder.state_dict()[name], array)
        np.testing.assert_array_equal(method.past_encoder.state_dict()[name], array)
    for name, array in predictor.items():
        np.testing.assert_array_equal(method.past_predictor.state_dict()[name], array)
    past = method.past_encoder.state_dict()
    method.step(BATCH, np.random.default_rng(1)).total.backward()
    assert not any("past_encoder" in name or "past_projector" in name for name in method.trained_parameters())
    assert all(p.grad is not None for p in method.past_predictor.parameters())
    for name, array in method.past_encoder.state_dict().items():
        np.testing.assert_array_equal(past[name], array)


def test_past_rows_and_guesses_reach_the_loss(monkeypatch):
    method, seen = method_for("sy_con", "continual"), {}
    forward = method.objective.forward

    def recorded(a, b, **given):
        seen.update(given)
        return forward(a, b, **given)

    monkeypatch.setattr(method.objective, "forward", recorded)
    method.step(BATCH, np.random.default_rng(1))
    assert seen["past_a"].shape == seen["predicted_a"].shape == (12, 64)
    assert not np.array_equal(seen["past_a"], seen["past_b"])


def test_a_loss_without_a_past_is_refused():
    with pytest.raises(ValueError, match="infonce compares no past rows"):
        method_for("infonce", "continual")
