"""Elementwise primitives. Kinks follow one convention: the gradient at the kink is that of the zero side."""

import math
from functools import partial

from mini_repr.autograd.primitive import primitive
from mini_repr.backend import backend_of
from mini_repr.fused import elementwise


@primitive
def add(x, y, /):
    """x + y."""
    return x + y, lambda g: (g, g)


@primitive
def subtract(x, y, /):
    """x - y."""
    return x - y, lambda g: (g, -g)


@primitive
def multiply(x, y, /):
    """x * y."""
    return x * y, lambda g: (g * y, g * x)


@primitive
def divide(x, y, /):
    """x / y."""
    quotient = x / y
    return quotient, lambda g: (g / y, -g * quotient / y)


@primitive
def negative(x, /):
    """-x."""
    return -x, lambda g: -g


@primitive
def power(x, /, exponent):
    """x ** exponent for a constant exponent. At x = 0 the gradient is that of the formula: infinite below 1."""
    if exponent == 0:
        return x**0, lambda g: g * 0
    return x**exponent, lambda g: g * exponent * x ** (exponent - 1)


@primitive
def exp(x, /):
    """e ** x."""
    output = backend_of(x).xp.exp(x)
    return output, lambda g: g * output


@primitive
def log(x, /):
    """Natural logarithm."""
    return backend_of(x).xp.log(x), lambda g: g / x


@primitive
def log1p(x, /):
    """log(1 + x), exact for small x."""
    return backend_of(x).xp.log1p(x), lambda g: g / (1 + x)


@primitive
def sqrt(x, /):
    """Square root; the gradient at 0 is infinite, as the formula says."""
    output = backend_of(x).xp.sqrt(x)
    return output, lambda g: g / (2 * output)


@primitive
def sin(x, /):
    """Sine (radians)."""
    xp = backend_of(x).xp
    return xp.sin(x), lambda g: g * xp.cos(x)


@primitive
def cos(x, /):
    """Cosine (radians)."""
    xp = backend_of(x).xp
    return xp.cos(x), lambda g: -g * xp.sin(x)


@primitive
def arccos(x, /):
    """Inverse cosine (radians) for -1 < x < 1."""
    xp = backend_of(x).xp
    return xp.arccos(x), lambda g: -g / xp.sqrt(1 - x * x)


@primitive
def tanh(x, /):
    """Hyperbolic tangent."""
    output = backend_of(x).xp.tanh(x)
    return output, lambda g: g * (1 - output * output)


@primitive
def sigmoid(x, /):
    """1 / (1 + e ** -x), through tanh so that neither end overflows."""
    output = 0.5 * (1 + backend_of(x).xp.tanh(0.5 * x))
    return output, lambda g: g * output * (1 - output)


@primitive
def softplus(x, /):
    """log(1 + e ** x) = max(x, 0) + log(1 + e ** -|x|), which neither overflows nor loses the small end."""
    xp = backend_of(x).xp
    positive = x.real > 0
    tail = xp.exp(xp.where(positive, -x, x))
    output = xp.where(positive, x, 0) + xp.log1p(tail)
    return output, lambda g: g * xp.where(positive, 1, tail) / (1 + tail)


@primitive
def absolute(x, /):
    """|x|; gradient 0 at 0. For complex x the branch that Re x chooses: x or -x."""
    xp = backend_of(x).xp
    sign = xp.sign(x.real)
    return x * sign, lambda g: g * sign


@primitive
def relu(x, /):
    """max(x, 0); gradient 0 at 0."""
    mask = x.real > 0
    return x * mask, lambda g: g * mask


@primitive
def maximum(x, y, /):
    """The larger of x and y; where they are equal the gradient goes half to each."""
    return _choose(x, y, x.real - y.real)


@primitive
def minimum(x, y, /):
    """The smaller of x and y; where they are equal the gradient goes half to each."""
    return _choose(x, y, y.real - x.real)


def _choose(x, y, advantage):
    xp = backend_of(x, y).xp
    output = xp.where(advantage >= 0, x, y)

    def backward(g):
        share = xp.asarray((xp.sign(advantage) + 1) / 2, dtype=g.dtype)
        return g * share, g * (1 - share)

    return output, backward


@primitive
def where(condition, x, y, /):
    """x where the boolean array ``condition`` holds, y elsewhere. The unchosen side gets no gradient, not even NaN."""
    xp = backend_of(condition, x, y).xp
    return xp.where(condition, x, y), lambda g: (None, xp.where(condition, g, 0), xp.where(condition, 0, g))


@primitive
def clip(x, /, low, high):
    """x limited to [low, high]; gradient 1 inside and on the limits, 0 outside."""
    xp = backend_of(x).xp
    inside = (x.real >= low) & (x.real <= high)
    return xp.where(inside, x, xp.clip(x.real, low, high)), lambda g: g * inside


_GELU_SCALE = math.sqrt(2 / math.pi)
_GELU_CUBIC = 0.044715


@primitive
def gelu(x, /):
    """x * Phi(x) by the tanh form: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).

    Hendrycks, Gimpel 2016, arXiv 1606.08415, section 2. Within 5e-4 of the exact form, and several times cheaper.
    """
    backend = backend_of(x)
    xp = backend.xp
    # A 0-d array has no rows to make blocks of, and may be read-only memory order: work on a flat contiguous view.
    flat = xp.ascontiguousarray(x).reshape(-1)
    output, slope = xp.empty_like(flat), xp.empty_like(flat)
    backend.row_blocks(partial(gelu_and_slope, backend), flat, output, slope)
    return output.reshape(x.shape), lambda g: g * slope.reshape(x.shape)


# The share (1 + tanh u)/2 = 1/(1 + e^-2u) of x, u = sqrt(2/pi) (x + 0.044715 x^3), and the slope of the product.
_SHARE = f"""
    const T share = 1 / (1 + exp(-x * ((T){2 * _GELU_SCALE} + (T){2 * _GELU_SCALE * _GELU_CUBIC} * x * x)));
"""
_SLOPE = f"""
    const T twice = x * ((T){2 * _GELU_SCALE} + (T){6 * _GELU_SCALE * _GELU_CUBIC} * x * x);
    const T rise = share * (1 + twice * (1 - share));
"""


@elementwise("T x", "T values, T slope", f"{_SHARE}{_SLOPE} values = share * x; slope = rise;")
def gelu_and_slope(backend, x, values, slope):
    """Fill ``values`` and ``slope`` of the tanh form: with s = (1 + tanh u)/2 the slope is s (1 + 2 x u' (1 - s))."""
    xp = backend.xp
    share = _gelu_share(backend, x, xp.empty_like(x))
    xp.multiply(x, x, out=slope)
    slope *= 6 * _GELU_SCALE * _GELU_CUBIC
    slope += 2 * _GELU_SCALE
    slope *= x  # 2 x u'
    xp.subtract(1, share, out=values)
    slope *= values
    slope += 1
    slope *= share
    xp.multiply(x, share, out=values)


@elementwise("T bias, T before, form T slope", "T values", f"const T x = before + bias; {_SHARE} values = share * x;")
def biased_gelu(backend, bias, before, slope, values):
    """Fill ``values`` with the tanh form of GELU of before + bias, and ``slope`` unless it is None, as on a GPU."""
    x = before + bias
    if slope is not None:
        gelu_and_slope.form(backend, x, values, slope)
        return
    _gelu_share(backend, x, values)
    values *= x


@elementwise("T bias, T before, form T slope", "T g", f"const T x = before + bias; {_SHARE}{_SLOPE} g *= rise;")
def times_slope(backend, bias, before, slope, g):
    """Multiply g by the slope of ``biased_gelu``, which is computed here if it is None."""
    if slope is None:
        slope = backend.xp.empty(before.shape, before.dtype)
        gelu_and_slope.form(backend, before + bias, backend.xp.empty(before.shape, before.dtype), slope)
    g *= slope


def _gelu_share(backend, x, share):
    """Fill and return ``share`` with (1 + tanh u)/2 = 1/(1 + e^-2u); the exponential is a third cheaper."""
    xp = backend.xp
    xp.multiply(x, x, out=share)
    share *= -2 * _GELU_SCALE * _GELU_CUBIC
    share -= 2 * _GELU_SCALE
    share *= x
    with backend.overflow_to_infinity():  # for x below -10 the share is 0 either way
        xp.exp(share, out=share)
    share += 1
    return xp.divide(1, share, out=share)


@primitive
def gelu_erf(x, /):
    """x * Phi(x) with Phi(x) = (1 + erf(x / sqrt 2)) / 2, exact. Hendrycks, Gimpel 2016, arXiv 1606.08415."""
    backend = backend_of(x)
    phi = 0.5 * (1 + backend.erf(x / math.sqrt(2)))
    density = lambda: backend.xp.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)  # noqa: E731
    return x * phi, lambda g: g * (phi + x * density())


@primitive
def cast(x, /, dtype):
    """x in another floating-point type; the gradient comes back in x's own."""
    return x.astype(dtype), lambda g: g.astype(x.dtype)
