"""Every CUDA form against its NumPy form: the same text, compiled for the host, with a warp of 32 host threads."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest
from fused_cases import USED_UP, cases

from mini_repr.backend import CPU
from mini_repr.fused import KERNELS, PREAMBLE, FusedRows, _tables, squares_text

HOST = """
#include <barrier>
#include <cmath>
#include <thread>
#include <vector>
using namespace std;
#define __device__
static barrier<> together(32);
static double slots[32];
static thread_local int own;
void __syncwarp() { together.arrive_and_wait(); }
template <typename T> T __shfl_xor_sync(unsigned, T value, int apart) {
    slots[own] = value;
    together.arrive_and_wait();
    const T other = slots[own ^ apart];
    together.arrive_and_wait();
    return other;
}
"""
C_TYPES = {
    "T": "T",
    "raw T": "T",
    "form T": "T",
    "bool": "bool",
    "int64": "long long",
    "raw int64": "long long",
    "number": "double",
}


def given_of(kernel, arguments):
    names = [*kernel.reads, *kernel.writes]
    return tuple(name for name, one in zip(names, arguments, strict=True) if one is not None)


def function_text(kernel, given, name, dtype):
    """C++ of a function that runs a kernel for all its elements, or for all its rows by 32 threads."""
    kinds = {n: kind for n, kind in {**kernel.reads, **kernel.writes}.items() if n in given}
    rows = isinstance(kernel, FusedRows)
    parameters, bound = ["long long size", "long long width"] if rows else ["long long size"], ""
    for n, kind in kinds.items():
        if kind in ("number", "int64"):
            parameters.append(f"{C_TYPES[kind]} {n}{'_' * (kind == 'number')}")
        elif rows or kind == "raw T":
            parameters.append(f"{C_TYPES[kind]} *{n}")
        else:
            parameters.append(f"{C_TYPES[kind]} *{n}_all")
            bound += f"{C_TYPES[kind]} &{n} = {n}_all[i];\n"
    defines = "".join(f"#define WITH_{n.upper()}\n" for n in given)
    undefines = defines.replace("define", "undef")
    if rows:
        loop = f"""
        vector<thread> warp;
        for (int number = 0; number < 32; ++number) warp.emplace_back([=]() mutable {{
            own = number;
            for (long long i = number; i < size; i += 32) {{ {kernel.text(given)} }}
        }});
        for (auto &one : warp) one.join();"""
    else:
        loop = f"for (long long i = 0; i < size; ++i) {{ {bound}{kernel.text(given)} }}"
    c_type = "float" if dtype == "float32" else "double"
    body = f'extern "C" void {name}({", ".join(parameters)}) {{ {loop}\n}}'
    return f"{defines}namespace in_{name} {{ typedef {c_type} T;\n{body} }}\n{undefines}"


def table_function_text(name, text, more=""):
    return f"""
    extern "C" void {name}(long long size, const unsigned long long *table, long long entries{more}) {{
        for (long long i = 0; i < size; ++i) {{ {text} }}
    }}"""


@pytest.fixture(scope="module", params=["float32", "float64"])
def compiled(request, tmp_path_factory):
    """(dtype, the library of all functions)."""
    if shutil.which("g++") is None:
        pytest.skip("no g++")
    dtype, folder = request.param, tmp_path_factory.mktemp("fused")
    texts = {}
    for name, arguments in cases(dtype):
        kernel = KERNELS[name]
        given = given_of(kernel, arguments)
        own = "_".join((name, *given))
        texts[own] = function_text(kernel, given, own, dtype)
    texts["table"] = table_function_text("adamw_each", KERNELS["adamw_update"].table_text(np.dtype(dtype).char))
    squares = squares_text(np.dtype(dtype).char).replace("partial = sum", "partials[i] = sum")
    texts["squares"] = table_function_text("squares", squares, ", long long threads, double *partials")
    source = folder / "fused.cpp"
    source.write_text(HOST + PREAMBLE + "".join(texts.values()))
    library = folder / "fused.so"
    options = ["-std=c++20", "-O1", "-ffp-contract=off", "-shared", "-fPIC", "-pthread"]
    subprocess.run(["g++", *options, "-o", library, source], check=True)
    return dtype, ctypes.CDLL(str(library))


def call(library, kernel, arguments):
    """Run the compiled text on copies of host arrays; returns all that it was given, written or not."""
    written = arguments[len(kernel.reads)]
    rows = isinstance(kernel, FusedRows)
    own, passed = [], []
    for one, kind in zip(arguments, [*kernel.reads.values(), *kernel.writes.values()], strict=True):
        if isinstance(one, np.ndarray):
            one = np.ascontiguousarray(one if rows or kind == "raw T" else np.broadcast_to(one, written.shape)).copy()
            passed.append(ctypes.c_void_p(one.ctypes.data))
        elif one is not None:
            passed.append(ctypes.c_double(one) if kind == "number" else ctypes.c_longlong(one))
        own.append(one)
    width = written.shape[-1]
    size = 32 * (written.size // width) if rows else written.size
    function = getattr(library, "_".join((kernel.name, *given_of(kernel, arguments))))
    function(ctypes.c_longlong(size), *([ctypes.c_longlong(width)] if rows else []), *passed)
    return own


def close(found, expected, dtype, what):
    if expected.dtype.kind in "bi":
        np.testing.assert_array_equal(found, expected, err_msg=what)
        return
    # A few units in the last place, of the largest element where sums cancel.
    unit = np.finfo(dtype).eps
    size = np.abs(expected[np.isfinite(expected)]).max(initial=0)
    np.testing.assert_allclose(found, expected, rtol=32 * unit, atol=8 * unit * min(size, 1), err_msg=what)


@pytest.mark.parametrize("number", range(len(cases("float64"))), ids=lambda k: f"{cases('float64')[k][0]}-{k}")
def test_both_forms_agree(compiled, number):
    dtype, library = compiled
    name, arguments = cases(dtype)[number]
    check(name, arguments, call(library, KERNELS[name], arguments), dtype)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("number", range(len(cases("float64"))), ids=lambda k: f"{cases('float64')[k][0]}-{k}")
def test_the_cuda_form_on_a_gpu(number, dtype, gpu):
    name, arguments = cases(dtype)[number]
    moved = [gpu.asarray(np.copy(x)) if isinstance(x, np.ndarray) else x for x in arguments]
    KERNELS[name](gpu, *moved)
    check(name, arguments, [gpu.to_numpy(x) if hasattr(x, "shape") else x for x in moved], dtype)


def check(name, arguments, found, dtype):
    """Compare what a CUDA form left in its arguments with what the NumPy form does to copies of them."""
    kernel = KERNELS[name]
    expected = [np.copy(x) if isinstance(x, np.ndarray) else x for x in arguments]
    with np.errstate(all="ignore"):
        kernel.form(CPU, *expected)
    written = zip(kernel.writes, found[len(kernel.reads) :], expected[len(kernel.reads) :], strict=True)
    for n, one, other in list(written)[name in USED_UP :]:
        close(one, other, dtype, f"{name}: {n}")


class OnDevice(np.ndarray):
    """A host array that tells its address as CuPy's do."""

    class Memory:
        def __init__(self, ptr):
            self.ptr = ptr

    @property
    def data(self):
        return self.Memory(self.ctypes.data)


def entries_of(dtype, sizes):
    rng = np.random.default_rng(1)
    arrays = [[np.abs(rng.standard_normal(n)).astype(dtype).view(OnDevice) for _ in range(4)] for n in sizes]
    return [((1e-3 * k, 1e-8, 0.9, 0.1, 0.999, 0.001, 0.99), own) for k, own in enumerate(arrays, 1)]


def test_a_launch_over_a_table_updates_every_array_with_its_own_numbers(compiled):
    dtype, library = compiled
    table = entries_of(dtype, (1, 7, 1, 40, 3))
    expected = [(numbers, [np.array(x) for x in arrays]) for numbers, arrays in table]
    CPU.fused_each(KERNELS["adamw_update"], expected)
    ((_, rows),) = _tables(table).items()
    library.adamw_each(ctypes.c_longlong(52), ctypes.c_void_p(rows.ctypes.data), ctypes.c_longlong(len(rows)))
    for (_, arrays), (_, wanted) in zip(table, expected, strict=True):
        for one, other in zip(arrays, wanted, strict=True):
            close(np.asarray(one), other, dtype, "adamw_update")


@pytest.mark.parametrize("threads", [1, 5, 64])
def test_squares_are_summed_over_all_arrays(compiled, threads):
    dtype, library = compiled
    arrays = [own[0] for _, own in entries_of(dtype, (1, 7, 1, 40, 3))]
    ((_, rows),) = _tables(((), (x,)) for x in arrays).items()
    partials = np.full(threads, np.nan)
    arguments = (threads, rows.ctypes.data, len(rows), threads, partials.ctypes.data)
    library.squares(*(ctypes.c_void_p(x) if x > 1e6 else ctypes.c_longlong(x) for x in arguments))
    expected = sum(float((np.asarray(x, np.float64) ** 2).sum()) for x in arrays)
    np.testing.assert_allclose(partials.sum(), expected, rtol=1e-14)
