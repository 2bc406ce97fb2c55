"""Every optimiser against its definition, and what all of them have in common."""

import re

import numpy as np
import pytest
from device_double import DOUBLE

from mini_repr.autograd import Tensor
from mini_repr.pages.registry import pages_of
from mini_repr.pages.samples import wrong_values
from mini_repr.training import checkpoint

OPTIMISERS = pages_of("optimiser")
SHAPES = {"encoder.weight": (5, 3), "encoder.bias": (3,), "temperature": ()}
SETTINGS = {
    "sgd": [
        {},
        {"weight_decay": 0.1},
        {"momentum": 0.9, "weight_decay": 0.1},
        {"momentum": 0.8, "nesterov": True, "weight_decay": 0.1},
    ],
    "adamw": [{}, {"betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.3}],
}
CASES = [pytest.param(n, s, id=f"{n}-{k}") for n in OPTIMISERS for k, s in enumerate(SETTINGS.get(n, [{}]))]


def drawn(seed, dtype="float64"):
    rng = np.random.default_rng(seed)
    return {name: np.asarray(rng.standard_normal(shape), dtype) for name, shape in SHAPES.items()}


def parameters_of(arrays, asarray=np.array):
    return {name: Tensor(asarray(array), requires_grad=True) for name, array in arrays.items()}


def update(optimiser, steps, dtype="float64", asarray=np.array):
    for step in steps:
        for name, gradient in drawn(100 + step, dtype).items():
            optimiser.parameters[name].grad = asarray(gradient)
        optimiser.step()


@pytest.mark.parametrize("name, settings", CASES)
@pytest.mark.parametrize("asarray", [np.array, DOUBLE.asarray], ids=["host", "device"])
def test_equals_its_definition(name, settings, asarray):
    page, start = OPTIMISERS[name], drawn(0)
    parameters = parameters_of(start, asarray)
    optimiser = page.thing(parameters, 0.1, **settings)
    for count in range(1, 6):
        update(optimiser, [count], asarray=asarray)
        for parameter, data in start.items():
            gradients = [drawn(100 + step)[parameter] for step in range(1, count + 1)]
            own = settings if data.ndim >= 2 else {**settings, "weight_decay": 0.0}
            expected = page.literal(data, gradients, 0.1, **own)
            np.testing.assert_allclose(
                DOUBLE.to_numpy(parameters[parameter].data), expected, rtol=1e-12, atol=1e-14, err_msg=parameter
            )


@pytest.mark.parametrize("name, settings", CASES)
def test_restored_state_continues_bit_for_bit(name, settings, tmp_path):
    parameters = parameters_of(drawn(0, "float32"))
    optimiser = OPTIMISERS[name].thing(parameters, 0.1, **settings)
    update(optimiser, range(3), "float32")
    checkpoint.save(tmp_path / "state.npz", optimiser.state_dict(), {})
    resumed = parameters_of({name: p.data for name, p in parameters.items()})
    update(optimiser, range(3, 6), "float32")
    fresh = OPTIMISERS[name].thing(resumed, 0.1, **settings)
    fresh.load_state_dict(checkpoint.load(tmp_path / "state.npz")[0])
    update(fresh, range(3, 6), "float32")
    for parameter, p in parameters.items():
        assert p.data.tobytes() == resumed[parameter].data.tobytes()


@pytest.mark.parametrize("name", OPTIMISERS)
def test_wrong_values_are_refused_by_name(name):
    page, rng = OPTIMISERS[name], np.random.default_rng(0)
    for p in page.settings:
        for _, value in wrong_values(p.annotation, rng, {}):
            with pytest.raises(ValueError, match=rf"^optimiser {name}: {p.name}: got .+, expected .+"):
                page.thing(parameters_of(drawn(0)), **{"lr": 0.1, p.name: value})


@pytest.mark.parametrize("name", OPTIMISERS)
def test_its_text_says_what_it_is_and_where_it_is_from(name):
    page = OPTIMISERS[name]
    assert page.literal is not None and page.settings
    assert re.search(r"\bSource\b.*\b(19|20)\d\d\b", page.text, re.DOTALL), "no source with a year"
