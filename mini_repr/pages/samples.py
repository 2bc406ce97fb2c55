"""Valid and wrong values for any argument of a page, drawn from its annotation: for tests and golden vectors."""

import math
from functools import singledispatch

import numpy as np

from mini_repr.pages.arguments import (
    LARGEST_COUNT,
    Amounts,
    Annotation,
    Choice,
    Count,
    Labels,
    Mask,
    Optional,
    Rows,
    Scalar,
    Several,
    TrueOrFalse,
    WithGradient,
)

GENERAL_SIZES = {"B": 6, "N": 6, "D": 5, "C": 4, "K": 7}
ANY_OTHER_SIZE = 3


def sizes_of(page):
    """{letter: size} for every letter that the page's arrays name."""
    letters = {letter for p in page.arrays for letter in p.annotation.letters}
    return {letter: page.sizes.get(letter, GENERAL_SIZES.get(letter, ANY_OTHER_SIZE)) for letter in letters}


def sample_inputs(page, rng, needs=(), sizes=None):
    """{name: host array} for every array the page cannot do without, and the optional ones named in ``needs``.

    Args:
        sizes: {letter: size}, some or all; by default those of the page.
    """
    sizes = {**sizes_of(page), **(sizes or {})}
    chosen = [p for p in page.arrays if not p.annotation.optional or p.name in needs]
    return {p.name: sample(p.annotation, rng, sizes) for p in chosen}


@singledispatch
def sample(annotation, rng, sizes):
    """A valid host value: float64, integer or boolean arrays, plain values for the rest. ``sizes`` {letter: size}."""
    raise NotImplementedError(f"no samples for {type(annotation).__name__}")


@singledispatch
def wrong_values(annotation: Annotation, rng, sizes):
    """(what is wrong, value) pairs that ``annotation.check`` must refuse."""
    return []


def _shape(annotation, sizes):
    return tuple(sizes[letter] for letter in annotation.letters)


@sample.register
def _(annotation: Rows, rng, sizes):
    shape = _shape(annotation, sizes)
    if annotation.above == annotation.least:  # both unbounded
        return rng.standard_normal(shape)
    low = max(annotation.above, annotation.least)
    drawn = low + rng.uniform(0.2, 2, shape)
    if annotation.above == low:
        return drawn
    sparse = np.where(rng.random(shape) < 0.5, drawn, low)  # the lower end itself occurs
    return sparse + ((sparse == 0).all(axis=-1, keepdims=True) if annotation.no_zero_row else 0)


@sample.register
def _(annotation: Amounts, rng, sizes):
    return rng.integers(0, 4, _shape(annotation, sizes))


@sample.register
def _(annotation: Labels, rng, sizes):
    shape = _shape(annotation, sizes)
    count = math.prod(shape)
    classes = sizes[annotation.classes] if annotation.classes else max(2, count // 3)
    # Every class in turn, then shuffled: no class is left without a partner.
    return rng.permutation(np.arange(count) % classes).reshape(shape)


@sample.register
def _(annotation: Mask, rng, sizes):
    shape = _shape(annotation, sizes)
    return rng.permutation(np.arange(math.prod(shape)) % 5 < 3).reshape(shape)


@sample.register
def _(annotation: Scalar, rng, sizes):
    low = annotation.low if math.isfinite(annotation.low) else -1.0
    high = annotation.high if math.isfinite(annotation.high) else low + 1.0
    return low + (high - low) * float(rng.uniform(0.3, 0.9))


@sample.register
def _(annotation: WithGradient, rng, sizes):
    return sample(annotation.scalar, rng, sizes)


@sample.register
def _(annotation: Count, rng, sizes):
    return None if annotation.choose else annotation.least + 1


@sample.register
def _(annotation: TrueOrFalse, rng, sizes):
    return bool(rng.integers(2))


@sample.register
def _(annotation: Choice, rng, sizes):
    return annotation.options[int(rng.integers(len(annotation.options)))]


@sample.register
def _(annotation: Optional, rng, sizes):
    return sample(annotation.of, rng, sizes)


@sample.register
def _(annotation: Several, rng, sizes):
    return tuple(sample(part, rng, sizes) for part in annotation.parts)


def _wrong_arrays(annotation, rng, sizes):
    good = sample(annotation, rng, sizes)
    yield "one axis too many", good[None]
    yield "a list, not an array", good.tolist()
    yield "a masked array", np.ma.masked_array(good)
    for axis, (letter, least) in enumerate(annotation.axes):
        short = np.take(good, range(least - 1), axis=axis)
        yield f"{least - 1} along {letter}", short


@wrong_values.register
def _(annotation: Rows, rng, sizes):
    yield from _wrong_arrays(annotation, rng, sizes)
    good = sample(annotation, rng, sizes)
    yield "integers", np.ones(good.shape, dtype=np.int64)
    yield "half precision", np.ones(good.shape, dtype=np.float16)
    if annotation.least > -math.inf:
        yield "a number below the range", good - good.min() + annotation.least - 1
    if annotation.above > -math.inf:
        yield "the lower end", good * 0 + annotation.above
    if annotation.no_zero_row:
        yield "a row of zeros", good * 0


@wrong_values.register
def _(annotation: Amounts, rng, sizes):
    yield from _wrong_arrays(annotation, rng, sizes)
    good = sample(annotation, rng, sizes)
    yield "a negative number", good - good.max() - 1
    yield "complex numbers", good * 1j


@wrong_values.register
def _(annotation: Labels, rng, sizes):
    yield from _wrong_arrays(annotation, rng, sizes)
    good = sample(annotation, rng, sizes)
    yield "floating-point labels", good.astype(np.float64)
    if annotation.classes:
        yield "a label past the last class", good * 0 + sizes[annotation.classes]
        yield "a negative label", good * 0 - 1


@wrong_values.register
def _(annotation: Mask, rng, sizes):
    yield from _wrong_arrays(annotation, rng, sizes)
    shape = _shape(annotation, sizes)
    if not annotation.may_be_empty:
        yield "all False", np.zeros(shape, dtype=bool)
    yield "numbers", np.ones(shape)


@wrong_values.register
def _(annotation: Scalar, rng, sizes):
    yield "text", "0.1"
    yield "a complex number", np.complex128(0.5)
    yield "a whole number beyond the floating-point ones", 10**400
    yield "NaN", math.nan
    yield "infinity", math.inf
    if math.isfinite(annotation.low):
        yield "below the range", annotation.low if annotation.low_open else annotation.low - 1e-3
    if math.isfinite(annotation.high):
        yield "above the range", annotation.high if annotation.high_open else annotation.high + 1e-3


@wrong_values.register
def _(annotation: WithGradient, rng, sizes):
    return wrong_values(annotation.scalar, rng, sizes)


@wrong_values.register
def _(annotation: Count, rng, sizes):
    yield "too small", annotation.least - 1
    yield "too large for an index", LARGEST_COUNT + 1
    yield "a fraction", annotation.least + 0.5


@wrong_values.register
def _(annotation: TrueOrFalse, rng, sizes):
    yield "a number", 1


@wrong_values.register
def _(annotation: Choice, rng, sizes):
    yield "no such word", "nonsense"
    yield "several words", np.asarray(annotation.options)


@wrong_values.register
def _(annotation: Optional, rng, sizes):
    return wrong_values(annotation.of, rng, sizes)


@wrong_values.register
def _(annotation: Several, rng, sizes):
    yield "one value", sample(annotation.parts[0], rng, sizes)
    for place, part in enumerate(annotation.parts):
        for what, value in wrong_values(part, rng, sizes):
            good = list(sample(annotation, rng, sizes))
            good[place] = value
            yield f"{what} at place {place}", good
