import numpy as np
import pytest

from mini_repr.autograd import Tensor
from mini_repr.optim.soup import average_parameters, fuse_by_deviation


def model(seed, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return {"weight": rng.standard_normal((3, 2)).astype(dtype), "bias": rng.standard_normal(2).astype(dtype)}


def test_mean_of_models_and_of_tensors():
    models = [model(seed) for seed in range(3)]
    soup = average_parameters(models)
    assert list(soup) == ["weight", "bias"]
    for name, value in soup.items():
        np.testing.assert_allclose(value, np.mean([one[name] for one in models], axis=0), rtol=1e-14)
    tensors = [{name: Tensor(value, requires_grad=True) for name, value in one.items()} for one in models]
    np.testing.assert_array_equal(average_parameters(tensors)["weight"], soup["weight"])


def test_weights_are_divided_by_their_sum():
    soup = average_parameters([model(0), model(1)], weights=[3, 1])
    np.testing.assert_allclose(soup["bias"], 0.75 * model(0)["bias"] + 0.25 * model(1)["bias"], rtol=1e-14)
    np.testing.assert_array_equal(average_parameters([model(0), model(1)], weights=[0, 2])["bias"], model(1)["bias"])


def test_arrays_are_new_and_float32_stays():
    one = model(0, np.float32)
    soup = average_parameters([one])
    soup["weight"] += 1
    np.testing.assert_array_equal(one["weight"], model(0, np.float32)["weight"])
    assert soup["weight"].dtype == np.float32


def test_linear_models_average_their_outputs():
    models, x = [model(seed) for seed in range(4)], np.random.default_rng(9).standard_normal((5, 3))
    soup = average_parameters(models)
    outputs = [x @ one["weight"] + one["bias"] for one in models]
    np.testing.assert_allclose(x @ soup["weight"] + soup["bias"], np.mean(outputs, axis=0), rtol=1e-12)


@pytest.mark.parametrize(
    "models, weights, problem",
    [
        ([], None, "models: got none"),
        ([model(0)], [1, 2], r"weights: got \[1.0, 2.0\], expected 1 numbers"),
        ([model(0), model(1)], [2, -1], "weights: got"),
        ([model(0), model(1)], [0, 0], "weights: got"),
        ([model(0), model(1)], [1, np.nan], "weights: got"),
        ([model(0), {"weight": model(1)["weight"]}], None, r"models\[1\]: bias: got nothing, expected float64 \(2,\)"),
        (
            [model(0), {**model(1), "scale": np.ones(1)}],
            None,
            r"models\[1\]: scale: got float64 \(1,\), expected nothing",
        ),
        ([model(0), model(1, np.float32)], None, r"models\[1\]: bias: got float32 \(2,\), expected float64 \(2,\)"),
    ],
)
def test_what_does_not_go_together_is_refused(models, weights, problem):
    with pytest.raises(ValueError, match=f"^average_parameters: {problem}"):
        average_parameters(models, weights)


@pytest.mark.parametrize("by", ["tensor", "element"])
def test_fusion_by_deviation_is_its_definition(by):
    start, *models = (model(seed) for seed in range(4))
    fused = fuse_by_deviation(start, models, by)
    for name, expected in fuse_by_deviation.definition(start, models, by).items():
        np.testing.assert_allclose(fused[name], expected, rtol=1e-13)
    tensors = [{name: Tensor(value) for name, value in one.items()} for one in (start, *models)]
    np.testing.assert_array_equal(fuse_by_deviation(tensors[0], tensors[1:], by)["bias"], fused["bias"])


@pytest.mark.parametrize("by", ["tensor", "element"])
def test_who_moved_a_parameter_has_the_say_on_it(by):
    start, other = model(0, np.float32), model(1, np.float32)
    for name, value in fuse_by_deviation(start, [other, start], by).items():
        np.testing.assert_allclose(value, other[name], rtol=1e-6)
        assert value.dtype == np.float32
    same = fuse_by_deviation(start, [other, other], by)
    np.testing.assert_allclose(same["weight"], other["weight"], rtol=1e-6)
    np.testing.assert_array_equal(fuse_by_deviation(start, [start], by)["bias"], start["bias"])
    mirrored = {name: 2 * start[name] - other[name] for name in start}
    np.testing.assert_allclose(fuse_by_deviation(start, [other, mirrored], by)["bias"], start["bias"], atol=1e-6)


def test_fusion_refuses_models_of_another_kind():
    with pytest.raises(ValueError, match=r"fuse_by_deviation: models\[0\]: bias: got nothing, expected float64"):
        fuse_by_deviation(model(0), [{"weight": model(1)["weight"]}])
    with pytest.raises(ValueError, match="by: got 'row', expected tensor or element"):
        fuse_by_deviation(model(0), [model(1)], "row")
