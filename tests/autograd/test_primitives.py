"""The table-driven test of all primitives: host, device double, and (marked ``gpu``) a real device."""

import numpy as np
import pytest
from device_double import DOUBLE
from primitive_table import (
    SAMPLES,
    TABLE,
    check_arrays_are_left_alone,
    check_complex_step,
    check_differences,
    check_float32,
    check_no_shared_memory,
    check_same_as_host,
    exported,
)

from mini_repr import autograd
from mini_repr.autograd import Tensor, gradcheck, primitive

each_sample = pytest.mark.parametrize(
    "name, number", [pytest.param(name, number, id=f"{name}-{what}") for name, number, what in SAMPLES]
)
each_analytic = pytest.mark.parametrize(
    "name, number",
    [pytest.param(n, k, id=f"{n}-{what}") for n, k, what in SAMPLES if TABLE[n][k].analytic],
)


def test_no_primitive_is_missing_from_the_table():
    assert exported().keys() == set(TABLE)


@pytest.mark.parametrize(
    "name, number",
    [pytest.param(n, k, id=f"{n}-{what}") for n, k, what in SAMPLES if TABLE[n][k].stepped],
)
def test_gradients_equal_central_differences(name, number):
    check_differences(name, TABLE[name][number])


@each_analytic
def test_gradients_equal_the_complex_step(name, number):
    check_complex_step(name, TABLE[name][number])


@each_sample
def test_float32_stays_float32(name, number):
    check_float32(name, TABLE[name][number])


@each_sample
def test_arrays_are_left_alone_and_not_shared(name, number):
    check_no_shared_memory(name, TABLE[name][number])


@each_sample
def test_device_double_agrees(name, number):
    check_same_as_host(name, TABLE[name][number], DOUBLE, tolerance=1e-12)
    check_float32(name, TABLE[name][number], DOUBLE)
    check_arrays_are_left_alone(name, TABLE[name][number], DOUBLE)


@pytest.mark.gpu
@each_sample
def test_gpu_agrees(name, number, gpu):
    check_same_as_host(name, TABLE[name][number], gpu, tolerance=1e-8)
    check_float32(name, TABLE[name][number], gpu)
    check_arrays_are_left_alone(name, TABLE[name][number], gpu)


@primitive
def broken_tanh(x, /):
    """Its gradient is wrong by a thousandth in one element."""
    output = np.tanh(x)

    def backward(g):
        gradient = g * (1 - output * output)
        gradient[0] *= 1.001
        return gradient

    return output, backward


def test_gradcheck_catches_a_broken_primitive():
    x = np.random.default_rng(0).standard_normal(20)
    t = Tensor(x, requires_grad=True)
    broken_tanh(t).sum().backward()
    with pytest.raises(AssertionError, match="gradcheck: direction"):
        gradcheck(lambda x: np.tanh(x).sum(), [x], [t.grad], np.random.default_rng(1))
    gradcheck(lambda x: np.tanh(x).sum(), [x], [1 - np.tanh(x) ** 2], np.random.default_rng(1))


def test_gradcheck_catches_a_missing_gradient_and_nan():
    x = np.ones(3)
    with pytest.raises(AssertionError):
        gradcheck(lambda x: x.sum(), [x], [None], np.random.default_rng(1))
    with pytest.raises(AssertionError):
        gradcheck(lambda x: x.sum(), [x], [np.full(3, np.nan)], np.random.default_rng(1))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: autograd.matmul(np.ones(3), np.ones((3, 2))), "matmul: both arguments need at least two axes"),
        (lambda: autograd.split(np.ones((3, 2)), (1, 1)), "split: sizes"),
    ],
)
def test_wrong_shapes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_where_gives_the_unchosen_side_no_nan():
    x = Tensor(np.array([0.0, 4.0]), requires_grad=True)
    safe = autograd.where(x.data > 0, x, 1.0)
    autograd.where(x.data > 0, autograd.sqrt(safe), 0.0).sum().backward()
    np.testing.assert_array_equal(x.grad, [0, 0.25])


def test_kinks_and_ties_follow_the_convention():
    def gradient(f, *arrays):
        return autograd.value_and_grad(lambda *t: f(*t).sum(), *map(np.array, arrays))[1]

    assert gradient(autograd.relu, [0.0])[0] == 0 and gradient(autograd.absolute, [0.0])[0] == 0
    assert [g.item() for g in gradient(autograd.maximum, [1.0], [1.0])] == [0.5, 0.5]
    np.testing.assert_array_equal(gradient(autograd.max, [3.0, 1.0, 3.0])[0], [0.5, 0, 0.5])
    np.testing.assert_array_equal(gradient(lambda x: autograd.clip(x, 0, 1), [0.0, 1.0, 2.0])[0], [1, 1, 0])
    np.testing.assert_array_equal(gradient(autograd.unit_rows, [[0.0, 0.0], [3.0, 4.0]])[0][0], [0, 0])
    minus = -np.inf
    value, (g,) = autograd.value_and_grad(lambda x: autograd.logsumexp(x, axis=0), np.array([minus, minus]))
    assert value == minus and not g.any()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "dtype, sizes", [("float32", (1e-35, 1e-22, 1e19, 1e37)), ("float64", (1e-300, 1e-160, 1e300))]
)
def test_unit_rows_of_any_size_that_the_dtype_has(dtype, sizes):
    rows = np.random.default_rng(0).standard_normal((3, 5))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    g = np.arange(15.0).reshape(3, 5)
    for size in sizes:
        found, backward = autograd.unit_rows.on_arrays((rows * size).astype(dtype))
        np.testing.assert_allclose(found, unit, rtol=0, atol=8 * np.finfo(dtype).eps)
        expected = (g - unit * (g * unit).sum(axis=1, keepdims=True)) / np.linalg.norm(rows, axis=1, keepdims=True)
        np.testing.assert_allclose(backward(g.astype(dtype)) * np.float64(size), expected, rtol=1e-4, atol=1e-5)
        assert found.dtype == backward(g.astype(dtype)).dtype == dtype
    assert not autograd.unit_rows.on_arrays(np.full((1, 2), np.finfo(dtype).smallest_subnormal, dtype))[0].any()


def torch_pairs(torch):
    F = torch.nn.functional

    def attention(q, k, v, mask):
        def split(x):
            return x.reshape(*x.shape[:2], 2, -1).transpose(1, 2)

        output = F.scaled_dot_product_attention(split(q), split(k), split(v), attn_mask=mask)
        return output.transpose(1, 2).reshape(q.shape)

    mask = np.tril(np.ones((5, 5), bool))
    return {
        "layer_norm": (autograd.layer_norm, lambda x, w, b: F.layer_norm(x, (6,), w, b), [(4, 6), (6,), (6,)]),
        "modulated_norm": (
            autograd.modulated_norm,
            lambda x, a, b: F.layer_norm(x, (6,), eps=1e-6) * (1 + a[:, None]) + b[:, None],
            [(3, 4, 6), (3, 6), (3, 6)],
        ),
        "attention": (
            lambda q, k, v: autograd.attention(q, k, v, mask, heads=2)[0],
            lambda q, k, v: attention(q, k, v, torch.tensor(mask)),
            [(3, 5, 4)] * 3,
        ),
        "gelu": (autograd.gelu, lambda x: F.gelu(x, approximate="tanh"), [(4, 6)]),
        "gelu_erf": (autograd.gelu_erf, F.gelu, [(4, 6)]),
        "log_softmax": (autograd.log_softmax, lambda x: F.log_softmax(x, -1), [(4, 6)]),
        "softplus": (autograd.softplus, F.softplus, [(4, 6)]),
        "batch_norm": (
            lambda x, w, b: autograd.batch_norm(x, w, b)[0],
            lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
            [(5, 6), (6,), (6,)],
        ),
        "logsumexp": (lambda x: autograd.logsumexp(x, axis=0), lambda x: torch.logsumexp(x, 0), [(4, 6)]),
        "cholesky": (
            lambda x: autograd.cholesky(x @ x.T + np.eye(4)),
            lambda x: torch.linalg.cholesky(x @ x.T + torch.eye(4, dtype=x.dtype)),
            [(4, 6)],
        ),
        "log_determinant": (
            lambda x: autograd.log_determinant(x @ x.T + np.eye(4)),
            lambda x: torch.logdet(x @ x.T + torch.eye(4, dtype=x.dtype)),
            [(4, 6)],
        ),
    }


@pytest.mark.crosscheck
@pytest.mark.parametrize(
    "name",
    [
        *("layer_norm", "attention", "gelu", "gelu_erf", "log_softmax", "softplus", "batch_norm", "logsumexp"),
        *("cholesky", "log_determinant", "modulated_norm"),
    ],
)
def test_fused_primitives_equal_torch(name):
    torch = pytest.importorskip("torch")
    mine, theirs, shapes = torch_pairs(torch)[name]
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape) for shape in shapes]
    ours = [Tensor(x, requires_grad=True) for x in arrays]
    others = [torch.tensor(x, requires_grad=True) for x in arrays]
    output, expected = mine(*ours), theirs(*others)
    np.testing.assert_allclose(output.data, expected.detach().numpy(), rtol=1e-9, atol=1e-12)
    g = rng.standard_normal(output.shape)
    output.backward(np.asarray(g))
    expected.backward(torch.tensor(g))
    for one, other in zip(ours, others, strict=True):
        np.testing.assert_allclose(one.grad, other.grad.numpy(), rtol=1e-8, atol=1e-11)
