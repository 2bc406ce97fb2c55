"""A strict stand-in for a GPU: arrays that refuse what ``cupy.ndarray`` refuses, so that CI meets it without one.

``DoubleArray`` wraps a private NumPy array. It never becomes a NumPy array by itself, never mixes with one, has only
the attributes that ``cupy.ndarray`` has, and its reductions stay on the "device" as 0-d arrays. ``double_xp`` is the
namespace: only names that CuPy has, only the keywords that CuPy takes. ``DOUBLE`` is its backend, registered on import;
``OTHER_DOUBLE`` that of a second device. Arrays that are not on the current device (``double_xp.cuda.Device``) are
refused.

It is as free as a GPU: ``add.at`` takes repeated indices in any order, and a factorisation that fails returns what it
has unless ``singular_raises``. What makes the host wait for the device is counted in ``SYNCS``.

``cupy_names.txt`` says what CuPy has; it was written from CuPy 14.2 by ``dir`` and ``inspect.signature``.
"""

from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import erf

from mini_repr.backend import CupyBackend, NumpyBackend, register, segments


def cupy_names():
    """{dotted name: argument names, or None where they are unknown}."""
    names = {}
    for line in (Path(__file__).parent / "cupy_names.txt").read_text().splitlines()[1:]:
        name, _, arguments = line.partition(" ")
        names[name] = arguments.strip("()").split() if arguments else None
    return names


NAMES = cupy_names()
# CuPy takes host arrays in these alone.
_TAKE_HOST_ARRAYS = {"asarray", "array", "asanyarray", "ascontiguousarray"}
# What answers with Python values on both sides; CuPy returns 0-d arrays where NumPy returns a bool otherwise.
_PYTHON_ANSWERS = {
    "isscalar",
    "issubdtype",
    "can_cast",
    "shares_memory",
    "may_share_memory",
    "iscomplexobj",
    "isrealobj",
}
_MIXED = "Unsupported type <class 'numpy.ndarray'>: a host array met a device array"
# {what made the host wait: how often}.
SYNCS = Counter()
_ORDER = np.random.default_rng(0)


class _State:
    """The current device, whether linear algebra raises, and whether results are rounded otherwise than on the host."""

    device = 0
    singular_raises = False
    other_rounding = False


class Device:
    """``cupy.cuda.Device``."""

    def __init__(self, id):
        self.id = id
        self.pci_bus_id = f"0000:0{id}:00.0"

    def use(self):
        _State.device = self.id

    def synchronize(self):
        SYNCS["synchronize"] += 1

    def __enter__(self):
        self._before = _State.device
        self.use()

    def __exit__(self, *_):
        _State.device = self._before


class DoubleArray:
    """An array on the device that is not there."""

    __slots__ = ("_device", "_values")
    __array_ufunc__ = None  # a NumPy array's operators defer to the refusal below
    __hash__ = None

    def __init__(self, values, device=None):
        assert type(values) is np.ndarray
        self._values = values
        self._device = _State.device if device is None else device

    @property
    def device(self):
        return Device(self._device)

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def get(self):
        SYNCS["get"] += 1
        return self._values.copy()

    @property
    def base(self):
        return None if self._values.base is None else DoubleArray(np.asarray(self._values.base), self._device)

    def __getattr__(self, name):
        if f"ndarray.{name}" not in NAMES or name.startswith("__"):
            raise AttributeError(f"'cupy.ndarray' object has no attribute {name!r}")
        found = getattr(self._values, name)
        if callable(found):
            return lambda *args, **params: _call(f"ndarray.{name}", found, args, params, (self,))
        return DoubleArray(found, self._device) if isinstance(found, np.ndarray) else found

    def __repr__(self):
        return f"double{self._values!r}"

    def __len__(self):
        return len(self._values)

    def __iter__(self):
        if self._values.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __bool__(self):
        SYNCS["bool"] += 1
        return bool(self._values)

    def __int__(self):
        SYNCS["int"] += 1
        return int(self._values)

    def __float__(self):
        SYNCS["float"] += 1
        return float(self._values)

    def __complex__(self):
        SYNCS["complex"] += 1
        return complex(self._values)

    def __getitem__(self, index):
        _count_masks(index)
        return DoubleArray(np.asarray(self._values[_unwrap(index)]), self._device)

    def __setitem__(self, index, value):
        _count_masks(index)
        _unwrap(self)
        self._values[_unwrap(index)] = _unwrap(value)

    def __copy__(self):
        return DoubleArray(self._values.copy())

    def __deepcopy__(self, memo):
        return DoubleArray(self._values.copy())


def _count_masks(index):
    for part in index if isinstance(index, tuple) else (index,):
        if isinstance(part, DoubleArray) and part.dtype == bool:
            SYNCS["mask"] += 1


def _operator(name):
    def operate(self, *others):
        _unwrap(self)
        return _wrap(_rounded(name.strip("_"), getattr(self._values, name)(*_unwrap(others))), (self,))

    def operate_in_place(self, other):
        _unwrap(other)
        getattr(self._values, name)(_unwrap(other))
        return self

    return operate_in_place if name in _IN_PLACE else operate


_BINARY = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lshift", "rshift"]
_IN_PLACE = {f"__i{name}__" for name in _BINARY}
_OTHERS = {f"__{name}__" for name in ("eq", "ne", "lt", "le", "gt", "ge", "neg", "pos", "abs", "invert", "divmod")}
for _name in {f"__{name}__" for name in _BINARY} | {f"__r{name}__" for name in _BINARY} | _IN_PLACE | _OTHERS:
    if f"ndarray.{_name}" in NAMES:  # CuPy has no @=, among others
        setattr(DoubleArray, _name, _operator(_name))


def _unwrap(value, host=False):
    """The NumPy arrays under device arrays, in nested lists and tuples too; a host array is refused unless ``host``."""
    if isinstance(value, DoubleArray):
        if value._device != _State.device:
            raise ValueError(f"Array device must be same as the current device: {value._device} != {_State.device}")
        return value._values
    if isinstance(value, np.ndarray) and not host:
        raise TypeError(_MIXED)
    if isinstance(value, list | tuple):
        return type(value)(_unwrap(one, host) for one in value)
    if isinstance(value, slice):
        return slice(*(int(x) if isinstance(x, DoubleArray) else x for x in (value.start, value.stop, value.step)))
    return value


def _wrap(result, given):
    """Results as device arrays; the very array that was given (as ``out``) comes back in its own wrapper."""
    for one in given:
        if isinstance(one, DoubleArray) and result is one._values:
            return one
    if isinstance(result, np.ndarray | np.generic | bool):
        return DoubleArray(np.asarray(result))
    if isinstance(result, tuple | list) and any(isinstance(one, np.ndarray | np.generic) for one in result):
        wrapped = [_wrap(one, given) for one in result]
        return type(result)(*wrapped) if hasattr(result, "_fields") else type(result)(wrapped)
    return result


def _call(name, function, args, params, given=()):
    known = NAMES[name]
    _unwrap(given)
    if name.rpartition(".")[2] in _WAITING:
        SYNCS[name.rpartition(".")[2]] += 1
    for keyword in params:
        if (
            keyword == "initial"
            or (keyword == "where" and name != "copyto")
            or (known is not None and keyword not in known)
        ):
            raise TypeError(f"cupy.{name} takes no argument {keyword!r}")
    host = name in _TAKE_HOST_ARRAYS
    plain = _unwrap(args, host)
    result = function(*plain, **{k: _unwrap(v, host) for k, v in params.items()})
    result = _rounded(name.rpartition(".")[2], result)
    if host and not any(isinstance(one, DoubleArray) for one in args):
        result = np.array(result)  # crossing to the device copies
    if name in _PYTHON_ANSWERS:
        return result
    return _wrap(result, (*given, *args, *params.values()))


# What waits for the device to know the shape of its result, or to hand it to the host.
_WAITING = {"nonzero", "flatnonzero", "argwhere", "unique", "item", "tolist", "argpartition", "unravel_index"}


# What another library rounds otherwise: products, reductions and transcendental functions.
_ROUNDED_OTHERWISE = set(
    [
        "matmul",
        "rmatmul",
        "dot",
        "sum",
        "mean",
        "var",
        "std",
        "exp",
        "log",
        "log1p",
        "expm1",
        "tanh",
        "sin",
        "cos",
        "arccos",
        "logaddexp",
    ]
)


@contextmanager
def other_rounding():
    """A block in which these are off by up to a unit in the last place, and float32 has no subnormal numbers."""
    _State.other_rounding = True
    try:
        yield
    finally:
        _State.other_rounding = False


def _rounded(name, result):
    if not _State.other_rounding or not isinstance(result, np.ndarray | np.generic) or result.dtype.kind != "f":
        return result
    result, limits = np.asarray(result), np.finfo(result.dtype)
    if name in _ROUNDED_OTHERWISE:
        result *= 1 + limits.eps * _ORDER.integers(-1, 2, result.shape).astype(result.dtype)
    if result.dtype == np.float32 and result.flags.writeable:
        result[np.abs(result) < limits.tiny] = 0
    return result


def _any_order(target, index, values):
    """``add.at`` by atomics: repeated indices add up in any order."""
    places = np.arange(target.size).reshape(target.shape)[index]
    order = _ORDER.permutation(places.size)
    values = np.broadcast_to(values, places.shape).reshape(-1)[order]
    flat = np.ascontiguousarray(target).reshape(-1)
    np.add.at(flat, places.reshape(-1)[order], values)
    target[...] = flat.reshape(target.shape)


def _unchecked(function):
    """A function of ``linalg`` that returns something where it fails, as cuSOLVER does, unless errors are asked for."""

    def call(matrix, *others):
        try:
            return function(matrix, *others)
        except np.linalg.LinAlgError:
            if _State.singular_raises:
                raise
            return np.tril(np.abs(others[0] if others else matrix) + 1)

    return call


def _any_signs(function):
    """``eigh``, with eigenvectors of any sign."""

    def call(matrix, *others):
        values, vectors = function(matrix, *others)
        return values, vectors * _ORDER.choice([-1, 1], vectors.shape[-1]).astype(vectors.dtype)

    return call


class _Function:
    """A function or ufunc of the namespace."""

    def __init__(self, name, function):
        self._name, self._function = name, function

    def __call__(self, *args, **params):
        return _call(self._name, self._function, args, params)

    def __getattr__(self, name):
        if not isinstance(self._function, np.ufunc) or f"ufunc.{name}" not in NAMES:
            raise AttributeError(f"cupy.{self._name} has no attribute {name!r}")
        method = _any_order if (self._name, name) == ("add", "at") else getattr(self._function, name)
        return lambda *args, **params: _call(f"ufunc.{name}", method, args, params)


class _Namespace:
    def __init__(self, module, prefix=""):
        self._module, self._prefix = module, prefix

    def __getattr__(self, name):
        full = self._prefix + name
        if full == "cuda":
            runtime = SimpleNamespace(
                getDeviceCount=lambda: 2, getDeviceProperties=lambda index: {"uuid": bytes([index])}
            )
            return SimpleNamespace(Device=Device, runtime=runtime)
        if full == "asnumpy":
            return lambda array: array.get() if isinstance(array, DoubleArray) else np.asarray(array)
        if full not in NAMES:
            raise AttributeError(f"module 'cupy' has no attribute {full!r}")
        if full == "ndarray":
            return DoubleArray
        found = getattr(self._module, name)
        if full in ("linalg", "random", "fft"):
            return _Namespace(found, full + ".")
        if isinstance(found, type) or not callable(found):
            return found  # dtypes, constants
        if full == "linalg.eigh":
            found = _any_signs(found)
        if full in ("linalg.cholesky", "linalg.inv", "linalg.solve"):
            found = _unchecked(found)
        return _Function(full, found)


double_xp = _Namespace(np)


class DoubleBackend(CupyBackend):
    """CuPy's backend over ``DoubleArray``; what CuPy does in libraries and kernels of its own is done by NumPy."""

    tile_bytes = 2 * 1024 * 1024
    # It runs no CUDA.
    matmul = NumpyBackend.matmul
    fused, fused_each, sum_of_squares = NumpyBackend.fused, NumpyBackend.fused_each, NumpyBackend.sum_of_squares

    def __init__(self, index):
        self.xp, self.name, self._index = double_xp, f"double:{index}", index

    def of(self, array):
        return _DOUBLES[array.device.id]

    def memory_used(self):
        return 0

    def overflow_to_infinity(self):
        return np.errstate(over="ignore")

    def scatter_add(self, target, index, values):
        add_segments(*_unwrap(segments(self.xp, target, index, values)), _unwrap(target))

    @contextmanager
    def singular_raises(self):
        before, _State.singular_raises = _State.singular_raises, True
        try:
            yield
        finally:
            _State.singular_raises = before

    def erf(self, x):
        return _wrap(erf(_unwrap(x)), ())

    def solve_triangular(self, matrix, right, lower=True, transposed=False):
        plain = _unwrap((matrix, right))
        return _wrap(solve_triangular(*plain, lower=lower, trans=int(transposed), check_finite=False), ())


def add_segments(order, starts, ends, values, width, target):
    """The kernel of ``CupyBackend.scatter_add``: each element adds its values in order, written into ``target``."""
    sums = np.array(target).reshape(len(starts), width)
    for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
        for k in range(start, end):
            sums[row] += values[order[k] * width : order[k] * width + width]
    target[...] = sums.reshape(target.shape)


DOUBLE, OTHER_DOUBLE = _DOUBLES = DoubleBackend(0), DoubleBackend(1)
register(DoubleArray, DOUBLE)
