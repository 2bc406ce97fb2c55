import ast
import gc
import importlib
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from device_double import DOUBLE, NAMES, Device, DoubleArray, add_segments, double_xp

import mini_repr
from mini_repr import backend
from mini_repr.backend import (
    BLOCK_BYTES,
    CPU,
    CupyBackend,
    DeviceError,
    backend_of,
    blocks_of,
    get_backend,
    is_array,
    segments,
)

PACKAGE = Path(mini_repr.__file__).parent


@pytest.fixture
def no_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    backend._cupy_backend.cache_clear()
    yield
    backend._cupy_backend.cache_clear()


def fake_cupy(count):
    """A module that imports as CuPy does on a machine with ``count`` GPUs; an exception instead is raised."""

    def device_count():
        if isinstance(count, Exception):
            raise count
        return count

    used = []
    runtime = SimpleNamespace(getDeviceCount=device_count)
    cuda = SimpleNamespace(runtime=runtime, Device=lambda index: SimpleNamespace(use=lambda: used.append(index)))
    return SimpleNamespace(cuda=cuda, ndarray=type("ndarray", (), {}), used=used)


@pytest.fixture
def with_cupy(monkeypatch):
    def install(count):
        module = fake_cupy(count)
        monkeypatch.setitem(sys.modules, "cupy", module)
        monkeypatch.setattr(backend, "_BACKENDS", dict(backend._BACKENDS))
        backend._cupy_backend.cache_clear()
        return module

    yield install
    backend._cupy_backend.cache_clear()


@pytest.mark.parametrize("name", ["tpu", "", "gpu:", "gpu:x", "gpu:-1", "cpu:0", "GPU"])
def test_unknown_devices_are_named(name):
    with pytest.raises(DeviceError, match="expected cpu, gpu, gpu:N or auto") as caught:
        get_backend(name)
    assert repr(name) in str(caught.value)


def test_gpu_without_cupy_says_what_to_install(no_cupy):
    with pytest.raises(DeviceError, match="CuPy is not installed; pip install 'mini-repr") as caught:
        get_backend("gpu")
    assert "\n" not in str(caught.value)
    assert get_backend("auto") is CPU


@pytest.mark.parametrize("problem", [RuntimeError("cudaErrorNoDevice"), ImportError("libcuda.so.1"), 0])
def test_gpu_with_cupy_but_no_device(with_cupy, problem):
    with_cupy(problem)
    with pytest.raises(DeviceError, match="CuPy finds no"):
        get_backend("gpu")
    assert get_backend("auto") is CPU


def test_gpu_numbers(with_cupy):
    module = with_cupy(2)
    assert get_backend("gpu").name == "gpu:0" and get_backend("gpu:1").name == "gpu:1"
    assert get_backend("gpu:1") is get_backend("gpu:1")
    assert module.used == [0, 1, 1, 1], "what is asked for by name becomes the current device"
    with pytest.raises(DeviceError, match=r"gpu:2: this machine has 2 GPU\(s\)"):
        get_backend("gpu:2")
    assert get_backend("auto").name == "gpu:0"


@pytest.fixture
def two_gpus(monkeypatch):
    """CuPy is the double with its two devices, its arrays not yet known."""
    monkeypatch.setitem(sys.modules, "cupy", double_xp)
    monkeypatch.setattr(backend, "_BACKENDS", {np.ndarray: CPU})
    backend._cupy_backend.cache_clear()
    yield
    backend._cupy_backend.cache_clear()
    Device(0).use()


def test_a_backend_is_found_by_the_device_of_an_array(two_gpus):
    with Device(1):
        there = double_xp.ones(3)
    here = double_xp.ones(3)
    for _ in range(2):  # an unknown type, then a known one
        assert is_array(there) and backend_of(there).name == "gpu:1" and backend_of(here).name == "gpu:0"
    assert double_xp.ones(1).device.id == 0, "a look at an array changes no current device"
    assert get_backend("gpu:1") is backend_of(there) and double_xp.ones(1).device.id == 1
    assert get_backend("gpu") is backend_of(here) and double_xp.ones(1).device.id == 0


def test_arrays_are_brought_to_the_device_of_the_backend(two_gpus):
    first, second = get_backend("gpu:0"), get_backend("gpu:1")
    for gpu, number in ((first, 0), (second, 1)):
        moved = gpu.asarray(np.arange(3.0))
        assert type(moved) is DoubleArray and moved.device.id == number
        np.testing.assert_array_equal(gpu.to_numpy(moved), np.arange(3.0))
        gpu.synchronize()
    assert first.hardware() != second.hardware()
    with pytest.raises(ValueError, match="same as the current device"):
        first.asarray(1.0) + second.asarray(1.0)


def test_arrays_find_their_backend():
    class Special(np.ndarray):
        pass

    assert get_backend("cpu") is CPU
    assert backend_of(np.ones(2)) is CPU and backend_of(1.0, None) is CPU and backend_of() is CPU
    assert backend_of(np.ones(2).view(Special)) is CPU and is_array(np.ones(2).view(Special))
    assert not any(map(is_array, (1.0, np.float32(1), [1], None)))


def test_cpu_face():
    array = np.ones(3)
    assert CPU.asarray(array) is array and CPU.to_numpy(array) is array
    assert CPU.asarray([1, 2], dtype=np.float32).dtype == np.float32
    assert CPU.memory_used() > 1_000_000
    CPU.synchronize()
    np.testing.assert_allclose(CPU.erf(np.array([0.0, 1.0])), [0, 0.8427007929497149])


SHAPES = [
    (1,),
    (7,),
    (0, 5),
    (1, 3),
    (1, 1_000_000),
    (3, 400_000),
    (100_003, 3),
    (2_000_001,),
    (999, 37, 11),
    (BLOCK_BYTES // 8, 1),
    (BLOCK_BYTES // 8 + 1, 1),
    (64, BLOCK_BYTES // 8),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("strided", [False, True])
def test_row_blocks_equal_one_plain_call(shape, strided):
    x = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    if strided:
        x = np.concatenate([x, x], axis=-1)[..., ::2]
    rows, out = np.zeros(x.shape), np.zeros(len(x))

    def kernel(x, rows, out):
        np.multiply(x, 2, out=rows)
        out += x.reshape(len(x), -1).sum(axis=1) if x.size else 0

    CPU.row_blocks(kernel, x, rows, out)
    np.testing.assert_array_equal(rows, 2 * x)
    np.testing.assert_array_equal(out, x.reshape(len(x), -1).sum(axis=1) if x.size else out)


def test_row_blocks_visit_every_row_once_from_several_calls_at_a_time():
    counts = np.zeros((300_000, 4), dtype=np.int64)

    def kernel(block):
        block += 1

    threads = [threading.Thread(target=CPU.row_blocks, args=(kernel, part)) for part in np.split(counts, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (counts == 1).all()


@pytest.mark.parametrize("rows", [10, 500_000])
def test_row_blocks_propagate_exceptions(rows):
    def kernel(block):
        if block[-1] == rows - 1:
            raise FloatingPointError("in the last block")

    with pytest.raises(FloatingPointError, match="in the last block"):
        CPU.row_blocks(kernel, np.arange(rows, dtype=np.float64))
    CPU.row_blocks(lambda block: None, np.arange(rows, dtype=np.float64))


@pytest.mark.parametrize("count", [1, 2, 3, 17])
def test_map_shares_covers_the_blocks_in_order(count):
    blocks = blocks_of(100, -(-100 // count))
    shares = CPU.map_shares(list, blocks)
    assert [block for share in shares for block in share] == blocks
    assert [row for block in blocks for row in range(block.start, block.stop)] == list(range(100))


@pytest.mark.parametrize("bad", [0, 5])
def test_map_shares_propagates_exceptions_and_products_still_work(bad):
    def fail(share):
        if bad in share:
            raise FloatingPointError("in a share")

    with pytest.raises(FloatingPointError, match="in a share"):
        CPU.map_shares(fail, list(range(6)))
    np.testing.assert_array_equal(np.ones((300, 300)) @ np.ones((300, 300)), np.full((300, 300), 300.0))


def test_a_share_that_shares_out_again_does_it_all_itself():
    """Else threads that wait for each other's shares could wait for good, several callers at a time."""
    found = []

    def outer(share):
        return [CPU.map_shares(lambda inner: (threading.get_ident(), inner), [1, 2, 3]) for _ in share]

    callers = [threading.Thread(target=lambda: found.append(CPU.map_shares(outer, list(range(8))))) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    for shares in found:
        for share in shares:
            ((_, inner),) = {(thread, tuple(inner)) for ((thread, inner),) in share}
            assert inner == (1, 2, 3)
    assert len(found) == 4


@pytest.mark.parametrize("size", [8, 2 * BLOCK_BYTES])
def test_tasks_at_once_are_in_order_and_the_first_to_fail_is_named(size):
    assert CPU.at_once([lambda k=k: k for k in range(5)], size) == [0, 1, 2, 3, 4]

    def fail(k):
        raise FloatingPointError(f"task {k}")

    with pytest.raises(FloatingPointError, match="task 1"):
        CPU.at_once([lambda: 0, lambda: fail(1), lambda: 0, lambda: fail(3)], size)


def test_shares_heed_what_the_caller_says_of_overflows():
    def overflow(share):
        return [np.float32(1e30) * np.full(1000, 1e30, np.float32) for _ in share]

    with np.errstate(over="ignore"):
        CPU.map_shares(overflow, list(range(8)))
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        CPU.map_shares(lambda share: overflow(share) if 7 in share else None, list(range(8)))


def test_idle_threads_keep_no_arrays():
    array = np.ones(10)
    seen = weakref.ref(array)
    CPU.map_shares(lambda share, array=array: array.sum(), list(range(8)))
    del array
    gc.collect()
    assert seen() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_has_threads_of_its_own():
    code = """
import multiprocessing, warnings
from mini_repr.backend import CPU
warnings.simplefilter("ignore")  # of threads in a process that forks: it is what is tested
CPU.map_shares(list, list(range(8)))
child = multiprocessing.get_context("fork").Process(target=CPU.map_shares, args=(list, list(range(8))))
child.start()
child.join(60)
child.kill() if child.is_alive() else None
child.join()
raise SystemExit(child.exitcode)
"""
    environment = os.environ | {"MINI_REPR_THREADS": "2"}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


@pytest.mark.parametrize("axes, shape", [(1, (1000, 3)), (2, (7, 5, 3)), (1, (0, 3)), (1, (4,)), (1, (3, 1))])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "complex128"])
def test_column_sums(axes, shape, dtype):
    array = np.random.default_rng(0).integers(-50, 50, shape).astype(dtype)
    sums = CPU.column_sums(array, axes)
    np.testing.assert_array_equal(sums, array.sum(axis=tuple(range(axes))))
    assert sums.dtype == array.dtype and getattr(sums, "base", None) is None


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("transposed", [True, False])
def test_solve_triangular(lower, transposed):
    rng = np.random.default_rng(0)
    whole = rng.standard_normal((5, 5)) + 5 * np.eye(5)
    matrix = np.tril(whole) if lower else np.triu(whole)
    right = rng.standard_normal((5, 3))
    solution = CPU.solve_triangular(whole, right, lower=lower, transposed=transposed)
    np.testing.assert_allclose((matrix.T if transposed else matrix) @ solution, right, rtol=1e-10, atol=1e-12)


INDICES = {
    "repeated": (np.array([0, 2, 0, -1, 2]), (4, 3)),
    "numbers": (np.array([0, 2, 0]), (4,)),
    "no index": (np.zeros(0, np.int64), (4, 3)),
    "deep": (np.array([1, 1]), (2, 3, 2)),
    "pairs": ((np.array([0, 1, 0]), np.array([2, 0, 2])), (2, 3)),
    "grid": (np.array([[0, 1], [1, 1]]), (2, 3)),
    "int32": (np.array([3, 3, 3], np.int32), (4, 2)),
    "column": ((slice(None), np.array([1, 1])), (3, 4)),
    "many": (np.random.default_rng(3).integers(-50, 50, 2000), (50, 8)),
}


@pytest.mark.parametrize("what", INDICES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128, np.int64])
def test_scatter_add_adds_every_repeated_index(what, dtype):
    index, shape = INDICES[what]
    rng = np.random.default_rng(0)
    target = (10 * rng.standard_normal(shape)).astype(dtype)
    values = (10 * rng.standard_normal(target[index].shape)).astype(dtype)
    expected = target.astype(np.complex128)
    np.add.at(expected, index, values)
    kept = target
    CPU.scatter_add(target, index, values)
    assert target is kept and target.dtype == dtype
    np.testing.assert_allclose(target, expected, rtol=1e-5 if dtype == np.float32 else 1e-12, atol=1e-3)


@pytest.mark.parametrize("what", INDICES)
@pytest.mark.parametrize("dtype", [np.float32, np.complex128, np.int64])
@pytest.mark.parametrize("on", ["host", "double"])
def test_the_kernel_of_scatter_add_adds_in_the_order_of_the_index(what, dtype, on):
    """To the bit; atomics (the double's ``add.at``) would not repeat."""
    index, shape = INDICES[what]
    rng = np.random.default_rng(0)
    target = (10 * rng.standard_normal(shape)).astype(dtype)
    for values in ((10 * rng.standard_normal(target[index].shape)).astype(dtype), 3):
        expected = np.array(target.T, order="C").T  # not contiguous
        found = expected.copy(order="K")
        np.add.at(expected, index, values)
        if on == "host":
            add_segments(*segments(np, found, index, values), found)
        else:
            moved = tuple(map(on_double, index)) if isinstance(index, tuple) else on_double(index)
            device = on_double(found)
            DOUBLE.scatter_add(device, moved, on_double(values))
            found = device.get()
        np.testing.assert_array_equal(found, expected)


def on_double(value):
    return DOUBLE.asarray(value) if isinstance(value, np.ndarray) else value


@pytest.mark.gpu
@pytest.mark.parametrize("what", INDICES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128, np.int64])
def test_scatter_add_on_a_gpu_is_that_of_the_host_to_the_bit(what, dtype, gpu):
    index, shape = INDICES[what]
    rng = np.random.default_rng(0)
    target = (10 * rng.standard_normal(shape)).astype(dtype)
    values = (10 * rng.standard_normal(target[index].shape)).astype(dtype)
    moved = gpu.asarray(target)
    parts = [
        gpu.asarray(x) if isinstance(x, np.ndarray) else x for x in (index if isinstance(index, tuple) else (index,))
    ]
    gpu.scatter_add(moved, tuple(parts) if isinstance(index, tuple) else parts[0], gpu.asarray(values))
    np.add.at(target, index, values)
    np.testing.assert_array_equal(gpu.to_numpy(moved), target)


STACKS = {
    "plain": (lambda x: x, lambda y: y),
    "transposed": (
        lambda x: x.swapaxes(1, 3).copy().swapaxes(1, 3),
        lambda y: y.swapaxes(-1, -2).copy().swapaxes(-1, -2),
    ),
    "one for all": (lambda x: x[:, :1], lambda y: y[:1]),
}


@pytest.mark.gpu
@pytest.mark.parametrize("how", STACKS)
@pytest.mark.parametrize("strided_out", [False, True])
def test_products_of_stacks_on_a_gpu(how, strided_out, gpu):
    rng = np.random.default_rng(0)
    x, y = (
        view(rng.standard_normal(shape)) for view, shape in zip(STACKS[how], ((2, 3, 5, 4), (2, 3, 4, 7)), strict=True)
    )
    out = gpu.xp.empty((2, 5, 3, 7)).swapaxes(1, 2) if strided_out else gpu.xp.empty((2, 3, 5, 7))
    gpu.matmul(gpu.asarray(x), gpu.asarray(y), out=out)
    np.testing.assert_allclose(gpu.to_numpy(out), x @ y, rtol=1e-12, atol=1e-12)


@pytest.mark.gpu
def test_heads_are_those_of_the_host_on_a_gpu(gpu):
    rng = np.random.default_rng(0)
    rows, weight, bias = rng.standard_normal((10, 6)), rng.standard_normal((6, 24)), rng.standard_normal(24)
    found = []
    for own in (CPU, gpu):
        heads = own.empty_heads((2, 5, 3, 2, 4), np.float64)
        own.linear_into(*map(own.asarray, (rows, weight, bias)), heads)
        found.append(own.to_numpy(heads))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12, atol=1e-12)


@pytest.mark.gpu
def test_sums_of_squares_and_numbers_read_at_once_on_a_gpu(gpu):
    arrays = [np.random.default_rng(n).standard_normal(size) for n, size in enumerate([1, (30, 7), 100_000])]
    total = gpu.sum_of_squares([gpu.asarray(x) for x in arrays])
    half = gpu.asarray(np.float32(0.5))
    np.testing.assert_allclose(gpu.read([total, half, 3, half]), [sum((x**2).sum() for x in arrays), 0.5, 3, 0.5])
    assert gpu.extremes(gpu.asarray([4, -2, 7])) == (-2, 7)


def test_scatter_add_stretches_values_and_refuses_what_is_outside():
    target = np.zeros((3, 2))
    CPU.scatter_add(target, np.array([0, 0]), 1.5)
    np.testing.assert_array_equal(target, [[3, 3], [0, 0], [0, 0]])
    with pytest.raises(IndexError):
        CPU.scatter_add(target, np.array([3]), np.ones((1, 2)))


def used_names():
    """{dotted name under ``xp``: first place} in the package: ``xp.exp``, ``backend.xp.linalg.inv``."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            parts = []
            while isinstance(node, ast.Attribute) and node.attr != "xp":
                parts.append(node.attr)
                node = node.value
            is_xp = (isinstance(node, ast.Name) and node.id == "xp") or isinstance(node, ast.Attribute)
            if parts and is_xp:
                name = ".".join(reversed(parts))
                found.setdefault(name, f"{path.relative_to(PACKAGE)}:{node.lineno}")
    return found


# What the backend that stands for CuPy alone uses.
CUPY_ONLY = {
    "__version__",
    "cuda.Device",
    "cuda",
    "asnumpy",
    "get_default_memory_pool",
}


def test_every_name_used_under_xp_is_one_that_cupy_has():
    """By the list that was written from CuPy; the next test asks CuPy itself where it is installed."""
    used = used_names()
    assert {"exp", "linalg.cholesky", "cuda.Device", "ndarray"} <= used.keys(), "the scan finds nothing"
    assert not missing(used, in_list), f"not in cupy_names.txt: {missing(used, in_list)}"


def test_every_name_used_under_xp_exists_in_the_installed_cupy():
    pytest.importorskip("cupy")
    cupy = importlib.import_module("cupy")
    for part in ("linalg", "random", "fft"):
        importlib.import_module(f"cupy.{part}")

    def exists(name):
        thing = cupy
        for part in name.split("."):
            if not hasattr(thing, part):
                return False
            thing = getattr(thing, part)
        return True

    assert not missing(used_names(), exists)


def missing(used, exists):
    return {name: place for name, place in used.items() if not exists(name)}


def in_list(name):
    head, _, rest = name.partition(".")
    if name in NAMES or name in CUPY_ONLY:
        return True
    if head in ("linalg", "random", "fft"):
        return False
    # A ufunc's method, or an attribute of what a call or a type gives: the head must exist.
    return head in NAMES and (f"ufunc.{rest}" in NAMES or head in ("ndarray", "cuda"))


def test_the_face_of_the_cupy_backend_is_the_same_as_the_hosts():
    face = {name for name in vars(type(CPU)) if not name.startswith("_")}
    own = {name for name in vars(CupyBackend) if not name.startswith("_")}
    assert own <= face


def in_a_process(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}
    )
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


def test_the_environment_says_how_many_threads_work():
    code = "from mini_repr.backend import CPU; print(len(CPU.map_shares(lambda share: len(share), [1, 2, 3, 4, 5])))"
    assert in_a_process(code, MINI_REPR_THREADS="3") == "3" and in_a_process(code, MINI_REPR_THREADS="1") == "1"
    assert in_a_process(code, MINI_REPR_THREADS="no").startswith("ValueError: MINI_REPR_THREADS: got 'no', expected a")


def test_an_import_leaves_the_process_as_it_is_and_a_command_keeps_blocks():
    watched = """
import ctypes, platform
calls = []
ctypes.CDLL = lambda *_: type("C", (), {"mallopt": lambda self, *a: calls.append(a)})()
platform.libc_ver = lambda: ("glibc", "")
import mini_repr.backend as b
"""
    assert in_a_process(watched + "print(len(calls))") == "0"
    assert in_a_process(watched + "b.keep_large_blocks(); print(len(calls))") == "2"
