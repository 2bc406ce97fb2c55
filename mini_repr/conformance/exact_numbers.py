"""Real numbers of many digits that remember how they were made, and arrays of them: a scalar tape of its own.

mpmath (extra ``test``) is imported at the first use.
"""

import heapq
import math
import numbers
from contextlib import contextmanager
from itertools import count

import numpy as np

_mp = None  # mpmath's multi-precision context, once imported
_orders = count()


@contextmanager
def precision(digits):
    """Numbers are made with so many decimal digits inside; gives mpmath's context."""
    global _mp
    if _mp is None:
        try:
            import mpmath
        except ImportError:
            raise ValueError("exact values need mpmath; type: pip install 'mini-repr[test]'") from None
        _mp = mpmath.mp
    with _mp.workdps(digits):
        yield _mp


class Number:
    """A real number of many digits, and the numbers it was made from, each with its partial derivative.

    The methods ``exp``, ``log``, ... are those that NumPy calls for an array of objects.
    """

    __slots__ = ("value", "parents", "order", "slope")

    def __init__(self, value, parents=(), active=False):
        self.value = value if isinstance(value, _mp.mpf) else _mp.mpf(value)
        # Only what leads to an active number is remembered; an empty tuple marks an input that wants its gradient.
        self.parents = parents if parents else (() if active else None)
        self.order = next(_orders)
        self.slope = None

    def _made(self, value, *parents):
        return Number(value, tuple((one, partial) for one, partial in parents if one.parents is not None))

    def __add__(self, other):
        other = as_number(other)
        return NotImplemented if other is None else self._made(self.value + other.value, (self, 1), (other, 1))

    def __sub__(self, other):
        other = as_number(other)
        return NotImplemented if other is None else self._made(self.value - other.value, (self, 1), (other, -1))

    def __mul__(self, other):
        other = as_number(other)
        if other is None:
            return NotImplemented
        return self._made(self.value * other.value, (self, other.value), (other, self.value))

    def __truediv__(self, other):
        other = as_number(other)
        if other is None:
            return NotImplemented
        if not other.value:  # as IEEE arithmetic has it
            return Number(self.value * _mp.inf if self.value else _mp.nan)
        quotient = self.value / other.value
        return self._made(quotient, (self, 1 / other.value), (other, -quotient / other.value))

    def __pow__(self, other):
        """self ** constant; the derivative of x ** 0 is 0 everywhere."""
        other = as_number(other)
        if other is None:
            return NotImplemented
        if other.parents is not None:
            raise TypeError("exact: a power whose exponent has a gradient")
        k = other.value
        power = self.value**k
        return self._made(power, (self, _mp.zero if k == 0 else _infinite_at_0(k, self.value)))

    def __radd__(self, other):
        return self + other

    def __rmul__(self, other):
        return self * other

    def __rsub__(self, other):
        return as_number(other) - self

    def __rtruediv__(self, other):
        return as_number(other) / self

    def __neg__(self):
        return self._made(-self.value, (self, -1))

    def __abs__(self):
        return self if self.value >= 0 else -self

    def __lt__(self, other):
        return self.value < _value(other)

    def __le__(self, other):
        return self.value <= _value(other)

    def __gt__(self, other):
        return self.value > _value(other)

    def __ge__(self, other):
        return self.value >= _value(other)

    def __eq__(self, other):
        return self.value == _value(other)

    def __ne__(self, other):
        return self.value != _value(other)

    __hash__ = None

    def __bool__(self):
        return self.value != 0

    def __float__(self):
        return float(self.value)

    def __int__(self):
        return int(self.value)

    def __ceil__(self):
        return int(_mp.ceil(self.value))

    def __floor__(self):
        return int(_mp.floor(self.value))

    def __repr__(self):
        return f"Number({_mp.nstr(self.value, 20)})"

    def exp(self):
        power = _mp.exp(self.value)
        return self._made(power, (self, power))

    def log(self):
        value = self.value
        return self._made(_mp.log(value), (self, 1 / value)) if value else Number(-_mp.inf)

    def log1p(self):
        return self._made(_mp.log1p(self.value), (self, 1 / (1 + self.value)))

    def sqrt(self):
        root = _mp.sqrt(self.value)
        return self._made(root, (self, 1 / (2 * root) if root else _mp.inf))

    def sin(self):
        return self._made(_mp.sin(self.value), (self, _mp.cos(self.value)))

    def cos(self):
        return self._made(_mp.cos(self.value), (self, -_mp.sin(self.value)))

    def arccos(self):
        return self._made(_mp.acos(self.value), (self, -1 / _mp.sqrt(1 - self.value**2)))

    def tanh(self):
        value = _mp.tanh(self.value)
        return self._made(value, (self, 1 - value * value))

    def isfinite(self):
        return bool(_mp.isfinite(self.value))


def _infinite_at_0(k, x):
    """d/dx x ** k, which is infinite at 0 for k below 1."""
    return _mp.inf if x == 0 and k < 1 else k * x ** (k - 1)


def as_number(value):
    """``value`` as a Number; None for what is no real number, so that arrays and tensors get their turn."""
    if isinstance(value, Number):
        return value
    if isinstance(value, float | np.floating):
        return Number(float(value))
    if isinstance(value, numbers.Integral | np.bool_):
        return Number(int(value))
    return None


def _value(other):
    return other.value if isinstance(other, Number) else other


def walk_back(output):
    """Store the derivative of ``output`` with respect to each remembered number in its ``slope``, latest made first."""
    if output.parents is None:
        return
    output.slope = _mp.one
    waiting = [(-output.order, output)]
    while waiting:
        _, number = heapq.heappop(waiting)
        for parent, partial in number.parents:
            # 0 * inf: a branch that weighs nothing passes nothing on, as at the root of a zero distance.
            step = number.slope * partial if number.slope and partial else _mp.zero
            if parent.slope is None:
                parent.slope = step
                heapq.heappush(waiting, (-parent.order, parent))
            else:
                parent.slope += step


def gradient_of(leaf):
    """The stored derivatives of an array's elements, in its shape; 0 where none arrived."""
    slopes = [_mp.zero if number.slope is None else number.slope for number in leaf.ravel().tolist()]
    gradient = np.empty(len(slopes), dtype=object)
    gradient[:] = slopes
    return gradient.reshape(leaf.shape)


class ExactArray(np.ndarray):
    """An array of Numbers, or of integers or booleans that turn into Numbers where NumPy would make them floats."""

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        plain = [_plain(x) for x in inputs]
        if method == "__call__" and ufunc.__name__ in _MAKES_REALS:
            plain = [_as_numbers(x) for x in plain]
        if out is not None:
            kwargs["out"] = tuple(_plain(x) for x in out)
        if ufunc.__name__.startswith("logical_"):  # of objects NumPy's own gives one of them, not a truth value
            plain = [np.asarray(x).astype(bool) for x in plain]
        if ufunc is np.isfinite:
            result = np.frompyfunc(lambda x: math.isfinite(x), 1, 1)(*plain).astype(bool)
        else:
            result = getattr(ufunc, method)(*plain, **kwargs)
        return out[0] if out is not None else _wrapped(result)

    def __array_function__(self, function, types, args, kwargs):
        return _wrapped(super().__array_function__(function, types, args, kwargs))


_MAKES_REALS = {"divide", "true_divide", "exp", "log", "log1p", "sqrt", "sin", "cos", "arccos", "tanh"}


def _plain(x):
    return x.view(np.ndarray) if isinstance(x, ExactArray) else x


def _wrapped(result):
    if isinstance(result, np.ndarray):
        return result.view(ExactArray)
    return np.asarray(result).view(ExactArray) if isinstance(result, Number) else result


def _as_numbers(x):
    """Every element a Number, those that ``where`` or ``zeros`` left as integers and floats too."""
    return np.frompyfunc(as_number, 1, 1)(x)


def exact_array(value, active):
    """A host array or number as an exact array: floats become Numbers, integers and booleans stay."""
    array = np.asarray(value)
    if array.dtype.kind in "biu":
        return array.view(ExactArray)
    exact = np.empty(array.size, dtype=object)
    exact[:] = [Number(_value(x), active=active) for x in array.ravel().tolist()]
    return exact.reshape(array.shape).view(ExactArray)


class ExactMath:
    """Takes the place of the module ``math`` inside a definition."""

    inf, nan = math.inf, math.nan

    prod, ceil, floor = math.prod, math.ceil, math.floor  # these do not round: they multiply or compare

    pi = property(lambda self: Number(_mp.pi))
    e = property(lambda self: Number(_mp.e))

    def __getattr__(self, name):
        exact = getattr(Number, name, None)
        if exact is None:
            raise TypeError(f"exact: the definition uses math.{name}, which has no exact form here")
        return lambda x: exact(as_number(x))
