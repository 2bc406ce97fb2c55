"""NumPy or CuPy behind one small face; the only file that names either as a choice.

A *backend* knows one array library: its namespace ``xp`` and the few calls where NumPy and CuPy part ways.
``backend_of(array)`` finds the backend of an array, so that numerical code runs wherever its inputs live;
``get_backend("gpu:1")`` makes one from what a user typed. Random numbers are always drawn on the host and then moved:
the same seed gives the same run on every device.
"""

import ctypes
import os
import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np

# Elementwise kernels run on blocks of about this many bytes a row block: small enough that a kernel of several passes
# finds its operands in the second-level cache, large enough that the cost of a call does not show.
BLOCK_BYTES = 256 * 1024
# Below this size one call on one thread is faster than handing blocks to a pool.
SERIAL_BYTES = 1024 * 1024


class DeviceError(ValueError):
    """The device that was asked for cannot be had here."""


class NumpyBackend:
    """Arrays in main memory. Also the face that every other backend implements."""

    name = "cpu"
    xp = np

    def asarray(self, values, dtype=None):
        """Bring host values (array, list, number) to this device, without a copy where none is needed."""
        return self.xp.asarray(values, dtype=dtype)

    def to_numpy(self, array):
        """The array's values on the host."""
        return np.asarray(array)

    def synchronize(self):
        """Wait until all work queued on the device is done (immediate on the host)."""

    def memory_used(self):
        """Bytes of peak resident memory of this process (host) or bytes held by the device's pool."""
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024

    def scatter_add(self, target, index, values):
        """``target[index] += values`` in place, adding every repeated index."""
        np.add.at(target, index, values)

    def erf(self, x):
        from scipy.special import erf

        return erf(x)

    def solve_triangular(self, matrix, right, lower=True, transposed=False):
        """Solve ``matrix @ x = right`` (or ``matrix.T @ x = right``) for one triangular matrix (D, D)."""
        from scipy.linalg import solve_triangular

        return solve_triangular(matrix, right, lower=lower, trans=int(transposed), check_finite=False)

    def row_blocks(self, kernel, *arrays):
        """Run ``kernel(*blocks)`` over blocks of rows (first axis) that fit the cache, on all cores.

        ``kernel`` writes into its blocks in place and each row must be independent of the others. All arrays share the
        length of their first axis. NumPy releases the interpreter lock inside its kernels, so threads run in parallel.
        """
        rows = arrays[0].shape[0]
        row_bytes = max(sum(array.nbytes for array in arrays) // max(rows, 1), 1)
        if rows * row_bytes <= SERIAL_BYTES:
            kernel(*arrays)
            return
        step = max(1, BLOCK_BYTES // row_bytes)
        blocks = [slice(start, start + step) for start in range(0, rows, step)]
        pool, workers = _pool()
        # One contiguous share of the blocks a worker: fewer hand-overs than one task a block.
        shares = [blocks[i * len(blocks) // workers : (i + 1) * len(blocks) // workers] for i in range(workers)]

        def run(share):
            for block in share:
                kernel(*(array[block] for array in arrays))

        for done in [pool.submit(run, share) for share in shares if share]:
            done.result()


class CupyBackend(NumpyBackend):
    """Arrays on one CUDA device."""

    def __init__(self, index=0):
        self.xp = _import_cupy()
        count = _gpu_count(self.xp)
        if not 0 <= index < count:
            raise DeviceError(f"device gpu:{index}: this machine has {count} GPU(s), numbered from 0")
        self.name = f"gpu:{index}"
        self._index = index
        self.xp.cuda.Device(index).use()

    def to_numpy(self, array):
        return self.xp.asnumpy(array)

    def synchronize(self):
        self.xp.cuda.Device(self._index).synchronize()

    def memory_used(self):
        return self.xp.get_default_memory_pool().total_bytes()

    def scatter_add(self, target, index, values):
        self.xp.add.at(target, index, values)

    def erf(self, x):
        from cupyx.scipy.special import erf

        return erf(x)

    def solve_triangular(self, matrix, right, lower=True, transposed=False):
        from cupyx.scipy.linalg import solve_triangular

        return solve_triangular(matrix, right, lower=lower, trans=int(transposed), check_finite=False)

    def row_blocks(self, kernel, *arrays):
        kernel(*arrays)


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
            return backend
        for array_type, backend in list(_BACKENDS.items()):
            if isinstance(value, array_type):
                return backend
    cupy = sys.modules.get("cupy")
    if cupy is not None and any(isinstance(value, cupy.ndarray) for value in values):
        return get_backend("gpu")
    return CPU


def is_array(value):
    """Whether ``value`` is an array of a known library (a NumPy scalar or a plain number is not)."""
    if isinstance(value, tuple(_BACKENDS)):
        return True
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(value, cupy.ndarray)


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
    return _cupy_backend(int(number or 0))


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


def _gpu_count(cupy):
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CuPy raises CUDARuntimeError, or ImportError for a missing driver library
        raise DeviceError(f"device gpu: CuPy finds no usable GPU ({error}); use --device cpu") from error
    if count == 0:
        raise DeviceError("device gpu: CuPy finds no GPU; use --device cpu")
    return count


@cache
def _pool():
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ThreadPoolExecutor(workers, thread_name_prefix="row_blocks"), workers


def _keep_large_blocks():
    """Ask glibc to keep big freed blocks for the next call instead of returning them to the kernel.

    A training step allocates and frees the same large temporaries again and again; by default each one is a fresh
    mapping whose pages the kernel zeroes on first touch, which made a ViT step 1.3 times slower.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    m_trim_threshold, m_mmap_threshold, limit = -1, -3, 1 << 30
    libc.mallopt(m_mmap_threshold, limit)
    libc.mallopt(m_trim_threshold, limit)


_keep_large_blocks()
