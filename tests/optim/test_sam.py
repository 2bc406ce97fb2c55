"""Sharpness-aware steps: the ascent by its formula, the return bit for bit, and the second pass in a run."""

import numpy as np
import pytest

from mini_repr.autograd import Tensor
from mini_repr.backend import CPU
from mini_repr.nn import Module
from mini_repr.optim import SAM, SGD, AdamW
from mini_repr.optim.sam import passing_state
from mini_repr.training import config
from mini_repr.training.run import Run
from mini_repr.training.session import prepare


def quadratic(scale=(1.0, 10.0)):
    """(parameters, function that leaves the gradient of sum_k scale_k |w_k|^2 / 2 in them)."""
    rng = np.random.default_rng(0)
    parameters = {name: Tensor(rng.standard_normal((3, 2)), requires_grad=True) for name in "ab"}

    def backward():
        for parameter, k in zip(parameters.values(), scale, strict=True):
            parameter.grad = k * parameter.data

    return parameters, backward


@pytest.mark.parametrize("adaptive", [False, True])
def test_ascent_has_the_radius_and_the_direction(adaptive):
    parameters, backward = quadratic()
    before = {name: p.data.copy() for name, p in parameters.items()}
    optimizer = SAM(SGD(parameters, 0.1), rho=0.3, adaptive=adaptive)
    backward()
    g = np.concatenate([p.grad.ravel() for p in parameters.values()])
    w = np.concatenate([x.ravel() for x in before.values()])
    reach = np.abs(w) + 0.01 if adaptive else np.ones_like(w)
    optimizer.ascend()
    moved = np.concatenate([p.data.ravel() for p in parameters.values()]) - w
    np.testing.assert_allclose(moved, 0.3 * reach**2 * g / np.linalg.norm(reach * g), rtol=1e-10)
    assert np.linalg.norm(moved / reach) == pytest.approx(0.3)
    assert all(p.grad is None for p in parameters.values())


def second_pass(optimizer, passes):
    """That of a network without buffers and random numbers."""
    module, rng = Module(), np.random.default_rng(0)
    optimizer.second_pass(passes, module, rng, passing_state(module, rng))


def test_step_starts_from_the_very_bits_it_left():
    parameters, backward = quadratic()
    before = {name: p.data.copy() for name, p in parameters.items()}
    optimizer = SAM(SGD(parameters, 0.1), rho=0.37)
    backward()
    second_pass(optimizer, lambda: None)
    optimizer.step()  # no gradient: the base optimiser moves nothing
    for name, parameter in parameters.items():
        np.testing.assert_array_equal(parameter.data, before[name])


def test_step_is_the_bases_with_the_gradient_at_the_top():
    parameters, backward = quadratic()
    before = {name: p.data.copy() for name, p in parameters.items()}
    optimizer = SAM(SGD(parameters, 0.1), rho=0.3)
    backward()
    second_pass(optimizer, backward)
    at_top = {name: p.grad.copy() for name, p in parameters.items()}
    optimizer.step()
    for name, parameter in parameters.items():
        np.testing.assert_array_equal(parameter.data, before[name] - 0.1 * at_top[name])


def test_no_gradient_moves_nothing_and_a_bad_radius_is_refused():
    parameters, _ = quadratic()
    before = parameters["a"].data.copy()
    for p in parameters.values():
        p.grad = np.zeros_like(p.data)
    SAM(AdamW(parameters, 0.1)).ascend()
    np.testing.assert_array_equal(parameters["a"].data, before)
    with pytest.raises(ValueError, match="SAM: rho"):
        SAM(AdamW(parameters, 0.1), rho=0.0)


def trained(name, **optimizer):
    chosen = {
        "loss": {"name": "infonce", "negatives": "queue", "symmetric": False},
        "method": {"name": "momentum", "queue_size": 512},
        "heads": {"batch_norm": True},
        "encoder": {"name": "mlp", "width": 16, "hidden": 16, "depth": 2},
        "optimizer": {"name": name, **optimizer},
        "train": {"epochs": 1, "batch_size": 256},
    }
    settings, data = prepare(chosen)
    run = Run(settings, data, CPU)
    run.train_epoch()
    return run.method.state_dict()


def test_a_run_with_a_vanishing_radius_is_the_bases_run():
    """Views, dropout, queue and running statistics of the second pass are those of the first, and moved once."""
    plain, climbing = trained("adamw"), trained("sam:adamw", rho=1e-12)
    assert plain.keys() == climbing.keys()
    for name, array in plain.items():
        np.testing.assert_allclose(climbing[name], array, rtol=1e-3, atol=2e-4, err_msg=name)
    assert any((trained("sam:adamw", rho=0.5)[name] != array).any() for name, array in plain.items())


def test_settings_name_what_does_not_exist():
    with pytest.raises(ValueError, match="adamw"):
        config.resolve({"optimizer": {"name": "sam:adam"}})
    with pytest.raises(config.ConfigError, match="rho"):
        config.resolve({"optimizer": {"name": "adamw", "rho": 0.1}})
    assert config.resolve({"optimizer": {"name": "sam:sgd"}})["optimizer"]["rho"] == 0.05
