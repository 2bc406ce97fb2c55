import math

import numpy as np
import pytest

from mini_repr.autograd.tensor import Tensor
from mini_repr.optim import clip_by_global_norm, global_norm


def parameters_with(*gradients):
    parameters = {}
    for number, gradient in enumerate(gradients):
        parameters[f"p{number}"] = Tensor(np.zeros(1 if gradient is None else np.shape(gradient)))
        parameters[f"p{number}"].grad = gradient
    return parameters


def test_norm_is_over_all_parameters_together():
    parameters = parameters_with(np.array([[3.0, 0.0]]), np.array(4.0), None, np.full((2, 2), 6.0))
    assert global_norm(parameters) == 13.0
    assert global_norm(parameters_with(None)) == 0.0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clipping_scales_exactly_and_in_place(dtype):
    gradients = np.array([[3.0, 0.0]], dtype), np.array(4.0, dtype)
    parameters = parameters_with(*gradients, None)
    assert clip_by_global_norm(parameters, 2.5) == 5.0
    assert parameters["p0"].grad is gradients[0]
    assert gradients[0].dtype == dtype
    np.testing.assert_array_equal(gradients[0], [[1.5, 0.0]])
    np.testing.assert_array_equal(gradients[1], 2.0)
    assert global_norm(parameters) == 2.5


@pytest.mark.parametrize("limit", [5.0, 6.0, math.inf])
def test_gradients_within_the_limit_are_untouched(limit):
    gradient = np.array([3.0, 4.0])
    assert clip_by_global_norm(parameters_with(gradient), limit) == 5.0
    np.testing.assert_array_equal(gradient, [3.0, 4.0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_norm_that_is_not_finite_is_reported_and_hides_nothing(bad, dtype):
    gradients = np.array([1.0, bad], dtype), np.array([2.0], dtype)
    norm = clip_by_global_norm(parameters_with(*gradients), 1.0)
    assert not math.isfinite(norm)
    np.testing.assert_array_equal(gradients[0], np.array([1.0, bad], dtype))
    np.testing.assert_array_equal(gradients[1], 2.0)


def test_float32_overflow_is_reported():
    assert global_norm(parameters_with(np.full(3, 1e30, "float32"))) == math.inf


@pytest.mark.parametrize("limit", [0.0, -1.0, math.nan])
def test_bad_limit(limit):
    with pytest.raises(ValueError, match=f"clip_by_global_norm: limit must be above 0, got {limit}"):
        clip_by_global_norm({}, limit)
