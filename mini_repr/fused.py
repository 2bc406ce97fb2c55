"""Formulas of several passes in two forms that stand side by side: NumPy's, and one CUDA kernel.

A GPU waits for memory, and its host for launches: what NumPy does in ten passes over a block in the cache is one kernel
there. A formula is declared where it belongs, its CUDA text above its NumPy form:

    @elementwise("T x", "T values, T slope", "...")
    def gelu_and_slope(backend, x, values, slope):
        ...passes that fill values and slope...

``gelu_and_slope(backend, x, values, slope)`` runs the form that suits the backend. Arrays to be written come last and
exist already. In the CUDA text T is the type of the arrays, and of the numbers, which are declared ``number``; masks
are ``bool`` and counts ``int64``. An argument that is None does not exist, one that is given defines WITH_NAME; one
declared ``form T`` is for the NumPy form alone. Where the arrays are neither all float32 nor all float64, or one that
is written is not contiguous, a GPU runs the NumPy form too.

Kernels over rows give each row of the last axis to a warp of 32 threads: enough to read memory in whole lines, and
sums need no shared memory.
"""

import math
from functools import cache

import numpy as np

# {name: Fused} of all that are declared: tests compile each of them.
KERNELS = {}

PREAMBLE = """
#ifndef INFINITY  // NVIDIA's runtime compiler has none
#define INFINITY __int_as_float(0x7f800000)
#endif
template <typename T> __device__ T warp_sum(T value) {
    for (int apart = 16; apart > 0; apart /= 2) value += __shfl_xor_sync(0xffffffff, value, apart);
    return value;
}
template <typename T> __device__ T warp_max(T value) {
    for (int apart = 16; apart > 0; apart /= 2) {
        const T other = __shfl_xor_sync(0xffffffff, value, apart);
        value = other > value ? other : value;
    }
    return value;
}
"""
_WARP = 32
_BLOCK = 128  # threads of a block
_MANY, _EACH = 1 << 20, 4  # above so many elements, each thread takes some, all of them under way at once
_SUMMING = 32 * 1024  # threads of a sum over many arrays: enough to keep all of a GPU busy
_C_TYPES = {"f": "float", "d": "double"}  # by the character of a dtype
# What thread i of a launch over a table does first: it finds the row of its element by bisection, and its place there.
_TABLE = """
typedef {type} T;
const long long columns = {columns};
long long entry = 0, last = entries - 1;
while (entry < last) {{
    const long long middle = (entry + last) / 2;
    if (i < (long long)table[middle * columns]) last = middle; else entry = middle + 1;
}}
const long long place = i - (entry ? (long long)table[(entry - 1) * columns] : 0);
const unsigned long long *words = &table[entry * columns];
"""


def elementwise(reads, writes, cuda):
    """Declare a formula of element ``i``.

    Arrays that are read are stretched to the shape of those that are written, but for ``raw`` ones, which the CUDA text
    indexes as if they were flat.
    """
    return lambda form: _declared(Fused(form, reads, writes, cuda))


def by_rows(reads, writes, cuda):
    """Declare a formula of one row, the last axis of the array that is written first.

    The CUDA text is run by all 32 lanes of a warp. It finds ``row``, ``lane`` and ``width``, and indexes every array as
    if it were flat.
    """
    return lambda form: _declared(FusedRows(form, reads, writes, cuda))


def _declared(kernel):
    KERNELS[kernel.name] = kernel
    return kernel


class Fused:
    """One formula in its two forms, called as ``kernel(backend, *arguments)``."""

    def __init__(self, form, reads, writes, cuda):
        self.form, self.name, self.cuda = form, form.__name__, cuda
        self.reads, self.writes = _parameters(reads), _parameters(writes)
        self._names = {**self.reads, **self.writes}
        self._kinds = tuple(self._names.values())
        self.__doc__ = form.__doc__
        self._compiled = {}

    def __call__(self, backend, *arguments):
        backend.fused(self, arguments)

    def each(self, backend, table):
        """Run on every entry of the list ``table``: (numbers, arrays of one shape), in the order of the arguments."""
        backend.fused_each(self, table)

    def launch(self, cupy, arguments):
        """The CUDA form on CuPy's arrays, of which those that are written are contiguous."""
        written = arguments[len(self.reads)]
        shape, kind = written.shape, written.dtype.char
        passed, layouts = self._launch_numbers(shape), []
        for of, one in zip(self._kinds, arguments, strict=True):
            if one is None or of == "form T":
                layouts.append(None)
            elif of == "number":
                layouts.append(of)
                passed.append(float(one))
            elif of == "int64":
                layouts.append(of)
                passed.append(int(one))
            else:
                one, layout = self._laid_out(cupy, of, one, shape)
                layouts.append(layout)
                passed.append(one)
                if layout == "tail":
                    passed.append(one.size)
        size = passed[0]
        if size:
            key = (kind, *layouts)
            kernel = self._compiled.get(key)
            if kernel is None:
                kernel = self._compiled[key] = cupy.RawKernel(self.source(kind, layouts), self.name)
            kernel((-(-size // (_BLOCK if size < _MANY else _BLOCK * _EACH)),), (_BLOCK,), tuple(passed))

    def launch_each(self, cupy, table):
        """The CUDA form on every entry: one launch for all whose arrays, contiguous, have one dtype."""
        for kind, rows in _tables(table).items():
            kernel = self._compiled.get(kind)
            if kernel is None:
                kernel = self._compiled[kind] = self._table_kernel(cupy, kind)
            kernel(cupy.asarray(rows), len(rows), size=int(rows[-1, 0]))

    def text(self, given):
        """CUDA text for element i, where the arguments ``given`` are not None."""
        numbers = [n for n, kind in self.reads.items() if kind == "number" and n in given]
        return "".join(f"const T {name} = (T){name}_;\n" for name in numbers) + self.cuda

    def table_text(self, kind):
        """CUDA text for thread i of a launch over a table of entries (see ``_tables``)."""
        arguments = "".join(
            f"const T {name} = (T)*(const double*)(words + {k});\n"
            if of == "number"
            else f"{'const ' * (name in self.reads)}T &{name} = ((T*)words[{k}])[place];\n"
            for k, (name, of) in enumerate(self._names.items(), 1)
        )
        return _TABLE.format(type=_C_TYPES[kind], columns=len(self._names) + 1) + arguments + self.cuda

    def source(self, kind, layouts):
        """The text of the kernel for arrays of a dtype's character ``kind`` and the layouts of its arguments.

        A layout is "number", "int64" or, of an array, "flat" (all of it, contiguous), "whole" (element i belongs to
        element i of what is written) or "tail" (it is repeated along the first axes); None is not given.
        """
        given = {n: (of, how) for (n, of), how in zip(self._names.items(), layouts, strict=True) if how is not None}
        parameters, bound = list(self._launch_parameters), ""
        for name, (of, how) in given.items():
            c_type = {"T": "T", "bool": "bool", "number": "double"}.get(of.split()[-1], "long long")
            constant = "const " * (name in self.reads)
            if how in ("number", "int64"):
                parameters.append(f"{c_type} {name}{'_' * (how == 'number')}")
                continue
            flat = how == "flat"
            parameters.append(f"{constant}{c_type}* __restrict__ {name}{'' if flat else '_all'}")
            if how == "tail":
                parameters.append(f"long long {name}_size")
            if not flat:
                place = f"(i < (1LL << 32) ? (unsigned)i % (unsigned){name}_size : i % {name}_size)"
                bound += f"{constant}{c_type} &{name} = {name}_all[{place if how == 'tail' else 'i'}];\n"
        defines = "".join(f"#define WITH_{name.upper()}\n" for name in given)
        return f"""{PREAMBLE}{defines}typedef {_C_TYPES[kind]} T;
extern "C" __global__ void {self.name}({", ".join(parameters)}) {{
    const long long apart = (long long)gridDim.x * blockDim.x;
    #pragma unroll {self._unrolled}
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < size; i += apart) {{
{bound}{self.text(tuple(given))}
    }}
}}"""

    # Of a formula of elements; one of rows differs in these.
    _launch_parameters = ("long long size",)
    _unrolled = 4  # that many elements of a thread are under way at once

    def _launch_numbers(self, shape):
        return [math.prod(shape)]

    def _laid_out(self, cupy, of, array, shape):
        """(array, contiguous; how its elements are found)."""
        if of.startswith("raw "):
            return cupy.ascontiguousarray(array), "flat"
        if array.shape == shape:
            return cupy.ascontiguousarray(array), "whole"
        if array.ndim > 0 and array.shape == shape[len(shape) - array.ndim :]:
            return cupy.ascontiguousarray(array), "tail"
        return cupy.ascontiguousarray(cupy.broadcast_to(array, shape)), "whole"

    def _table_kernel(self, cupy, kind):
        return cupy.ElementwiseKernel("raw uint64 table, int64 entries", "", self.table_text(kind), f"{self.name}_each")


class FusedRows(Fused):
    """One formula of rows in its two forms."""

    _launch_parameters = ("long long size", "long long width")
    _unrolled = 1

    def text(self, given):
        return f"const long long row = i / {_WARP}, lane = i % {_WARP};\n{super().text(given)}"

    def _launch_numbers(self, shape):
        return [_WARP * math.prod(shape[:-1]), shape[-1]]

    def _laid_out(self, cupy, of, array, shape):
        return cupy.ascontiguousarray(array), "flat"


def _parameters(text):
    """{name: kind} of "T x, number eps"."""
    return {name: kind for kind, name in (one.rsplit(maxsplit=1) for one in text.split(", "))}


def _tables(entries):
    """{character of a dtype: (rows, columns) of 64-bit words} of entries (numbers, arrays).

    A row holds how many elements it and all rows before it have, then numbers as doubles and addresses of arrays.
    """
    kinds = {}
    for entry in entries:
        kinds.setdefault(entry[1][0].dtype.char, []).append(entry)
    return {kind: _table(own) for kind, own in kinds.items()}


def _table(entries):
    ends = np.cumsum([arrays[0].size for _, arrays in entries], dtype=np.uint64)
    numbers = np.array([numbers for numbers, _ in entries], dtype=np.float64).view(np.uint64)
    addresses = np.array([[x.data.ptr for x in arrays] for _, arrays in entries], dtype=np.uint64)
    return np.hstack([ends[:, None], numbers, addresses])


def sum_of_squares(cupy, arrays):
    """The sum of the squares of all elements of CuPy's contiguous arrays of one dtype, a float64 array without axes.

    Each thread adds up every so many elements in order, so the sum has the same bits in every run.
    """
    ((kind, rows),) = _tables(((), (x,)) for x in arrays).items()
    threads = min(int(rows[-1, 0]), _SUMMING)
    partial = cupy.empty(threads, dtype=np.float64)
    _squares_kernel(cupy, kind)(cupy.asarray(rows), len(rows), threads, partial)
    return partial.sum()


@cache
def _squares_kernel(cupy, kind):
    return cupy.ElementwiseKernel(
        "raw uint64 table, int64 entries, int64 threads",
        "float64 partial",
        squares_text(kind),
        "sum_of_squares",
    )


def squares_text(kind):
    """CUDA text for thread i of ``threads``, which sums every so many elements of a table of arrays."""
    return f"""
        double sum = 0;
        long long begin = 0;
        for (long long entry = 0, j = i; entry < entries; ++entry) {{
            const {_C_TYPES[kind]} *values = (const {_C_TYPES[kind]}*)table[2 * entry + 1];
            const long long end = table[2 * entry];
            for (; j < end; j += threads) {{
                const double value = values[j - begin];
                sum += value * value;
            }}
            begin = end;
        }}
        partial = sum;
        """
