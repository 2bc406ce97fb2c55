"""Tensors of other libraries in place of arrays."""

import sys
import types

import numpy as np
import pytest

import mini_repr.losses
from mini_repr.losses import infonce
from mini_repr.metrics import uniformity


class Tensor:
    """As another library has one: nothing but DLPack."""

    def __init__(self, array, device=(1, 0)):
        self.array, self.device = array, device

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, **how):
        return self.array.__dlpack__(**how)


@pytest.fixture
def library(monkeypatch):
    """A library whose tensors these are, with the ``from_dlpack`` that PyTorch has."""
    module = types.ModuleType("torch")
    module.from_dlpack = lambda array: Tensor(np.from_dlpack(array))
    monkeypatch.setitem(sys.modules, "torch", module)
    monkeypatch.setattr(Tensor, "__module__", "torch.tensors")


A, B = np.random.default_rng(0).standard_normal((2, 4, 3))


@pytest.mark.parametrize("face", ["value_and_grad", "definition_and_grad"])
def test_values_and_gradients_come_back_as_tensors(library, face):
    value, gradients = getattr(infonce, face)(Tensor(A), Tensor(B))
    expected, arrays = getattr(infonce, face)(A, B)
    assert isinstance(value, Tensor) and value.array == expected
    for name, array in arrays.items():
        np.testing.assert_array_equal(gradients[name].array, array)


def test_a_library_that_takes_nothing_back_gets_arrays():
    value, gradients = infonce.value_and_grad(Tensor(A), Tensor(B))
    assert isinstance(value, np.ndarray) and isinstance(gradients["a"], np.ndarray)


def test_metrics_take_them(library):
    assert uniformity(Tensor(A)) == uniformity(A)


def test_a_tensor_of_the_engine_is_not_made_of_them(library):
    with pytest.raises(ValueError, match=r"infonce: a: got a torch tensor.*infonce.value_and_grad\(...\) takes it"):
        infonce(Tensor(A), Tensor(B))


def test_memory_that_is_not_reached_is_named(library):
    with pytest.raises(ValueError, match=r"infonce: b: got a torch tensor .its memory is neither the host's"):
        infonce.value_and_grad(Tensor(A), Tensor(B, device=(9, 0)))
    with pytest.raises(ValueError, match=r"infonce: a: got a torch tensor .device gpu"):
        infonce.value_and_grad(Tensor(A, device=(2, 99)), Tensor(B))


def test_losses_are_found_by_name():
    assert mini_repr.losses.vicreg.name == "vicreg" and "vicreg" in dir(mini_repr.losses)
    from mini_repr.losses import pairs

    assert pairs.__name__ == "mini_repr.losses.pairs"
    with pytest.raises(AttributeError, match="no nothing; `mini-repr list --losses`"):
        _ = mini_repr.losses.nothing
    with pytest.raises(AttributeError):
        _ = mini_repr.nothing
