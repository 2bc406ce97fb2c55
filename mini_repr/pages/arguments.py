"""What a page may be given: annotations that say what an argument is, and check it.

A page writes ``a: Rows("B>=2 D")``. From that one declaration come the check of a call and its error, the line in
``mini-repr show``, the inputs that tests draw (``samples.py``) and those of the golden vectors. Letters name sizes: the
same letter is the same size everywhere in one call.
"""

import math
import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mini_repr.backend import backend_of, blocks_of, is_array, waits_to_read

_LOOK = 2**16  # elements that are looked at together


class Misuse(ValueError):
    """An argument does not fit its annotation. Carries what came and what was expected; the page adds the names."""

    def __init__(self, came, expected):
        super().__init__(f"got {came}, expected {expected}")


class Size(NamedTuple):
    """The size of a letter in one call, and the argument that fixed it."""

    number: int
    argument: str


@dataclass(frozen=True, repr=False)
class Annotation:
    """Base of all annotations.

    ``differentiable``: a loss returns a gradient for it. ``learned``: a training run moves it unless told otherwise.
    ``from_host``: an array on the host fits rows on a GPU: it is checked there, without waiting for the GPU, and moved.
    With ``stays`` the page itself moves it, after counting what it needs to know.
    """

    is_array = False
    differentiable = False
    optional = False
    learned = False
    from_host = False

    @property
    def bare(self):
        """What is inside an ``Optional``; any other annotation itself."""
        return self

    def __str__(self):
        """What it asks for, as `mini-repr show` prints it and as signatures have it."""
        raise NotImplementedError

    def __repr__(self):
        return str(self)

    def check(self, value, sizes, argument=""):
        """Return the value ready for use, or raise Misuse. ``sizes`` {letter: Size} is read and filled."""
        raise NotImplementedError


class Axis(NamedTuple):
    """One axis of a declared shape: its letter and the least size."""

    letter: str
    least: int

    def __str__(self):
        return self.letter if self.least == 1 else f"{self.letter}>={self.least}"


_AXIS = re.compile(r"([A-Za-z]\w*)(?:>=(\d+))?")


def parse_shape(notation):
    """The axes of a declared shape such as ``"B>=2 D"``.

    Raises:
        ValueError: something else between the spaces.
    """
    axes = []
    for part in notation.split():
        match = _AXIS.fullmatch(part)
        if match is None:
            raise ValueError(f"shape {notation!r}: got {part!r}, expected a letter such as B, or B>=2")
        axes.append(Axis(match[1], int(match[2] or 1)))
    return tuple(axes)


@dataclass(frozen=True, repr=False)
class _Array(Annotation):
    shape: str
    is_array = True

    def __post_init__(self):
        object.__setattr__(self, "axes", parse_shape(self.shape))
        object.__setattr__(self, "letters", [axis.letter for axis in self.axes])

    def check(self, value, sizes, argument=""):
        # A matrix multiplies otherwise, and a masked array's mask would be ignored.
        if not is_array(value) or isinstance(value, np.matrix | np.ma.MaskedArray):
            way = f", such as numpy.asarray({argument})" if argument and isinstance(value, list | tuple) else ""
            raise Misuse(f"{type(value).__name__}", f"{self.noun} of shape {self._wanted(sizes)}{way}")
        if value.ndim != len(self.axes):
            raise Misuse(f"shape {value.shape}", f"{self.noun} of shape {self._wanted(sizes)}")
        known = dict(sizes)
        for axis, size in zip(self.axes, value.shape, strict=True):
            if size < axis.least or known.setdefault(axis.letter, Size(size, argument)).number != size:
                came = f"shape {value.shape}" if value.size else f"shape {value.shape}, which is empty"
                raise Misuse(came, f"shape {self._wanted(sizes)}")
        sizes.update(known)
        self._check_dtype(value)
        return value

    def _wanted(self, sizes):
        """(B=4 as in a, D): the declared axes, with the sizes that earlier arguments fixed."""

        def wanted(axis):
            if axis.letter not in sizes:
                return str(axis)
            number, argument = sizes[axis.letter]
            return f"{axis.letter}={number} as in {argument}" if argument else f"{axis.letter}={number}"

        return f"({', '.join(map(wanted, self.axes))})"

    def _declared(self, dtype):
        return f"({', '.join(map(str, self.axes))}) {dtype}"


@dataclass(frozen=True, repr=False)
class Rows(_Array):
    """Floating-point numbers, float32 or float64.

    They receive a gradient, unless ``frozen`` (teachers, targets, queues: behind a stop-gradient, nothing is returned
    for them). ``least`` and ``above`` bound every number. ``no_zero_row``: each row has a direction; one below the
    smallest normal number counts as zero, as in ``unit_rows``. ``unset``: minus infinity stands for no value yet.
    """

    frozen: bool = False
    least: float = -math.inf
    above: float = -math.inf
    no_zero_row: bool = False
    unset: bool = False

    differentiable = property(lambda self: not self.frozen)

    @property
    def noun(self):
        bounds = self._bounds()
        return "an array" if not bounds else f"an array of numbers {bounds}"

    def _bounds(self):
        limits = [f">= {self.least:g}"] if self.least > -math.inf else []
        limits += [f"> {self.above:g}"] if self.above > -math.inf else []
        return " and ".join(limits)

    def _check_dtype(self, value):
        if value.dtype not in (np.float32, np.float64):
            raise Misuse(f"dtype {value.dtype}", "float32 or float64")

    def check(self, value, sizes, argument=""):
        super().check(value, sizes, argument)
        if self.least > -math.inf and bool((value < self.least).any()):
            came = f"a number below {self.least:g}" if self.least else "a negative number"
            raise Misuse(came, f"numbers {self._bounds()}")
        if self.above > -math.inf and bool((value <= self.above).any()):
            raise Misuse(f"a number that is not above {self.above:g}", f"numbers {self._bounds()}")
        if self.no_zero_row and has_zero_row(value):
            raise Misuse("a row of zeros", "some number other than 0 in each row")
        return value

    def __str__(self):
        parts = [self._declared("float"), "stop-gradient" if self.frozen else "", self._bounds()]
        parts += ["no row of zeros" if self.no_zero_row else "", "-inf: no value yet" if self.unset else ""]
        return ", ".join(filter(None, parts))


@dataclass(frozen=True, repr=False)
class Amounts(_Array):
    """Numbers of any kind, at least 0: booleans, integers or floating-point."""

    noun = "an array of numbers >= 0"

    def _check_dtype(self, value):
        if value.dtype.kind not in "biuf":
            raise Misuse(f"dtype {value.dtype}", "numbers")

    def check(self, value, sizes, argument=""):
        super().check(value, sizes, argument)
        if value.dtype.kind in "if" and bool((value < 0).any()):
            raise Misuse("a negative number", "numbers >= 0")
        return value

    def __str__(self):
        return f"{self._declared('any')}, >= 0"


@dataclass(frozen=True, repr=False)
class Labels(_Array):
    """Integer class labels. With ``classes`` (a letter) they index that many classes: 0 <= label < C."""

    classes: str = ""
    stays: bool = False
    from_host = True
    noun = "integer labels"

    def _check_dtype(self, value):
        if value.dtype.kind not in "iu":
            raise Misuse(f"dtype {value.dtype}", "integers")

    def check(self, value, sizes, argument=""):
        super().check(value, sizes, argument)
        if self.classes and value.size:
            (low, high), count = backend_of(value).extremes(value), sizes[self.classes].number
            if low < 0 or high >= count:
                raise Misuse(f"labels from {low} to {high}", f"0 to {count - 1} ({self.classes} classes)")
        return value

    def __str__(self):
        return self._declared("int") + (f", 0 to {self.classes}-1" if self.classes else "")


@dataclass(frozen=True, repr=False)
class Mask(_Array):
    """Booleans; True marks what takes part. At least one must be True, unless it ``may_be_empty``."""

    may_be_empty: bool = False
    stays: bool = False
    from_host = True
    noun = "a boolean mask"

    def _check_dtype(self, value):
        if value.dtype.kind != "b":
            raise Misuse(f"dtype {value.dtype}", "booleans")

    def check(self, value, sizes, argument=""):
        super().check(value, sizes, argument)
        if not self.may_be_empty and not bool(value.any()):
            raise Misuse("a mask that is False everywhere", "at least one True")
        return value

    def __str__(self):
        return self._declared("bool")


@dataclass(frozen=True, repr=False)
class Scalar(Annotation):
    """A real number in a range, ends included. ``low_open`` and ``high_open`` leave an end out.

    A number on a GPU, such as a learned temperature in training, is taken unread: the host would wait.
    """

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    def check(self, value, sizes, argument=""):
        real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
        if not (real or is_array(value)):
            raise Misuse(_named(value), f"a number {self}")
        if is_array(value) and (value.ndim or value.dtype.kind != "f"):
            raise Misuse(_named(value), f"a number {self}")
        if waits_to_read(value):
            return value
        try:
            number = float(value)
        except OverflowError:  # a whole number of more than 308 digits
            number = math.inf
        if not math.isfinite(number) or not self._holds(number):
            raise Misuse(f"{number:g}", f"a number {self}")
        return value if is_array(value) else number

    def _holds(self, number):
        above = self.low < number if self.low_open else self.low <= number
        return above and (number < self.high if self.high_open else number <= self.high)

    def __str__(self):
        ends = [f"{'>' if self.low_open else '>='} {self.low:g}"] if math.isfinite(self.low) else []
        ends += [f"{'<' if self.high_open else '<='} {self.high:g}"] if math.isfinite(self.high) else []
        return f"({' and '.join(ends) or 'any real'})"


Real = Scalar()
Positive = Scalar(low=0, low_open=True)
NonNegative = Scalar(low=0)
Fraction = Scalar(low=0, high=1)
FractionBelowOne = Scalar(low=0, high=1, high_open=True)


@dataclass(frozen=True, repr=False)
class WithGradient(Annotation):
    """A scalar that also receives a gradient. ``learned``: a training run moves it unless told otherwise."""

    scalar: Scalar
    learned: bool = False
    differentiable = True

    def check(self, value, sizes, argument=""):
        return self.scalar.check(value, sizes, argument)

    def __str__(self):
        return f"{self.scalar}, has a gradient" + (", learned in training" if self.learned else "")


LARGEST_COUNT = 2**31 - 1


@dataclass(frozen=True, repr=False)
class Count(Annotation):
    """A whole number, at least ``least``; ``None`` is allowed where ``choose`` says what it stands for."""

    least: int = 1
    choose: str = ""

    def check(self, value, sizes, argument=""):
        if value is None and self.choose:
            return None
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not whole or not self.least <= value <= LARGEST_COUNT:
            raise Misuse(_named(value), f"a whole number from {self.least} to {LARGEST_COUNT}")
        return int(value)

    def __str__(self):
        return f"(whole, >= {self.least}" + (f"; None: {self.choose})" if self.choose else ")")


Tile = Count(choose="chosen to fit the cache")


@dataclass(frozen=True, repr=False)
class TrueOrFalse(Annotation):
    """True or False."""

    def check(self, value, sizes, argument=""):
        if not isinstance(value, bool | np.bool_):
            raise Misuse(_named(value), "True or False")
        return bool(value)

    def __str__(self):
        return "(True or False)"


Flag = TrueOrFalse()


@dataclass(frozen=True, init=False, repr=False)
class Choice(Annotation):
    """One of a few words."""

    options: tuple

    def __init__(self, *options):
        object.__setattr__(self, "options", options)

    def check(self, value, sizes, argument=""):
        if not isinstance(value, str) or value not in self.options:
            raise Misuse(_named(value), f"one of {', '.join(self.options)}")
        return value

    def __str__(self):
        return f"({' | '.join(self.options)})"


Reduction = Choice("mean", "sum", "none")


@dataclass(frozen=True, repr=False)
class Optional(Annotation):
    """Anything that may be left out (None)."""

    of: Annotation
    optional = True

    bare = property(lambda self: self.of)
    is_array = property(lambda self: self.of.is_array)
    differentiable = property(lambda self: self.of.differentiable)
    letters = property(lambda self: self.of.letters)

    def check(self, value, sizes, argument=""):
        return None if value is None else self.of.check(value, sizes, argument)

    def __str__(self):
        return f"{self.of}, optional"


@dataclass(frozen=True, init=False, repr=False)
class Several(Annotation):
    """A fixed number of values, each with an annotation of its own, such as AdamW's two decay rates."""

    parts: tuple

    def __init__(self, *parts):
        object.__setattr__(self, "parts", parts)

    def check(self, value, sizes, argument=""):
        if not isinstance(value, tuple | list) or len(value) != len(self.parts):
            raise Misuse(_named(value), f"a list of {len(self.parts)}: {self}")
        return tuple(part.check(one, sizes, argument) for part, one in zip(self.parts, value, strict=True))

    def __str__(self):
        return f"[{', '.join(map(str, self.parts))}]"


def _named(value):
    """What came, on one line."""
    return f"an array of shape {value.shape}, dtype {value.dtype}" if is_array(value) else repr(value)


def finite(value):
    """Whether all elements of a floating-point array are finite (arrays of other kinds are)."""
    return value.dtype.kind != "f" or all(bool(backend_of(value).xp.isfinite(part).all()) for part in _parts(value))


def has_zero_row(value):
    """Whether all elements of some row, along the last axis, are below the smallest normal number."""
    xp, least = backend_of(value).xp, np.finfo(value.dtype).tiny
    return any(bool((xp.abs(part).max(axis=-1) < least).any()) for part in _parts(value))


def _parts(value):
    """An array's rows, a block at a time on the host: to look at an array of any size takes no copy of it."""
    if value.ndim < 2 or backend_of(value).reading_waits:
        return [value]
    return (value[rows] for rows in blocks_of(len(value), max(1, _LOOK // max(1, value[:1].size))))
