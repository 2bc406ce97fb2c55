"""State that losses need between steps: given before the loss, updated after it."""

import numpy as np
import pytest

from mini_repr.data import load
from mini_repr.methods import Batch, build_method
from mini_repr.methods.state import updated_covariance
from mini_repr.pages.registry import all_losses
from mini_repr.training import config

DATA = load("digits")
SMALL = {"encoder": {"name": "mlp", "width": 16, "hidden": 16, "depth": 2}, "method": {"views": "noise=0.1"}}
INDEX = np.arange(3, 27)
BATCH = Batch((DATA.train.images[INDEX],), DATA.train.labels[INDEX], INDEX)


def method_for(name, **sections):
    settings = config.resolve(config.merge({**SMALL, "loss": {"name": name}}, sections))
    return build_method(settings, DATA, np.random.default_rng(0))


def seen_by(method, monkeypatch):
    """The optional arrays that each following step gives to the loss, and the rows, as a list that fills."""
    seen, forward = [], method.objective.forward

    def recorded(a, b, **given):
        given = {name: value for name, value in given.items() if name != "embeddings"}
        seen.append({"a": a.data, "b": getattr(b, "data", b), **given})
        return forward(a, b, **given)

    monkeypatch.setattr(method.objective, "forward", recorded)
    return seen


def steps(method, count):
    for step in range(count):
        method.step(BATCH, np.random.default_rng(step))


def test_tico_gets_the_covariance_before_the_batch(monkeypatch):
    method = method_for("tico")
    seen = seen_by(method, monkeypatch)
    steps(method, 2)
    assert not seen[0]["covariance"].any()
    moved = updated_covariance(seen[0]["covariance"], seen[0]["a"])
    np.testing.assert_allclose(seen[1]["covariance"], moved, rtol=1e-5, atol=1e-7)


def test_isogclr_keeps_temperatures_of_the_rows_it_saw(monkeypatch):
    method = method_for("isogclr")
    seen = seen_by(method, monkeypatch)
    steps(method, 2)
    (state,) = method.loss_states
    others = np.setdiff1d(np.arange(len(DATA.train)), INDEX)
    assert (state.temperatures[others] == np.float32(0.1)).all() and (state.estimates[others] == -np.inf).all()
    assert (seen[1]["temperatures"] != seen[0]["temperatures"]).any() and np.isfinite(seen[1]["estimates"]).all()


@pytest.mark.parametrize("name, argument", [("wmse", "order"), ("dclr", "noise")])
def test_draws_are_new_each_step_and_the_same_after_a_restore(name, argument, monkeypatch):
    method = method_for(name, heads={"dimensions": 8})
    seen = seen_by(method, monkeypatch)
    steps(method, 1)
    state = method.state_dict()
    steps(method, 1)
    assert (seen[0][argument] != seen[1][argument]).any()
    other = method_for(name, heads={"dimensions": 8})
    other.load_state_dict(state)
    again = seen_by(other, monkeypatch)
    steps(other, 1)
    if argument == "order":
        np.testing.assert_array_equal(again[0]["order"], seen[1]["order"])
        assert sorted(again[0]["order"]) == list(range(len(INDEX)))


def test_a_fixed_teacher_gives_the_rows_of_the_batch(monkeypatch):
    method = method_for("similarity_kl")
    seen = seen_by(method, monkeypatch)
    steps(method, 1)
    np.testing.assert_array_equal(seen[0]["teacher_a"], DATA.train.images[INDEX].reshape(len(INDEX), -1))


def test_every_state_argument_of_a_page_is_supplied():
    for name, loss in all_losses().items():
        if loss.compares == "pairs" and name not in ("infonce", "best_alignment"):  # the latter compares patches
            required = set(loss.required) - {"a", "b"}
            assert required <= {given for state in method_for(name).loss_states for given in state.gives}, name
