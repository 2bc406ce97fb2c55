"""Certified values: a page's definition and its gradient in 50-digit arithmetic.

The definition runs as it stands, on arrays whose elements are mpmath numbers that remember how they were made. So the
value has no float64 rounding in it, and the gradient comes from a scalar tape of its own: neither the hand-derived
backward nor the engine's takes part. Python's ``math`` and ``stop_gradient`` are replaced inside the definition, the
first because it rounds, the second because the tape must be cut there too.

mpmath (extra ``test``) is imported at the first use.
"""

import heapq
import math
import numbers
from contextlib import contextmanager
from itertools import count
from typing import NamedTuple

import numpy as np

from mini_repr.autograd.primitive import value_of
from mini_repr.autograd.tensor import Tensor, no_grad
from mini_repr.pages.loss import evaluate_definition

DIGITS = 50


class Certified(NamedTuple):
    """A value and its gradients, as mpmath numbers (0-d value; object arrays shaped like the arguments)."""

    value: object
    gradients: dict

    def rounded(self):
        """(float, {name: float64 array}): the nearest float64 numbers."""
        return float(self.value), {n: g.astype(np.float64) for n, g in self.gradients.items()}


def certified(loss, arguments, digits=DIGITS):
    """Value and gradients of a loss's definition.

    Args:
        loss: a registered loss. arguments: {name: host array or setting}; what is left out has its default.
        digits: decimal digits of all arithmetic.
    Returns:
        Certified, with a gradient for every differentiable argument given, learned scalars included.
    Raises:
        ValueError: mpmath is missing, the page refuses the arguments, or the value is not one number.
    """
    with _precision(digits):
        leaves, given = _inputs(loss, arguments)
        output = _evaluate(loss, given)
        _walk_back(output)
        return Certified(output.value, {name: _gradient_of(leaf) for name, leaf in leaves.items()})


def certified_terms(loss, arguments, digits=DIGITS):
    """{name: mpmath number}: the named parts of the value, {} for a page that names none.

    Only the page itself knows them, so here the page runs in long arithmetic. (Constants that it takes from Python's
    ``math`` carry float64's rounding.)

    Raises:
        TypeError: the page uses an operation that long numbers do not have.
    """
    if not loss(**arguments).terms:
        return {}
    with _precision(digits):
        _, given = _inputs(loss, arguments)
        with no_grad():
            try:
                _, _, terms = loss.thing(**{name: value_of(value) for name, value in given.items()})
            except ValueError as error:  # it ran on floats above; NumPy knows no machine limits of objects
                raise TypeError(f"{loss.name}: {error}") from error
        return {name: _number(np.asarray(term).item()).value for name, term in terms.items()}


def central_difference(loss, arguments, directions, digits=DIGITS, step=1e-20):
    """The value's derivative along ``directions`` {name: array or number}, by differences: a second opinion.

    Both points are exact inputs of the definition and the difference keeps about 30 digits at 50. What a
    ``stop_gradient`` cuts keeps the value it has in the middle, as it does for the gradient.
    """
    with _precision(digits):
        cuts, ends = [], []

        def cut_and_keep(tensor):
            cuts.append(_cut(tensor))
            return cuts[-1]

        _evaluate(loss, _inputs(loss, arguments)[1], cut_and_keep)
        for sign in (1, -1):
            leaves, given = _inputs(loss, arguments)
            for name, leaf in leaves.items():
                leaf += np.asarray(directions[name], dtype=object) * Number(sign * _mp.mpf(step))
            kept = iter(cuts)  # every evaluation cuts in the same order
            ends.append(_evaluate(loss, given, lambda _, kept=kept: next(kept)).value)
        return (ends[0] - ends[1]) / (2 * _mp.mpf(step))


def _inputs(loss, arguments):
    """({name: exact array of a differentiable argument}, {name: what the definition is given})."""
    leaves, given = {}, {}
    for name, value in _complete(loss, arguments).items():
        annotation = loss.parameters[name].annotation
        if value is not None and annotation.differentiable:
            leaves[name] = _exact(value, active=True)
            given[name] = Tensor(leaves[name])
        elif isinstance(value, np.ndarray):
            exact = _exact(value, active=False)
            given[name] = exact  # an array, as in a real call: the definition may compare it, or ask for any()
        else:  # a number too, so that 1 - smoothing and the like do not round
            given[name] = Number(value) if isinstance(value, float) else value
    return leaves, given


def _evaluate(loss, given, cut=None):
    with no_grad():
        output = value_of(evaluate_definition(loss, given, {"math": _ExactMath(), "stop_gradient": cut or _cut}))
    if output.ndim:
        raise ValueError(f"{loss.name}: reduction: got 'none', expected 'mean' or 'sum' for a certified value")
    return _number(output.item())


def _complete(loss, arguments):
    """All arguments of the definition, checked by the page, defaults filled in."""
    bound = loss.bind((), arguments)
    loss.checked(bound)
    return {name: value for name, value in bound.items() if name != "tile"}


def _cut(tensor):
    """``stop_gradient`` that cuts the tape."""
    return Tensor(_exact(value_of(tensor), active=False))


# --- numbers ---------------------------------------------------------------------------------------------------------

_mp = None  # mpmath's multi-precision context, once imported
_orders = count()


@contextmanager
def _precision(digits):
    global _mp
    if _mp is None:
        try:
            import mpmath
        except ImportError:
            raise ValueError("certified values need mpmath; pip install 'mini-repr[test]'") from None
        _mp = mpmath.mp
    with _mp.workdps(digits):
        yield


class Number:
    """A real number of many digits, and the numbers it was made from with its partial derivatives by them.

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
        other = _number(other)
        return NotImplemented if other is None else self._made(self.value + other.value, (self, 1), (other, 1))

    def __sub__(self, other):
        other = _number(other)
        return NotImplemented if other is None else self._made(self.value - other.value, (self, 1), (other, -1))

    def __mul__(self, other):
        other = _number(other)
        if other is None:
            return NotImplemented
        return self._made(self.value * other.value, (self, other.value), (other, self.value))

    def __truediv__(self, other):
        other = _number(other)
        if other is None:
            return NotImplemented
        if not other.value:  # as IEEE arithmetic has it
            return Number(self.value * _mp.inf if self.value else _mp.nan)
        quotient = self.value / other.value
        return self._made(quotient, (self, 1 / other.value), (other, -quotient / other.value))

    def __pow__(self, other):
        """self ** constant; the derivative of x ** 0 is 0 everywhere."""
        other = _number(other)
        if other is None:
            return NotImplemented
        if other.parents is not None:
            raise TypeError("certified: a power whose exponent has a gradient")
        k = other.value
        power = self.value**k
        return self._made(power, (self, _mp.zero if k == 0 else _infinite_at_0(k, self.value)))

    def __radd__(self, other):
        return self + other

    def __rmul__(self, other):
        return self * other

    def __rsub__(self, other):
        return _number(other) - self

    def __rtruediv__(self, other):
        return _number(other) / self

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


def _number(value):
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


def _walk_back(output):
    """Leave the derivative of ``output`` by every remembered number in its ``slope``: latest made, first walked."""
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


def _gradient_of(leaf):
    slopes = [_mp.zero if number.slope is None else number.slope for number in leaf.ravel().tolist()]
    gradient = np.empty(len(slopes), dtype=object)
    gradient[:] = slopes
    return gradient.reshape(leaf.shape)


# --- arrays ----------------------------------------------------------------------------------------------------------


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
    return np.frompyfunc(_number, 1, 1)(x)


def _exact(value, active):
    """A host array or number as an exact array: floats become Numbers, integers and booleans stay."""
    array = np.asarray(value)
    if array.dtype.kind in "biu":
        return array.view(ExactArray)
    exact = np.empty(array.size, dtype=object)
    exact[:] = [Number(_value(x), active=active) for x in array.ravel().tolist()]
    return exact.reshape(array.shape).view(ExactArray)


class _ExactMath:
    """Stands in for the module ``math`` inside a definition."""

    inf, nan = math.inf, math.nan

    prod, ceil, floor = math.prod, math.ceil, math.floor  # these do not round: they multiply or compare

    pi = property(lambda self: Number(_mp.pi))
    e = property(lambda self: Number(_mp.e))

    def __getattr__(self, name):
        exact = getattr(Number, name, None)
        if exact is None:
            raise TypeError(f"certified: the definition uses math.{name}, which has no exact form here")
        return lambda x: exact(_number(x))
