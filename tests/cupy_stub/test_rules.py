"""Single rules of CuPy that the backend relies on."""

import ctypes
import threading

import cupyx
import numpy as np
import pytest
import stub
from cupy.cuda import cublas

from mini_repr.autograd.primitives.normalisation import normalise_into
from mini_repr.backend import DeviceError, backend_of, get_backend


def test_failed_factorisations_raise_in_the_block_and_nowhere_else(backend):
    """CuPy keeps the setting for each thread, and takes it up where the block is entered, not where it is made."""
    elsewhere = []
    block = backend.singular_raises()
    assert cupyx.geterr()["linalg"] == "ignore"
    with block:
        assert cupyx.geterr()["linalg"] == "raise"
        other = threading.Thread(target=lambda: elsewhere.append(cupyx.geterr()["linalg"]))
        other.start()
        other.join()
    assert cupyx.geterr()["linalg"] == "ignore" and elsewhere == ["ignore"]


def test_two_devices(backend):
    second = get_backend("gpu:1")
    there = second.asarray([1.0])
    assert get_backend("gpu:0") is backend and backend_of(there) is second and there.device.id == 1
    assert backend.xp.ones(1).device.id == 0
    with pytest.raises(DeviceError, match=r"gpu:2: this machine has 2 GPU\(s\)"):
        get_backend("gpu:2")


def test_repeated_indices_are_added_without_a_wait(backend):
    xp = backend.xp
    stub.reset()
    backend.scatter_add(xp.zeros((5, 3)), xp.zeros(4, dtype=int), xp.ones((4, 3)))
    assert stub.counts()["kernel add_segments"] == 1 and stub.waits() == 0


def matrices(pointer, dtype, rows, columns, from_column_to_column, from_one_to_one, count):
    """A view of memory as cuBLAS reads it, column by column: (count, rows, columns)."""
    size = np.dtype(dtype).itemsize
    elements = (count - 1) * from_one_to_one + (columns - 1) * from_column_to_column + rows
    memory = np.frombuffer((ctypes.c_char * (elements * size)).from_address(pointer), dtype)
    strides = (from_one_to_one * size, size, from_column_to_column * size)
    return np.lib.stride_tricks.as_strided(memory, (count, rows, columns), strides)


@pytest.fixture
def cublas_that_computes(monkeypatch):
    """cuBLAS's strided batched product, as its manual defines it, on the stub's memory, which is the host's."""

    def product(handle, turned_a, turned_b, m, n, k, one, a, a_kind, lda, a_step, b, b_kind, ldb, b_step, *rest):
        _zero, c, c_kind, ldc, c_step, count, compute, _algorithm = rest
        dtype = {0: np.float32, 1: np.float64}[c_kind]
        assert lda >= (k if turned_a else m) and ldb >= (n if turned_b else k) and ldc >= m
        assert compute == a_kind == b_kind == c_kind
        left = matrices(a, dtype, *((k, m) if turned_a else (m, k)), lda, a_step, count)
        right = matrices(b, dtype, *((n, k) if turned_b else (k, n)), ldb, b_step, count)
        left, right = (x.swapaxes(1, 2) if turned else x for x, turned in ((left, turned_a), (right, turned_b)))
        matrices(c, dtype, m, n, ldc, c_step, count)[...] = left @ right

    monkeypatch.setattr(cublas, "gemmStridedBatchedEx", product)


def on_device(backend, values, order):
    """An array of the values of ``values`` whose axes lie in memory in this order."""
    back = np.argsort(order)
    return backend.asarray(np.ascontiguousarray(values.transpose(order))).transpose(back)


@pytest.mark.parametrize("x_order", [(0, 1, 2, 3), (0, 1, 3, 2)])
@pytest.mark.parametrize("y_order", [(0, 1, 2, 3), (0, 1, 3, 2)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_of_stacks_read_matrices_as_they_lie(x_order, y_order, dtype, backend, cublas_that_computes):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 3, 5, 4)).astype(dtype), rng.standard_normal((2, 3, 4, 7)).astype(dtype)
    out = backend.xp.empty((2, 3, 5, 7), dtype=dtype)
    moved = on_device(backend, x, x_order), on_device(backend, y, y_order)
    stub.reset()
    backend.matmul(*moved, out=out)
    assert stub.launches() == 0, "nothing is copied"
    found = matrices(out.data.ptr, dtype, 7, 5, 7, 35, 6).swapaxes(1, 2).reshape(2, 3, 5, 7)
    np.testing.assert_allclose(found, x @ y, rtol=1e-5 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("count", [1, 3])
def test_products_of_heads_find_every_matrix(heads, count, backend, cublas_that_computes):
    """The axis of a single head has a stride of its own, which leads nowhere."""
    rng = np.random.default_rng(0)
    rows = [rng.standard_normal((count, 5, heads * 4)) for _ in range(2)]
    x, y = (x.reshape(count, 5, heads, 4).swapaxes(1, 2) for x in rows)
    moved = [backend.asarray(x).reshape(count, 5, heads, 4).swapaxes(1, 2) for x in rows]
    if heads > 1:  # the stub's kernels copy nothing
        moved = [on_device(backend, one, (0, 1, 2, 3)) for one in (x, y)]
    out = backend.xp.empty((count, heads, 5, 5))
    backend.matmul(moved[0], moved[1].swapaxes(-1, -2), out=out)
    found = matrices(out.data.ptr, "float64", 5, 5, 5, 25, count * heads).swapaxes(1, 2).reshape(out.shape)
    np.testing.assert_allclose(found, x @ y.swapaxes(-1, -2), rtol=1e-12)


def test_products_copy_heads_that_do_not_lie_evenly(backend):
    xp = backend.xp
    packed = xp.ones((2, 5, 3, 4), dtype="float32").swapaxes(1, 2)  # heads of rows: (2, 3, 5, 4)
    stub.reset()
    backend.matmul(packed, packed.swapaxes(-1, -2), out=xp.empty((2, 3, 5, 5), dtype="float32"))
    assert stub.counts()["kernel cupy_copy__float32_float32"] == 2
    assert stub.counts()["library cublasGemmStridedBatchedEx"] == 1


def test_the_statistics_of_a_layer_norm_are_no_products(backend):
    """Which CUPY_TF32 would round to 10 bits."""
    xp = backend.xp
    rows = xp.ones((6, 5), dtype="float32")
    stub.reset()
    normalise_into(backend, rows, 1e-5, xp.empty_like(rows), xp.empty((6, 1), dtype="float32"))
    assert stub.counts()["kernel normalise_into"] == 1 and stub.counts()["library cublasGemmEx"] == 0


def test_numbers_are_read_in_one_wait(backend):
    values = [backend.asarray(np.full(1, 2.5, "float32")).reshape(()), 3, backend.xp.zeros((), dtype="float64")]
    stub.reset()
    assert backend.read([*values, values[0]])[1] == 3.0 and stub.waits() == 1
    assert backend.read([1, 2.5]) == [1.0, 2.5] and stub.waits() == 1
