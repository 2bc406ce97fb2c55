"""One interface to NumPy and CuPy; only this file chooses between them.

A *backend* knows one array library: its namespace ``xp`` and the few calls where NumPy and CuPy part ways.
``backend_of(array)`` finds the backend of an array, so that numerical code runs wherever its inputs live;
``get_backend("gpu:1")`` makes one from what a user typed, and its GPU the current one: CuPy puts new arrays there. Work
on arrays of another GPU belongs in a block ``with cupy.cuda.Device(i)``. Random numbers are always drawn on the host
and then moved: the same seed gives the same run on every device.
"""

import ctypes
import math
import os
import platform
import sys
from contextlib import nullcontext
from contextvars import copy_context
from functools import cache, lru_cache, partial
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread, local

import numpy as np

from mini_repr.fused import by_rows, sum_of_squares

# Blocks of rows that go through several passes in turn have about this many bytes: small enough that a pass finds in
# the second-level cache what the one before left there, large enough that the cost of a call, and threads that wait for
# each other at the interpreter's lock, do not show. As little work as one block is done by the thread that asks.
BLOCK_BYTES = 1024 * 1024
# Characters of dtypes that CUDA kernels take.
_SINGLE, _DOUBLE, _COUNTS = {"f"}, {"d"}, {"?", "l", "q"}


class DeviceError(ValueError):
    """The device that was asked for cannot be had here."""


class NumpyBackend:
    """Arrays in main memory; also the interface that every other backend implements."""

    name = "cpu"
    xp = np
    tile_bytes = 2 * 1024 * 1024  # of a tile of similarities: exponentials stay in the cache, products stay large
    reading_waits = False  # whether the host stands still until work is done when it reads a number
    keeps_slopes = True  # whether to hold the slope of an activation is cheaper than to compute it where it is needed

    def of(self, array):
        """The backend of an array of this library: one for each device."""
        return self

    def hardware(self):
        """What tells this device from all others of the machine."""
        return self.name

    def asarray(self, values, dtype=None):
        """Bring host values (array, list, number) to this device, without a copy where none is needed."""
        return self.xp.asarray(values, dtype=dtype)

    def to_numpy(self, array):
        """The array's values on the host."""
        return np.asarray(array)

    def use(self):
        """Make this the device of the calling thread."""

    def synchronize(self):
        """Wait until all work queued on the device is done (immediate on the host)."""

    def memory_used(self):
        """Bytes of peak resident memory of this process (host) or bytes of the device's memory pool."""
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024

    def scatter_add(self, target, index, values):
        """``target[index] += values`` in place, adding every repeated index."""
        if _adds_rows(target, index, values):
            # Many rows into a table: a product with a 0-1 matrix, 18 times faster than NumPy's loop for 4096 x 128.
            from scipy.sparse import csr_array

            ones, ends = np.ones(len(index), values.dtype), np.arange(len(index) + 1)
            target += csr_array((ones, index % len(target), ends), shape=(len(index), len(target))).T @ values
        else:
            np.add.at(target, index, values)

    def overflow_to_infinity(self):
        """A block in which a result beyond the dtype is infinity without a warning."""
        return np.errstate(over="ignore")

    def singular_raises(self):
        """A block in which a factorisation or solve that fails raises ``LinAlgError``."""
        return nullcontext()  # NumPy always raises

    def erf(self, x):
        from scipy.special import erf

        return erf(x)

    def solve_triangular(self, matrix, right, lower=True, transposed=False):
        """Solve ``matrix @ x = right`` (or ``matrix.T @ x = right``) for one triangular matrix (D, D)."""
        from scipy.linalg import solve_triangular

        return solve_triangular(matrix, right, lower=lower, trans=int(transposed), check_finite=False)

    def inverse_of_lower(self, factor):
        """The inverse of a lower triangular matrix (D, D)."""
        return self.xp.linalg.inv(factor)

    def matmul(self, x, y, out):
        """Products of stacks of matrices (..., N, K) and (..., K, M) into ``out`` (..., N, M), views included."""
        self.xp.matmul(x, y, out=out)

    def product(self, x, y):
        """The product of two matrices, as a new array."""
        return x @ y

    def for_products(self, stack):
        """A stack of matrices (B, heads, N, D) as several ``matmul`` can take it, without a copy for each."""
        return stack

    def column_sums(self, array, axes=1):
        """The sum over the first ``axes`` axes."""
        # As a product with ones: NumPy's own sum takes four times as long, and CuPy's reads a tall array a column at a
        # time, twenty times slower than the memory allows.
        count, shape = math.prod(array.shape[:axes]), array.shape[axes:]
        if not shape or not array.size or array.dtype.char not in "fd":
            return array.sum(axis=tuple(range(axes)))
        sums = self.xp.empty(shape, array.dtype)
        with single_threaded_products:
            self.matmul(self._ones(count, array.dtype.char), array.reshape(count, -1), out=sums.reshape(1, -1))
        return sums

    @lru_cache(maxsize=16)  # noqa: B019 (there is one backend a device, for good)
    def _ones(self, count, char):
        return self.xp.ones((1, count), char)

    def row_dots(self, x, y):
        """(x * y).sum(axis=-1, keepdims=True), of arrays of one shape."""
        dots = np.vecdot(x, y) if x.dtype.char in "fd" else (x * y).sum(axis=-1)
        return dots[..., None]

    def column_means(self, rows):
        """The mean over the first axis."""
        return self.column_sums(rows) / len(rows)

    def empty_heads(self, shape, dtype):
        """An array (B, N, parts, heads, D) without values, in the order of memory that suits products head by head."""
        return self.xp.empty(shape, dtype=dtype)

    def linear_into(self, rows, weight, bias, heads):
        """Fill ``heads``, of ``empty_heads``, with rows (B * N, I) @ weight (I, parts * heads * D) + bias."""
        flat = heads.reshape(len(rows), -1)
        self.xp.matmul(rows, weight, out=flat)
        flat += bias

    def rows_of_heads(self, heads):
        """The rows (B * N, parts * heads * D) of ``heads``, of ``empty_heads``."""
        return heads.reshape(heads.shape[0] * heads.shape[1], -1)

    def fused(self, kernel, arguments):
        """Run one ``Fused`` formula."""
        kernel.form(self, *arguments)

    def fused_each(self, kernel, table):
        """Run a ``Fused`` formula of elements on every (numbers, arrays) of a list."""
        pieces = []
        for numbers, arrays in table:
            rows = [x.reshape(1) if x.ndim == 0 else x for x in arrays]  # so that there is an axis to cut
            pieces += [(numbers, [x[block] for x in rows]) for block in _cache_blocks(rows)]

        def run(share):
            for numbers, arrays in share:
                kernel.form(self, *numbers, *arrays)

        # One handing over to the threads for all: a network has many small parameters.
        if sum(x.nbytes for _, arrays in table for x in arrays) <= BLOCK_BYTES:
            run(pieces)
        else:
            self.map_shares(run, pieces)

    def sum_of_squares(self, arrays):
        """The sum of the squares of all elements of some arrays, a float64 array without axes."""
        return self.xp.stack([self.xp.vdot(x, x).astype("float64") for x in arrays]).sum()

    def read(self, values):
        """Numbers as Python floats: of arrays without axes on this device, or numbers already. One wait for all."""
        return [float(value) for value in values]

    def extremes(self, integers):
        """(smallest, largest) of an array of integers that is not empty, as Python ints, in one wait."""
        return tuple(self.xp.stack([integers.min(), integers.max()]).tolist())

    def row_blocks(self, kernel, *arrays):
        """Run ``kernel(*blocks)`` over blocks of rows (first axis) that fit the cache, on all cores.

        ``kernel`` writes into its blocks in place and each row must be independent of the others. All arrays share the
        length of their first axis. NumPy releases the interpreter lock inside its kernels, so threads run in parallel.
        """
        if sum(array.nbytes for array in arrays) <= BLOCK_BYTES:
            kernel(*arrays)
            return

        def run(blocks):
            for block in blocks:
                kernel(*(array[block] for array in arrays))

        self.map_shares(run, _cache_blocks(arrays))

    def product_blocks(self, rows, row_bytes=None):
        """Slices of ``range(rows)`` for work with matrix products; an empty one where there are no rows.

        ``row_bytes``: of the widest array, per row, for a block to stay in the cache between products and elementwise
        passes; None for products alone: one block a core.
        """
        step = -(-rows // _pool()[1]) if row_bytes is None else BLOCK_BYTES // row_bytes
        return _even_blocks(rows, step) or [slice(0, 0)]

    def map_shares(self, function, blocks):
        """``[function(share), ...]``: every core works through a contiguous share of ``blocks``, a list.

        For work that mixes matrix products with elementwise passes: a block stays in its core's cache from one to the
        next. Within a share products run on that one core, and so does work that is shared out once more. What shares
        sum up, each returns as its own part; there are as many parts as cores (or blocks), so that the caller's sum has
        the same order, and bits, in every run.
        """
        if _here.in_share:
            return [function(blocks)]
        tasks, workers = _pool()
        workers = max(1, min(workers, len(blocks)))
        shares = [blocks[i * len(blocks) // workers : (i + 1) * len(blocks) // workers] for i in range(workers)]
        done, others = SimpleQueue(), {}
        with single_threaded_products:
            for place, share in enumerate(shares[1:], 1):
                # A thread's own context says what NumPy does about an overflow; here the caller's holds.
                tasks.put((partial(copy_context().run, function), share, place, done))
            _here.in_share = True
            try:
                first = function(shares[0])
            finally:
                _here.in_share = False
                while len(others) < workers - 1:  # also when the first fails: nobody may write on after this call
                    place, found, error = done.get()
                    others[place] = found, error
        for _, error in others.values():
            if error is not None:
                raise error
        return [first, *(others[place][0] for place in sorted(others))]

    def at_once(self, tasks, size):
        """``[task(), ...]``, each on a core of its own where the ``size`` bytes that they work on are worth it."""
        if size <= BLOCK_BYTES:
            return [task() for task in tasks]
        shares = self.map_shares(lambda share: [task() for task in share], tasks)
        return [found for share in shares for found in share]


class CupyBackend(NumpyBackend):
    """Arrays on one CUDA device."""

    tile_bytes = 256 * 1024 * 1024  # enough to fill the device; the cache does not matter
    reading_waits = True
    keeps_slopes = False

    def __init__(self, index=0):
        self.xp = _import_cupy()
        count = gpu_count()
        if not 0 <= index < count:
            raise DeviceError(f"device gpu:{index}: this machine has {count} GPU(s), numbered from 0")
        self.name = f"gpu:{index}"
        self._index = index

    def of(self, array):
        return self if array.device.id == self._index else _cupy_backend(array.device.id)

    def hardware(self):
        # The parts of a divided GPU share the first, and have a second of their own.
        cuda = self.xp.cuda
        return cuda.Device(self._index).pci_bus_id, cuda.runtime.getDeviceProperties(self._index)["uuid"]

    def asarray(self, values, dtype=None):
        with self.xp.cuda.Device(self._index):
            return self.xp.asarray(values, dtype=dtype)

    def to_numpy(self, array):
        return self.xp.asnumpy(array)

    def use(self):
        self.xp.cuda.Device(self._index).use()

    def synchronize(self):
        self.xp.cuda.Device(self._index).synchronize()

    def memory_used(self):
        return self.xp.get_default_memory_pool().total_bytes()

    def scatter_add(self, target, index, values):
        # Not xp.add.at: its atomics add repeated indices in any order, and a run would not repeat to the bit.
        _add_segments(self.xp)(*segments(self.xp, target, index, values), target)

    def overflow_to_infinity(self):
        return nullcontext()  # CuPy never warns

    def singular_raises(self):
        from cupyx import errstate

        return errstate(linalg="raise")

    def erf(self, x):
        from cupyx.scipy.special import erf

        return erf(x)

    def solve_triangular(self, matrix, right, lower=True, transposed=False):
        from cupyx.scipy.linalg import solve_triangular

        return solve_triangular(matrix, right, lower=lower, trans=int(transposed), check_finite=False)

    def matmul(self, x, y, out):
        # CuPy's own copies what is not contiguous, every transposed operand, and takes the host twice as long.
        if out.dtype.char in "fd" and x.dtype == y.dtype == out.dtype and out.flags.c_contiguous and out.size:
            _strided_products(self.xp, x, y, out)
        elif out.ndim == 4 and self._have_kernels((x, y, out)) and out.swapaxes(1, 2).flags.c_contiguous:
            stacked, (batch, heads, tokens, _) = self.xp.empty(out.shape, out.dtype), out.shape
            self.matmul(x, y, stacked)
            rows_from_heads(self, stacked, 1, batch, heads, tokens, out.swapaxes(1, 2).reshape(batch * tokens, -1))
        else:
            super().matmul(x, y, out)

    def product(self, x, y):
        out = self.xp.empty((x.shape[0], y.shape[1]), x.dtype)
        self.matmul(x, y, out)
        return out

    def for_products(self, stack):
        rows = stack.swapaxes(1, 2)
        if not (self._have_kernels((stack,)) and rows.flags.c_contiguous):
            return self.xp.ascontiguousarray(stack)
        stacked, (batch, heads, tokens, _) = self.xp.empty(stack.shape, stack.dtype), stack.shape
        flat = batch * tokens, -1
        heads_from_rows(self, rows.reshape(flat), None, 1, batch, heads, tokens, stacked.reshape(flat))
        return stacked

    def row_dots(self, x, y):
        return (x * y).sum(axis=-1, keepdims=True)

    def inverse_of_lower(self, factor):
        return self.solve_triangular(factor, self.xp.eye(len(factor), dtype=factor.dtype))

    def empty_heads(self, shape, dtype):
        batch, tokens, parts, heads, width = shape
        return self.xp.empty((parts, batch, heads, tokens, width), dtype=dtype).transpose(1, 3, 0, 2, 4)

    def linear_into(self, rows, weight, bias, heads):
        batch, tokens, parts, count, _ = heads.shape
        stacked = heads.transpose(2, 0, 3, 1, 4).reshape(batch * tokens, -1)
        heads_from_rows(self, self.product(rows, weight), bias, parts, batch, count, tokens, stacked)

    def rows_of_heads(self, heads):
        batch, tokens, parts, count, _ = heads.shape
        rows = self.xp.empty((batch * tokens, heads.size // (batch * tokens)), heads.dtype)
        rows_from_heads(self, heads.transpose(2, 0, 3, 1, 4), parts, batch, count, tokens, rows)
        return rows

    def fused(self, kernel, arguments):
        written = arguments[len(kernel.reads) :]
        if self._have_kernels(arguments) and all(x is None or x.flags.c_contiguous for x in written):
            kernel.launch(self.xp, arguments)
        else:
            super().fused(kernel, arguments)

    def fused_each(self, kernel, table):
        if all(self._have_kernels(arrays) and all(x.flags.c_contiguous for x in arrays) for _, arrays in table):
            kernel.launch_each(self.xp, table)
        else:
            super().fused_each(kernel, table)

    def sum_of_squares(self, arrays):
        if not self._have_kernels(arrays):
            return super().sum_of_squares(arrays)
        return sum_of_squares(self.xp, [self.xp.ascontiguousarray(x) for x in arrays])

    def read(self, values):
        xp = self.xp
        there = {id(x): x for x in values if isinstance(x, xp.ndarray)}
        stacked = xp.stack([x.astype("float64", copy=False) for x in there.values()]) if there else None
        numbers = dict(zip(there, stacked.tolist(), strict=True)) if there else {}
        return [numbers[id(x)] if id(x) in numbers else float(x) for x in values]

    def _have_kernels(self, arguments):
        """Whether CUDA kernels take the arrays among ``arguments``: of one real type, masks and int64 besides."""
        array = self.xp.ndarray
        kinds = {x.dtype.char for x in arguments if isinstance(x, array)} - _COUNTS
        return kinds in (_SINGLE, _DOUBLE)

    def row_blocks(self, kernel, *arrays):
        kernel(*arrays)

    def product_blocks(self, rows, row_bytes=None):
        return [slice(0, rows)]

    def map_shares(self, function, blocks):
        return [function(blocks)]


def blocks_of(rows, step):
    """Slices of ``step`` rows that cover ``range(rows)``."""
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]


def _cache_blocks(arrays):
    """Slices of the first axis, which the arrays share, whose rows of all arrays fit the cache together."""
    rows = len(arrays[0])
    row_bytes = max(sum(array.nbytes for array in arrays) // max(rows, 1), 1)
    return _even_blocks(rows, BLOCK_BYTES // row_bytes)


def _even_blocks(rows, step):
    """Slices of at most ``step`` rows that cover ``range(rows)``: one, or as many for each core."""
    count, workers = -(-rows // max(1, step)), _pool()[1]
    count = count if count < 2 else -(-count // workers) * workers
    return blocks_of(rows, -(-rows // max(1, count)) or 1)


CPU = NumpyBackend()
_BACKENDS = {np.ndarray: CPU}


def register(array_type, backend):
    """Make ``backend`` the one that answers for arrays of ``array_type`` (CuPy's, or a test's device double)."""
    _BACKENDS[array_type] = backend


def backend_of(*values):
    """The backend of the first array among ``values``; numbers belong to every backend, none at all to NumPy's."""
    for value in values:
        backend = _BACKENDS.get(type(value))
        if backend is not None:
            return backend.of(value)
        for array_type, backend in list(_BACKENDS.items()):
            if isinstance(value, array_type):
                return backend.of(value)
    cupy = sys.modules.get("cupy")
    if cupy is not None:
        for value in values:
            if isinstance(value, cupy.ndarray):
                return _cupy_backend(value.device.id)
    return CPU


def is_array(value):
    """Whether ``value`` is an array of a known library (a NumPy scalar or a plain number is not)."""
    if isinstance(value, tuple(_BACKENDS)):
        return True
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(value, cupy.ndarray)


def waits_to_read(value):
    """Whether the host would wait for a device to read a number."""
    return is_array(value) and backend_of(value).reading_waits


def get_backend(device="auto"):
    """The backend for ``cpu``, ``gpu``, ``gpu:N`` or ``auto`` (a GPU where one works, else the host).

    Raises:
        DeviceError: an unknown name, or a GPU was asked for and CuPy or the GPU is missing.
    """
    kind, _, number = device.partition(":")
    if device == "cpu":
        return CPU
    if device == "auto":
        try:
            return get_backend("gpu")
        except DeviceError:
            return CPU
    if kind != "gpu" or (":" in device and not number.isdecimal()):
        raise DeviceError(f"device {device!r}: expected cpu, gpu, gpu:N or auto")
    index = int(number or 0)
    backend = _cupy_backend(index)
    backend.xp.cuda.Device(index).use()
    return backend


@cache
def _cupy_backend(index):
    backend = CupyBackend(index)
    register(backend.xp.ndarray, backend)
    return backend


def _import_cupy():
    try:
        import cupy
    except ImportError as error:
        raise DeviceError(
            "device gpu: CuPy is not installed; pip install 'mini-repr[gpu]' (CUDA 13) or 'mini-repr[gpu12]' "
            "(CUDA 12), or use --device cpu"
        ) from error
    return cupy


def gpu_count():
    """How many GPUs CuPy sees.

    Raises:
        DeviceError: CuPy is missing, or sees none.
    """
    cupy = _import_cupy()
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CuPy raises CUDARuntimeError, or ImportError for a missing driver library
        raise DeviceError(f"device gpu: CuPy finds no usable GPU ({error}); use --device cpu") from error
    if count == 0:
        raise DeviceError("device gpu: CuPy finds no GPU; use --device cpu")
    return count


def out_of_memory(error):
    """One line for a GPU that has no room left; None for every other error."""
    if not isinstance(error, MemoryError) or not type(error).__module__.startswith("cupy"):
        return None
    return f"device gpu: {str(error).rstrip('.')}; lower --batch-size, --grad-cache, or the tile of a loss that has one"


def segments(xp, target, index, values):
    """What ``target[index] += values`` adds to each row of ``target``, for a kernel that goes through it in order.

    Returns:
        (order, starts, ends, values, width): element c of row r receives ``values[order[k] * width + c]``, values flat,
        for k from ``starts[r]`` up to ``ends[r]``, in the order of the index. A row is an element of the first axis, of
        ``width`` elements, or a single element where the index is more than one array of integers.
    """
    if isinstance(index, xp.ndarray) and index.dtype.kind in "iu":
        places, rows, rest = index, len(target), target.shape[1:]
    else:
        places, rows, rest = xp.arange(target.size).reshape(target.shape)[index], target.size, ()
    values = xp.broadcast_to(xp.asarray(values, dtype=target.dtype), places.shape + rest)
    places = places.reshape(-1) % max(rows, 1)
    order = xp.argsort(places, kind="stable")
    places, numbers = places[order], xp.arange(rows)
    starts, ends = xp.searchsorted(places, numbers), xp.searchsorted(places, numbers, side="right")
    return order, starts, ends, xp.ascontiguousarray(values).reshape(-1), math.prod(rest)


@cache
def _add_segments(cupy):
    return cupy.ElementwiseKernel(
        "raw I order, raw J starts, raw J ends, raw T values, int64 width",
        "T target",
        """
        long long row = i / width, column = i % width;
        T sum = target;
        for (long long k = starts[row]; k < ends[row]; ++k) sum += values[order[k] * width + column];
        target = sum;
        """,
        "add_segments",
    )


# Where a warp finds the elements of each head of a token, in rows and in matrices head by head.
_EACH_HEAD = """
    const long long sample = row / tokens, token = row % tokens, depth = width / (parts * heads);
    for (long long part = 0; part < parts; ++part) {
        #pragma unroll 4
        for (long long head = 0; head < heads; ++head) {
            const long long column = (part * heads + head) * depth, here = row * width + column;
            const long long there = (((part * batch + sample) * heads + head) * tokens + token) * depth;
            for (long long d = lane; d < depth; d += 32) { MOVE }
        }
    }
"""


@by_rows(
    "T rows, T bias, int64 parts, int64 batch, int64 heads, int64 tokens",
    "T stacked",
    f"""
    #ifdef WITH_BIAS
        #define ADDED + bias[column + d]
    #else
        #define ADDED
    #endif
    {_EACH_HEAD.replace("MOVE", "stacked[there + d] = rows[here + d] ADDED;")}
    #undef ADDED
    """,
)
def heads_from_rows(backend, rows, bias, parts, batch, heads, tokens, stacked):
    """Fill matrices of heads, (parts, batch, heads, tokens, D) in memory, with rows (batch * tokens, parts heads D).

    ``bias`` (parts * heads * D,) is added to the rows; None for none. ``stacked`` is handed over in the rows' shape.
    """
    rows = rows if bias is None else rows + bias
    rows = rows.reshape(batch, tokens, parts, heads, -1)
    stacked.reshape(parts, batch, heads, tokens, -1)[...] = rows.transpose(2, 0, 3, 1, 4)


@by_rows(
    "T stacked, int64 parts, int64 batch, int64 heads, int64 tokens",
    "T rows",
    _EACH_HEAD.replace("MOVE", "rows[here + d] = stacked[there + d];"),
)
def rows_from_heads(backend, stacked, parts, batch, heads, tokens, rows):
    """The other way: fill rows (batch * tokens, parts * heads * D) with ``stacked``."""
    stacked = stacked.reshape(parts, batch, heads, tokens, -1)
    rows.reshape(batch, tokens, parts, heads, -1)[...] = stacked.transpose(1, 3, 0, 2, 4)


def _strided_products(cupy, x, y, out):
    """``matmul`` into contiguous ``out`` by one call of cuBLAS, which reads transposed matrices as they are."""
    stack = out.shape[:-2]
    x, y = (one if one.shape[:-2] == stack else cupy.broadcast_to(one, stack + one.shape[-2:]) for one in (x, y))
    (x, x_turned, x_row, x_step), (y, y_turned, y_row, y_step) = _as_stack(cupy, x), _as_stack(cupy, y)
    rows, columns = out.shape[-2:]
    cublas, handle, kind, one, zero = _blas(out.dtype.char)
    # cuBLAS counts by columns, and so sees every matrix transposed: out.T = y.T @ x.T.
    cublas.gemmStridedBatchedEx(
        handle(),
        *(y_turned, x_turned, columns, rows, x.shape[-1], one),
        *(y.data.ptr, kind, y_row, y_step, x.data.ptr, kind, x_row, x_step, zero),
        *(out.data.ptr, kind, columns, rows * columns, math.prod(stack), kind),
        cublas.CUBLAS_GEMM_DEFAULT,
    )


@cache
def _blas(char):
    """(cuBLAS, what gives its handle, its name of a dtype's character, the addresses of 1 and 0 of it)."""
    from cupy.cuda import cublas, device, runtime

    _ONES_AND_ZEROS[char] = numbers = np.array([1, 0], char)
    kind = runtime.CUDA_R_32F if char == "f" else runtime.CUDA_R_64F
    return cublas, device.get_cublas_handle, kind, numbers.ctypes.data, numbers.ctypes.data + numbers.itemsize


# By the character of a dtype: cuBLAS reads them at their addresses.
_ONES_AND_ZEROS = {}


def _as_stack(cupy, x):
    """(x, whether its matrices are transposed, elements from row to row of what lies in memory, from one to the next).

    x itself where its matrices lie at equal distances, else a contiguous copy.
    """
    size, strides = x.itemsize, x.strides
    *stack, rows, columns = x.shape
    step = _even_step(stack, strides)
    down, across = strides[-2:]
    if step is not None and across == size and down >= columns * size:
        return x, 0, down // size, step // size
    if step is not None and down == size and across >= rows * size:
        return x, 1, across // size, step // size
    return cupy.ascontiguousarray(x), 0, columns, rows * columns


def _even_step(shape, strides):
    """The bytes from one matrix to the next in a stack of them, the same throughout; None where they differ."""
    step, reach = 0, None
    for length, stride in zip(reversed(shape), reversed(strides[: len(shape)]), strict=True):
        if length == 1:  # its stride can be anything
            continue
        if reach is None:
            step = stride
        elif stride != reach:
            return None
        reach = stride * length
    return step


def _adds_rows(target, index, values):
    """Whether rows ``values`` (N, D) go to valid places ``index`` (N,) of a table that is not much larger than they."""
    return (
        isinstance(index, np.ndarray)
        and isinstance(values, np.ndarray)
        and index.ndim == 1
        and index.dtype.kind in "iu"
        and target.ndim == 2
        and target.dtype.kind == "f"
        and values.dtype == target.dtype
        and values.shape == (len(index), target.shape[1])
        and values.size >= 1024
        and target.size <= 8 * values.size
        and -len(target) <= index.min()
        and index.max() < len(target)
    )


@cache
def _pool():
    """(the queue of threads that work through blocks, how many): one a core, or as ``MINI_REPR_THREADS`` says.

    Not the standard library's pool of threads, which takes 0.1 ms to hand a share over and back: twice as long, and a
    training step does so some twenty times.
    """
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if chosen := os.environ.get("MINI_REPR_THREADS"):
        if not chosen.isdecimal() or int(chosen) == 0:
            raise ValueError(f"MINI_REPR_THREADS: got {chosen!r}, expected a whole number from 1 on")
        workers = int(chosen)
    tasks = SimpleQueue()
    for _ in range(workers):
        Thread(target=_work, args=(tasks,), name="row_blocks", daemon=True).start()
    return tasks, workers


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked process has none of the threads


def _work(tasks):
    """Do what comes from the queue, for good."""
    _here.in_share = True
    while True:
        function, share, place, done = tasks.get()
        try:
            found, error = function(share), None
        except BaseException as raised:  # whoever asked raises it
            found, error = None, raised
        done.put((place, found, error))
        del function, share, found, error, done  # an idle thread keeps no arrays


class _Here(local):
    """What a thread is at: whether it works on its share of something."""

    in_share = False


_here = _Here()


class SingleThreadedProducts:
    """While any thread is inside, NumPy's OpenBLAS runs each product on the core that asked for it.

    Its own threads wait for the next product in a busy loop: after one product on two cores, the second core is taken
    from our threads for milliseconds (a training step of the digits took 1.6 times as long). Where NumPy has another
    BLAS this does nothing.
    """

    def __init__(self):
        self._inside = 0
        self._before = None
        self._lock = Lock()

    def __enter__(self):
        get_threads, set_threads = _openblas()
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._before = get_threads()
                set_threads(1)

    def __exit__(self, *_):
        _, set_threads = _openblas()
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                set_threads(self._before)


single_threaded_products = SingleThreadedProducts()


@cache
def _openblas():
    """(get, set) of the number of threads of the OpenBLAS that NumPy brought along; two idle functions without it."""
    folder = Path(np.__file__).parent
    for library in [*folder.parent.glob("numpy.libs/*openblas*"), *folder.glob(".dylibs/*openblas*")]:
        loaded = ctypes.CDLL(str(library))
        for prefix, suffix in (("scipy_", "64_"), ("scipy_", ""), ("", "64_"), ("", "")):
            if hasattr(loaded, f"{prefix}openblas_set_num_threads{suffix}"):
                return tuple(getattr(loaded, f"{prefix}openblas_{do}_num_threads{suffix}") for do in ("get", "set"))
    return (lambda: 1), (lambda count: None)


def keep_large_blocks():
    """Ask glibc to keep big freed blocks for the next call instead of returning them to the kernel.

    It concerns the whole process, so the commands do it, and a program that trains by itself may. A training step
    allocates and frees the same large temporaries again and again; by default each one is a fresh mapping whose pages
    the kernel zeroes on first touch, which made a ViT step 1.3 times slower.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    m_trim_threshold, m_mmap_threshold, limit = -1, -3, 1 << 30
    libc.mallopt(m_mmap_threshold, limit)
    libc.mallopt(m_trim_threshold, limit)
