"""What a loss may be given: live annotations that validate, describe, and draw test inputs.

A page writes ``a: Rows("B>=2 D")`` and gets, from that one declaration, the error for a wrong shape, the line in
``mini-repr show``, the inputs of the table-driven test and those of the golden vectors. Letters name sizes: the same
letter means the same size everywhere in one call.
"""

import math
import re
from dataclasses import dataclass

import numpy as np

from mini_repr.backend import backend_of, is_array


class Misuse(ValueError):
    """An argument does not fit its annotation. Carries what came and what was expected; the loss adds the names."""

    def __init__(self, came, expected):
        self.came = came
        self.expected = expected
        super().__init__(f"got {came}, expected {expected}")


@dataclass(frozen=True)
class Annotation:
    """Base of all annotations. ``differentiable``: whether the loss returns a gradient for this argument."""

    differentiable = False
    is_array = False
    optional = False

    def check(self, value, sizes):
        """Return the value ready for use, or raise Misuse. ``sizes`` {letter: size} is read and filled."""
        raise NotImplementedError

    def draw(self, rng, sizes):
        """A valid host value: float64 or integer arrays, plain numbers for scalars. ``sizes`` maps letters to sizes."""
        raise NotImplementedError

    def bad(self, rng, sizes):
        """(what is wrong, value) pairs that ``check`` must refuse."""
        return []


_AXIS = re.compile(r"([A-Za-z]\w*)(?:>=(\d+))?$")


@dataclass(frozen=True)
class _Array(Annotation):
    shape: str
    is_array = True

    @property
    def axes(self):
        """[(letter, least size)], in order."""
        found = [_AXIS.match(axis) for axis in self.shape.split()]
        return [(m.group(1), int(m.group(2) or 1)) for m in found]

    @property
    def letters(self):
        return [letter for letter, _ in self.axes]

    def check(self, value, sizes):
        # A matrix multiplies otherwise, and a masked array's mask would be ignored.
        if not is_array(value) or isinstance(value, np.matrix | np.ma.MaskedArray):
            raise Misuse(f"{type(value).__name__}", f"{self.noun} of shape {self._wanted(sizes)}")
        if value.ndim != len(self.axes):
            raise Misuse(f"shape {value.shape}", f"{self.noun} of shape {self._wanted(sizes)}")
        for (letter, least), size in zip(self.axes, value.shape, strict=True):
            if size < least:
                raise Misuse(f"shape {value.shape}", f"shape {self._wanted(sizes)}")
            if sizes.setdefault(letter, size) != size:
                raise Misuse(f"shape {value.shape}", f"shape {self._wanted(sizes)}, as the other arguments have")
        self._check_dtype(value)
        return value

    def _wanted(self, sizes):
        """(B=4, D): the declared axes, with the sizes that earlier arguments fixed."""
        parts = []
        for axis, (letter, _) in zip(self.shape.split(), self.axes, strict=True):
            parts.append(f"{letter}={sizes[letter]}" if letter in sizes else axis)
        return f"({', '.join(parts)})"

    def _drawn_shape(self, sizes):
        return tuple(sizes[letter] for letter in self.letters)

    def bad(self, rng, sizes):
        good = self.draw(rng, sizes)
        yield "one axis too many", good[None]
        yield "a list, not an array", good.tolist()
        yield "a masked array", np.ma.masked_array(good)
        for axis, (letter, least) in enumerate(self.axes):
            short = np.take(good, range(least - 1), axis=axis)
            yield f"{least - 1} along {letter}", short


@dataclass(frozen=True)
class Rows(_Array):
    """Floating-point rows, float32 or float64, that receive a gradient."""

    differentiable = True
    noun = "an array"

    def _check_dtype(self, value):
        if value.dtype not in (np.float32, np.float64):
            raise Misuse(f"dtype {value.dtype}", "float32 or float64")

    def draw(self, rng, sizes):
        return rng.standard_normal(self._drawn_shape(sizes))

    def bad(self, rng, sizes):
        yield from super().bad(rng, sizes)
        yield "integers", np.ones(self._drawn_shape(sizes), dtype=np.int64)
        yield "half precision", np.ones(self._drawn_shape(sizes), dtype=np.float16)

    def __str__(self):
        return f"({', '.join(self.shape.split())}) float"


@dataclass(frozen=True)
class Scores(Rows):
    """Floating-point scores over classes or candidates, any real values."""


@dataclass(frozen=True)
class FrozenRows(Rows):
    """Rows that a stop-gradient guards: teachers, targets, queues. Their gradient is exactly zero and not returned."""

    differentiable = False

    def __str__(self):
        return super().__str__() + ", stop-gradient"


@dataclass(frozen=True)
class Proportions(FrozenRows):
    """Rows of numbers >= 0, not all 0, that stand for distributions in proportion to them: 0-1 marks, counts, weights.

    Frozen like ``FrozenRows``.
    """

    noun = "an array of numbers >= 0, some above 0 in each row,"

    def check(self, value, sizes):
        super().check(value, sizes)
        if bool((value < 0).any()):
            raise Misuse("a negative number", "numbers >= 0")
        if not bool((value != 0).any(axis=-1).all()):
            raise Misuse("a row of zeros", "some number above 0 in each row")
        return value

    def draw(self, rng, sizes):
        shape = self._drawn_shape(sizes)
        sparse = rng.uniform(0.2, 2, shape) * (rng.random(shape) < 0.5)
        return sparse + (sparse.sum(axis=-1, keepdims=True) == 0)

    def bad(self, rng, sizes):
        yield from super().bad(rng, sizes)
        yield "a negative number", self.draw(rng, sizes) - 1
        yield "a row of zeros", self.draw(rng, sizes) * 0

    def __str__(self):
        return super().__str__() + ", >= 0, not all 0 in a row"


@dataclass(frozen=True)
class FrozenPositive(FrozenRows):
    """Numbers above 0, such as temperatures of single samples. Frozen like ``FrozenRows``."""

    noun = "an array of numbers > 0"

    def check(self, value, sizes):
        super().check(value, sizes)
        if not bool((value > 0).all()):
            raise Misuse("a number that is not above 0", "numbers > 0")
        return value

    def draw(self, rng, sizes):
        return rng.uniform(0.2, 2, self._drawn_shape(sizes))

    def bad(self, rng, sizes):
        yield from super().bad(rng, sizes)
        yield "a zero", self.draw(rng, sizes) * 0

    def __str__(self):
        return super().__str__() + ", > 0"


@dataclass(frozen=True)
class Labels(_Array):
    """Integer class labels. With ``classes`` (a letter) they index that many classes: 0 <= label < C."""

    classes: str = ""
    noun = "integer labels"

    def _check_dtype(self, value):
        if value.dtype.kind not in "iu":
            raise Misuse(f"dtype {value.dtype}", "integers")

    def check(self, value, sizes):
        super().check(value, sizes)
        if self.classes and value.size:
            low, high = int(value.min()), int(value.max())
            if low < 0 or high >= sizes[self.classes]:
                raise Misuse(f"labels from {low} to {high}", f"0 to {sizes[self.classes] - 1} ({self.classes} classes)")
        return value

    def draw(self, rng, sizes):
        shape = self._drawn_shape(sizes)
        count = math.prod(shape)
        classes = sizes[self.classes] if self.classes else max(2, count // 3)
        # Every class in turn, then shuffled: no class is left without a partner.
        return rng.permutation(np.arange(count) % classes).reshape(shape)

    def bad(self, rng, sizes):
        yield from super().bad(rng, sizes)
        good = self.draw(rng, sizes)
        yield "floating-point labels", good.astype(np.float64)
        if self.classes:
            yield "a label past the last class", good * 0 + sizes[self.classes]
            yield "a negative label", good * 0 - 1

    def __str__(self):
        return f"({', '.join(self.shape.split())}) int" + (f", 0 to {self.classes}-1" if self.classes else "")


@dataclass(frozen=True)
class Mask(_Array):
    """Booleans; True marks what takes part. At least one must be True."""

    noun = "a boolean mask"

    def _check_dtype(self, value):
        if value.dtype.kind != "b":
            raise Misuse(f"dtype {value.dtype}", "booleans")

    def check(self, value, sizes):
        super().check(value, sizes)
        if not bool(value.any()):
            raise Misuse("a mask that is False everywhere", "at least one True")
        return value

    def draw(self, rng, sizes):
        count = math.prod(self._drawn_shape(sizes))
        return rng.permutation(np.arange(count) % 5 < 3).reshape(self._drawn_shape(sizes))

    def bad(self, rng, sizes):
        yield from super().bad(rng, sizes)
        yield "all False", np.zeros(self._drawn_shape(sizes), dtype=bool)
        yield "numbers", np.ones(self._drawn_shape(sizes))

    def __str__(self):
        return f"({', '.join(self.shape.split())}) bool"


@dataclass(frozen=True)
class Scalar(Annotation):
    """A real number in a range. ``low_open``: the lower end itself is excluded; the upper end is included."""

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False

    def check(self, value, sizes):
        real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
        if not (real or is_array(value)):
            raise Misuse(_named(value), f"a number {self}")
        if is_array(value) and (value.ndim or value.dtype.kind != "f"):
            raise Misuse(_named(value), f"a number {self}")
        try:
            number = float(value)
        except OverflowError:  # a whole number of more than 308 digits
            number = math.inf
        if not math.isfinite(number) or not self._holds(number):
            raise Misuse(f"{number:g}", f"a number {self}")
        return value if is_array(value) else number

    def _holds(self, number):
        return (self.low < number if self.low_open else self.low <= number) and number <= self.high

    def draw(self, rng, sizes):
        low = self.low if math.isfinite(self.low) else -1.0
        high = self.high if math.isfinite(self.high) else low + 1.0
        return low + (high - low) * float(rng.uniform(0.3, 0.9))

    def bad(self, rng, sizes):
        yield "text", "0.1"
        yield "a complex number", np.complex128(0.5)
        yield "a whole number beyond the floating-point ones", 10**400
        yield "NaN", math.nan
        yield "infinity", math.inf
        if math.isfinite(self.low):
            yield "below the range", self.low if self.low_open else self.low - 1e-3
        if math.isfinite(self.high):
            yield "above the range", self.high + 1e-3

    def __str__(self):
        if math.isinf(self.low):
            return "(any real)" if math.isinf(self.high) else f"(<= {self.high:g})"
        lower = f"{'>' if self.low_open else '>='} {self.low:g}"
        return f"({lower})" if math.isinf(self.high) else f"({lower} and <= {self.high:g})"


Real = Scalar()
Positive = Scalar(low=0, low_open=True)
NonNegative = Scalar(low=0)
Fraction = Scalar(low=0, high=1)


@dataclass(frozen=True)
class Learned(Annotation):
    """A scalar that also receives a gradient. ``trained``: a training run learns it unless told otherwise."""

    scalar: Scalar
    trained: bool = False
    differentiable = True

    def check(self, value, sizes):
        return self.scalar.check(value, sizes)

    def draw(self, rng, sizes):
        return self.scalar.draw(rng, sizes)

    def bad(self, rng, sizes):
        return self.scalar.bad(rng, sizes)

    def __str__(self):
        return f"{self.scalar}, has a gradient" + (", learned in training" if self.trained else "")


_LARGEST_COUNT = 2**31 - 1


@dataclass(frozen=True)
class Count(Annotation):
    """A whole number, at least ``least``; ``None`` is allowed where ``choose`` says what it stands for."""

    least: int = 1
    choose: str = ""

    def check(self, value, sizes):
        if value is None and self.choose:
            return None
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not whole or not self.least <= value <= _LARGEST_COUNT:
            raise Misuse(_named(value), f"a whole number from {self.least} to {_LARGEST_COUNT}")
        return int(value)

    def draw(self, rng, sizes):
        return None if self.choose else self.least + 1

    def bad(self, rng, sizes):
        yield "too small", self.least - 1
        yield "too large for an index", _LARGEST_COUNT + 1
        yield "a fraction", self.least + 0.5

    def __str__(self):
        return f"(whole, >= {self.least}" + (f"; None: {self.choose})" if self.choose else ")")


Tile = Count(choose="chosen to fit the cache")


@dataclass(frozen=True)
class Flag(Annotation):
    """True or False."""

    def check(self, value, sizes):
        if not isinstance(value, bool | np.bool_):
            raise Misuse(_named(value), "True or False")
        return bool(value)

    def draw(self, rng, sizes):
        return bool(rng.integers(2))

    def bad(self, rng, sizes):
        yield "a number", 1

    def __str__(self):
        return "(True or False)"


@dataclass(frozen=True, init=False)
class Choice(Annotation):
    """One of a few words."""

    options: tuple

    def __init__(self, *options):
        object.__setattr__(self, "options", options)

    def check(self, value, sizes):
        if not isinstance(value, str) or value not in self.options:
            raise Misuse(_named(value), f"one of {', '.join(self.options)}")
        return value

    def draw(self, rng, sizes):
        return self.options[int(rng.integers(len(self.options)))]

    def bad(self, rng, sizes):
        yield "no such word", "nonsense"
        yield "several words", np.asarray(self.options)

    def __str__(self):
        return f"({' | '.join(self.options)})"


Reduction = Choice("mean", "sum", "none")


@dataclass(frozen=True)
class Optional(Annotation):
    """An array, or a number, that may be left out (None)."""

    array: _Array
    optional = True

    @property
    def is_array(self):
        return self.array.is_array

    @property
    def differentiable(self):
        return self.array.differentiable

    @property
    def letters(self):
        return self.array.letters

    def check(self, value, sizes):
        return None if value is None else self.array.check(value, sizes)

    def draw(self, rng, sizes):
        return self.array.draw(rng, sizes)

    def bad(self, rng, sizes):
        return self.array.bad(rng, sizes)

    def __str__(self):
        return f"{self.array}, optional"


def _named(value):
    """What came, on one line."""
    return f"an array of shape {value.shape}, dtype {value.dtype}" if is_array(value) else repr(value)


def finite(value):
    """Whether all elements of a floating-point array are finite (arrays of other kinds are)."""
    return value.dtype.kind != "f" or bool(backend_of(value).xp.isfinite(value).all())
