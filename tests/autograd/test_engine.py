import gc
import weakref

import numpy as np
import pytest

from mini_repr.autograd import (
    Tensor,
    eigh,
    exp,
    multiply,
    no_grad,
    primitive,
    record,
    split,
    stop_gradient,
    sum,
    tanh,
    value_and_grad,
    where,
)
from mini_repr.autograd.tensor import is_recording, unbroadcast


def leaf(*values):
    return Tensor(np.array(values, dtype=float), requires_grad=True)


def test_a_tensor_used_twice_adds_its_gradients():
    x = leaf(1.0, 2.0)
    (x + x).sum().backward()
    np.testing.assert_array_equal(x.grad, [2, 2])
    y = leaf(3.0)
    (y * y * y).sum().backward()
    np.testing.assert_array_equal(y.grad, [27])


def test_shared_sub_expressions():
    x = leaf(0.5, -1.0)
    shared = tanh(x)
    a, b = shared + 1, shared + 1  # both pass the same g on
    ((a + b) * (shared + a)).sum().backward()
    t = np.tanh(x.data)
    derivative = 2 * (2 * t + 1) + 2 * (2 * t + 2)
    np.testing.assert_allclose(x.grad, derivative * (1 - t * t), rtol=1e-14)


def test_accumulating_never_writes_into_what_others_hold():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    g = np.array([1.0, 10.0])
    out = (x + y) + x  # add hands the same g to both sides
    out.backward(g)
    np.testing.assert_array_equal(g, [1, 10])
    np.testing.assert_array_equal(x.grad, [2, 20])
    np.testing.assert_array_equal(y.grad, [1, 10])
    x.grad *= 5
    np.testing.assert_array_equal(y.grad, [1, 10])
    assert not np.shares_memory(x.grad, y.grad) and not np.shares_memory(y.grad, g)


def test_a_leaf_that_adds_more_leaves_alone_what_later_calls_still_read():
    x = leaf(0.5, -1.0)
    (2 * (x + (tanh(x) + exp(x)))).sum().backward()  # one g for x, tanh and exp; exp's part comes before tanh reads it
    t, e = np.tanh(x.data), np.exp(x.data)
    np.testing.assert_allclose(x.grad, 2 * (1 + (1 - t * t) + e), rtol=1e-14)


def test_leaf_gradients_are_independent_writable_arrays():
    x, y = leaf(*range(6)), leaf(*range(6))
    (x.reshape(2, 3).T + y.reshape(2, 3).T).sum().backward()
    for one in (x, y):
        assert one.grad.flags.writeable and one.grad.base is None and one.grad.shape == (6,)
    x.grad *= 0
    assert y.grad.all()


def test_gradients_add_up_over_backward_calls():
    x = leaf(1.0)
    first = (x * 2).sum()
    second = (x * 3).sum()
    first.backward()
    second.backward()
    np.testing.assert_array_equal(x.grad, [5])
    x.grad = None
    (x * 4).sum().backward()
    np.testing.assert_array_equal(x.grad, [4])


def test_history_is_freed_as_it_goes():
    alive_at_first_op = []
    saved = []

    @primitive
    def first(x, /):
        def backward(g):
            gc.collect()
            alive_at_first_op.extend(reference() is not None for reference in saved)
            return g * 1

        return x * 1, backward

    @primitive
    def saver(x, /):
        kept = x * 2
        saved.append(weakref.ref(kept))
        return x * 2, lambda g: g * 2 + kept * 0

    x = leaf(1.0)
    out = saver(saver(first(x))).sum()
    assert all(reference() is not None for reference in saved)
    out.backward()
    assert alive_at_first_op == [False, False]


def test_history_dies_with_the_last_tensor():
    x = leaf(1.0)
    middle = exp(x)
    reference = weakref.ref(middle.data)
    out = middle * 2
    del middle
    assert reference() is not None
    del out
    gc.collect()
    assert reference() is None


def test_second_backward_is_an_error():
    x = leaf(1.0)
    shared = exp(x)
    out = shared.sum()
    out.backward()
    with pytest.raises(RuntimeError, match="walked already"):
        out.backward()
    with pytest.raises(RuntimeError, match="walked already"):
        (shared * 2).sum().backward()


def test_no_grad_records_nothing_and_recording_comes_back_after_an_error():
    x = leaf(1.0)
    with no_grad():
        with no_grad():
            pass
        y = x * 2
        assert not is_recording()
    assert not y.requires_grad and y.origin is None
    with pytest.raises(ValueError), no_grad():
        raise ValueError
    assert is_recording() and (x * 2).requires_grad


def test_constants_record_nothing():
    assert (Tensor(np.ones(2)) * 3).origin is None
    assert not exp(np.ones(2)).requires_grad


def test_stop_gradient():
    x = leaf(3.0)
    (x * stop_gradient(x)).sum().backward()
    np.testing.assert_array_equal(x.grad, [3])
    assert not stop_gradient(x).requires_grad and stop_gradient(x).data is x.data
    np.testing.assert_array_equal(stop_gradient(np.ones(2)).data, [1, 1])


def test_value_and_grad():
    x, y, unused = np.array([1.0, 2.0]), np.array(3.0), np.ones((2, 2))
    value, gradients = value_and_grad(lambda a, b, c, power: (a**power * b).sum(), x, y, unused, power=2)
    assert value == 15.0
    np.testing.assert_array_equal(gradients[0], 2 * x * y)
    assert gradients[1] == 5.0 and gradients[1].shape == ()
    np.testing.assert_array_equal(gradients[2], np.zeros((2, 2)))
    value, (g,) = value_and_grad(lambda a: Tensor(np.array(7.0)), x)
    assert value == 7.0 and not g.any()


def test_outputs_that_nothing_used_arrive_as_none():
    x = leaf(*range(6))
    first, _, third = split(x, (1, 2, 3))
    (first.sum() + (third * 2).sum()).backward()
    np.testing.assert_array_equal(x.grad, [1, 0, 0, 2, 2, 2])
    matrix = Tensor(np.diag([1.0, 2.0, 4.0]), requires_grad=True)
    values, _ = eigh(matrix)
    values.sum().backward()
    np.testing.assert_allclose(matrix.grad, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("which", [0, 1])
def test_backward_from_one_output_of_several(which):
    x = leaf(1.0, 2.0)
    split(x, (1, 1))[which].backward()
    np.testing.assert_array_equal(x.grad, np.eye(2)[which])


def test_deep_chains_need_no_recursion():
    x = leaf(1.0)
    y = x
    for _ in range(10_000):
        y = y + 1e-4
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [1])
    del y
    z = x
    for _ in range(10_000):
        z = z * 1.0
    del z  # taking a long history apart must not recurse either
    gc.collect()


def test_a_wide_fan_out():
    x = leaf(1.0)
    total = sum(x * 0.0)
    for k in range(100):
        total = total + (x * k).sum()
    total.backward()
    np.testing.assert_array_equal(x.grad, [4950])


@pytest.mark.parametrize(
    "shape", [(), (1,), (4,), (3, 1), (1, 4), (3, 4), (1, 1), (2, 3, 4), (2, 1, 4), (1, 3, 1)], ids=str
)
def test_unbroadcast_is_the_adjoint_of_broadcasting(shape):
    rng = np.random.default_rng(0)
    g, x = rng.standard_normal((2, 3, 4)), rng.standard_normal(shape)
    summed = unbroadcast(g, shape)
    assert summed.shape == shape
    np.testing.assert_allclose((g * x).sum(), (summed * x).sum(), rtol=1e-12)


def test_unbroadcast_of_empty_axes():
    assert unbroadcast(np.ones((0, 3)), (3,)).tolist() == [0, 0, 0]
    assert unbroadcast(np.ones((0, 3)), (1, 3)).tolist() == [[0, 0, 0]]
    assert unbroadcast(np.ones((0, 3)), (0, 1)).shape == (0, 1)


def test_an_exception_in_a_forward_leaves_the_engine_usable():
    x = leaf(1.0, 2.0)
    with pytest.raises(ValueError):
        x + np.ones(3)
    (x * 2).sum().backward()
    np.testing.assert_array_equal(x.grad, [2, 2])


def test_an_exception_in_a_backward_leaves_the_engine_usable():
    @primitive
    def failing(x, /):
        def backward(g):
            raise FloatingPointError("no")

        return x * 1, backward

    x = leaf(1.0)
    with pytest.raises(FloatingPointError):
        failing(x).sum().backward()
    (x * 2).sum().backward()
    np.testing.assert_array_equal(x.grad, [2])


def test_backward_needs_a_scalar_or_a_gradient_of_the_same_shape():
    x = leaf(1.0, 2.0)
    with pytest.raises(ValueError, match=r"shape \(2,\) needs a gradient"):
        (x * 2).backward()
    with pytest.raises(ValueError, match=r"gradient has shape \(3,\), the tensor has \(2,\)"):
        (x * 2).backward(np.ones(3))
    with pytest.raises(RuntimeError, match="does not depend"):
        Tensor(np.ones(1)).backward()
    (x * 2).backward(np.ones(2))
    one = leaf(5.0)
    (one * one).backward()
    np.testing.assert_array_equal(one.grad, [10])


def test_backward_on_a_leaf():
    x = Tensor(np.array(2.0), requires_grad=True)
    x.backward()
    assert x.grad == 1.0


@pytest.mark.parametrize("data", [np.arange(3), np.array([True]), 3])
def test_integers_cannot_require_a_gradient(data):
    with pytest.raises(TypeError, match="requires_grad needs floating-point data"):
        Tensor(data, requires_grad=True)


def test_a_tensor_of_a_tensor_is_refused():
    with pytest.raises(TypeError, match="is a Tensor already"):
        Tensor(leaf(1.0))


def test_settings_may_stand_among_the_arguments():
    x = Tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    (x.sum(0) ** 2).sum().backward()
    np.testing.assert_array_equal(x.grad, 2 * np.broadcast_to(x.data.sum(0), (2, 3)))


def test_a_backward_with_too_few_or_too_many_gradients_is_refused():
    x = leaf(1.0)
    for count in (1, 3):
        out = record(x.data * 2, lambda g, count=count: (g * 2,) * count, (x, x))
        with pytest.raises(RuntimeError, match=f"returned {count} gradients for 2"):
            out.sum().backward()


def test_python_operators_and_their_reflections():
    x = leaf(2.0)
    out = 1 + x - 3 * x / (4 - x) + (8 / x) * (1 - x) ** 2 - (-x)
    out.sum().backward()
    expected = 1 - 3 * 4 / (4 - 2) ** 2 - 8 / 4 * 1 + 8 / 2 * 2 * 1 + 1
    np.testing.assert_allclose(x.grad, [expected])
    left = np.arange(6.0).reshape(2, 3) @ Tensor(np.ones((3, 1)), requires_grad=True)
    assert isinstance(left, Tensor) and left.shape == (2, 1)
    assert isinstance(np.float64(2) * x, Tensor) and isinstance(np.ones(1) * x, Tensor)


def test_dtype_follows_the_parameter():
    x = Tensor(np.ones(2, np.float32), requires_grad=True)
    (x * np.ones(2)).sum().backward()  # computed in float64
    assert x.grad.dtype == np.float32


def test_multi_use_of_a_borrowed_then_owned_gradient():
    """The first gradient to arrive is a view of g, the next two are added out of place, then in place."""
    x = leaf(1.0, 2.0)
    y = x * 1
    g = np.ones(2)
    total = ((y + 0) + y) + multiply(y, 3.0)
    total.backward(g)
    np.testing.assert_array_equal(x.grad, [5, 5])
    np.testing.assert_array_equal(g, [1, 1])


def test_where_through_the_engine_on_a_number():
    x = leaf(1.0, -1.0)
    where(x.data > 0, x, 0.0).sum().backward()
    np.testing.assert_array_equal(x.grad, [1, 0])


def test_tensor_says_what_it_is():
    x = leaf(1.0)
    assert repr(x) == "Tensor(array([1.]), requires_grad=True)"
    assert len(x) == 1 and x.size == 1 and x.ndim == 1 and x.dtype == np.float64 and x.item() == 1.0
    assert x.T.shape == (1,) and x.reshape(1, 1).transpose(1, 0).shape == (1, 1)


def test_a_costly_gradient_is_made_only_where_it_is_wanted():
    made = []

    @primitive
    def product(x, y, /):
        def backward(g):
            def of_x():
                made.append("x")
                return g * y

            return of_x, g * x

        return x * y, backward

    x, y = Tensor(np.array([2.0])), Tensor(np.array([3.0]), requires_grad=True)
    product(x, y).backward()
    assert made == []
    assert y.grad.tolist() == [2.0]
    product(Tensor(x.data, requires_grad=True), y).backward()
    assert made == ["x"]


def test_the_gradient_of_a_number_used_twice_is_an_array_that_can_be_written_to():
    x = Tensor(np.array(2.0), requires_grad=True)
    y = x * x
    (y * y + y).backward()
    assert isinstance(x.grad, np.ndarray) and x.grad == 2 * 2 * 2 * 4 + 2 * 2
    x.grad *= 0.5
    (x * 1.0).backward()
    assert isinstance(x.grad, np.ndarray) and x.grad == 18 + 1
