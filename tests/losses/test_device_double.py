"""The whole loss table on a device: the strict double everywhere, a real one where there is a GPU."""

import numpy as np
import pytest
from device_double import DOUBLE

from mini_repr.autograd import Tensor
from mini_repr.backend import is_array
from mini_repr.pages.check_page import differentiable, sampled_arguments, sampled_weights, weighted_gradients
from mini_repr.pages.registry import all_losses

LOSSES = all_losses()
CASES = [(name, variant) for name, loss in LOSSES.items() for variant in ("default", *loss.variants)]


def on_device(backend, arguments):
    return {n: backend.asarray(v) if isinstance(v, np.ndarray) else v for n, v in arguments.items()}


def gradients_on(backend, evaluate, loss, arguments, weights):
    """As ``weighted_gradients``, computed on ``backend`` and brought back."""
    moved = on_device(backend, arguments)
    names = differentiable(loss, arguments)
    tensors = {n: Tensor(backend.asarray(moved[n]), requires_grad=True) for n in names}
    output = evaluate(**{**moved, **tensors})
    device_type = type(backend.asarray(0.0))
    assert type(output.data) is device_type
    assert all(type(term) is device_type or np.isscalar(term) for term in (output.terms or {}).values())
    if output.requires_grad:
        output.backward(backend.asarray(np.asarray(weights, dtype=output.dtype).reshape(output.shape)))
    for name, tensor in tensors.items():
        assert tensor.grad is None or type(tensor.grad) is device_type, f"gradient of {name} left the device"
    host = {n: backend.to_numpy(t.data * 0 if t.grad is None else t.grad) for n, t in tensors.items()}
    return backend.to_numpy(output.data), host


def check(backend, name, variant, tolerance):
    rng = np.random.default_rng(0)
    loss, arguments = LOSSES[name], sampled_arguments(LOSSES[name], variant, rng)
    weights = sampled_weights(loss(**arguments).data, rng)
    for evaluate in (loss, loss.definition):
        value, gradients = weighted_gradients(evaluate, loss, arguments, weights)
        other, moved = gradients_on(backend, evaluate, loss, arguments, weights)
        np.testing.assert_allclose(other, value, rtol=tolerance, atol=tolerance)
        for n in gradients:
            size = max(1e-3, np.abs(gradients[n]).max())
            np.testing.assert_allclose(moved[n], gradients[n], rtol=0, atol=tolerance * size, err_msg=n)


@pytest.mark.parametrize("name, variant", CASES)
def test_value_and_gradients_equal_those_on_the_host(name, variant):
    check(DOUBLE, name, variant, 1e-12)


@pytest.mark.gpu
@pytest.mark.parametrize("name, variant", CASES)
def test_value_and_gradients_on_a_gpu_equal_those_on_the_host(name, variant, gpu):
    check(gpu, name, variant, 1e-8)


@pytest.mark.parametrize("name", LOSSES)
def test_value_and_grad_and_tiles_stay_on_the_device(name):
    rng = np.random.default_rng(1)
    loss, arguments = LOSSES[name], sampled_arguments(LOSSES[name], "default", rng)
    value, gradients = loss.value_and_grad(**on_device(DOUBLE, arguments))
    assert all(is_array(x) and not isinstance(x, np.ndarray) for x in (value, *gradients.values()))
    if "tile" in loss.parameters:
        tiled, _ = loss.value_and_grad(**on_device(DOUBLE, arguments), tile=2)
        np.testing.assert_allclose(tiled.get(), value.get(), rtol=1e-12)


def test_a_scalar_on_the_device_is_read_only_where_value_and_gradient_are_asked_for():
    loss, arguments = LOSSES["infonce"], sampled_arguments(LOSSES["infonce"], "default", np.random.default_rng(3))
    arguments = on_device(DOUBLE, {**arguments, "temperature": np.array(-0.1)})
    loss(**arguments)  # as in training, where a learned temperature cannot become negative
    with pytest.raises(ValueError, match=r"^infonce: temperature: got -0.1, expected a number \(> 0\)"):
        loss.value_and_grad(**arguments)


@pytest.mark.parametrize("name", [n for n, x in LOSSES.items() if len([p for p in x.arrays]) > 1])
def test_arrays_of_two_devices_are_refused(name):
    rng = np.random.default_rng(2)
    loss, arguments = LOSSES[name], sampled_arguments(LOSSES[name], "default", rng)
    given = [p.name for p in loss.arrays if arguments.get(p.name) is not None]
    if len(given) < 2:
        pytest.skip("the default takes one array")
    arguments[given[-1]] = DOUBLE.asarray(arguments[given[-1]])
    with pytest.raises(ValueError, match=f"^{name}: "):
        loss(**arguments)
