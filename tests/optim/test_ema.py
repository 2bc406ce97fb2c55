import math

import numpy as np
import pytest

from mini_repr.autograd.tensor import Tensor
from mini_repr.optim import cosine_momentum, update_ema


def tensors(dtype, **values):
    return {name: Tensor(np.asarray(value, dtype)) for name, value in values.items()}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_update_is_the_formula_in_place(dtype):
    teacher = tensors(dtype, w=[[1.0, 2.0]], t=4.0)
    student = tensors(dtype, w=[[3.0, -2.0]], t=0.0, predictor=[1.0])
    arrays = teacher["w"].data, teacher["t"].data
    update_ema(teacher, student, 0.75)
    assert teacher["w"].data is arrays[0]
    assert teacher["t"].data is arrays[1]
    assert arrays[0].dtype == dtype
    np.testing.assert_array_equal(arrays[0], [[1.5, 1.0]])
    np.testing.assert_array_equal(arrays[1], 3.0)
    np.testing.assert_array_equal(student["w"].data, [[3.0, -2.0]])


def test_momentum_one_keeps_and_zero_copies():
    teacher, student = tensors("float32", w=[0.1, 0.2]), tensors("float32", w=[0.3, 0.7])
    update_ema(teacher, student, 1.0)
    np.testing.assert_array_equal(teacher["w"].data, np.float32([0.1, 0.2]))
    update_ema(teacher, student, 0.0)
    np.testing.assert_array_equal(teacher["w"].data, student["w"].data)


def test_large_parameter():
    teacher, student = tensors("float64", w=np.zeros((300_000, 2))), tensors("float64", w=np.ones((300_000, 2)))
    update_ema(teacher, student, 0.75)
    np.testing.assert_array_equal(teacher["w"].data, 0.25)


def test_mismatches_change_nothing():
    teacher = tensors("float64", a=[1.0], w=[1.0, 2.0])
    with pytest.raises(ValueError, match="update_ema: student misses w"):
        update_ema(teacher, tensors("float64", a=[0.0]), 0.5)
    with pytest.raises(ValueError, match=r"update_ema: w has shape \(2,\) in teacher, \(1,\) in student"):
        update_ema(teacher, tensors("float64", a=[0.0], w=[0.0]), 0.5)
    with pytest.raises(ValueError, match=r"update_ema: momentum must lie in \[0, 1\], got 1.5"):
        update_ema(teacher, teacher, 1.5)
    np.testing.assert_array_equal(teacher["a"].data, [1.0])


def test_cosine_momentum():
    assert cosine_momentum(0, 100, 0.99) == 0.99
    assert cosine_momentum(50, 100, 0.99) == pytest.approx(0.995)
    assert cosine_momentum(100, 100, 0.99) == 1.0
    k = 17
    assert cosine_momentum(k, 100, 0.9) == pytest.approx(1 - 0.1 * (math.cos(math.pi * k / 100) + 1) / 2)


@pytest.mark.parametrize("arguments", [(-1, 10, 0.9), (11, 10, 0.9), (0, 0, 0.9), (0, 10, 1.1), (0, 10, -0.1)])
def test_cosine_momentum_bad_arguments(arguments):
    with pytest.raises(ValueError, match=r"cosine_momentum: (step|base) must lie in"):
        cosine_momentum(*arguments)
