"""The battery: for any loss, the inputs that tell implementations apart, made from the annotations on its page.

Every case has its own seed (from the loss's name and the case's id) and the same arrays for every variant: one input,
one value a variant. All floating-point inputs are rounded to float32 numbers, so that a case can be given in float32
or float64 and mean exactly the same.
"""

import zlib
from dataclasses import dataclass

import numpy as np

from mini_repr.conformance.optimum import near_optimum
from mini_repr.pages.arguments import Labels, Mask, Misuse, Rows, Scalar
from mini_repr.pages.names import find_variant
from mini_repr.pages.samples import sample, sample_inputs, sizes_of

FLAGS = {
    "ordinary": "random rows: a wrong formula, factor or reduction shows here",
    "sizes": "few rows, odd sizes, more columns than rows or the reverse: wrong axes and hidden minimums",
    "scalar": "a setting away from its default: an implementation may ignore it or use it in another place",
    "temperature": "small and large temperatures: overflow, and factors of the temperature",
    "magnitude": "large and small rows: missing normalisation, overflow, an epsilon that shows",
    "direction": "nearly parallel and opposite rows: cancellation in distances and in gradients of unit rows",
    "optimum": "partners together and classes apart, or the opposite: terms that random rows hide",
    "ties": "equal rows and equal distances: which one is chosen, how a gradient is shared",
    "labels": "imbalanced classes, a class of one, one class only",
    "mask": "one, all or none marked",
    "edge": "an input at the end of what is defined: the page says what comes out",
    "offset": "rows far from the origin and close together: differences of large squares lose all digits",
    "layout": "arrays that are not contiguous",
    "float32": "the same numbers in single precision",
    "not-differentiable": "a kink or a jump of the definition: the gradient is the page's convention, not to be judged",
}


@dataclass(frozen=True)
class Case:
    """One input. ``arguments``: host arrays, and the settings that differ from their defaults.

    ``result`` is what the page says of it: "valid" (a finite value), "error" (a ValueError) or "undefined" (the
    definition jumps here, so that rounding decides, or gives no finite value). ``flags`` are keys of FLAGS.
    """

    id: str
    comment: str
    flags: tuple[str, ...]
    arguments: dict
    dtype: str
    result: str

    @property
    def differentiable(self):
        """Whether gradients can be compared here."""
        return self.result == "valid" and "not-differentiable" not in self.flags


def cases_for(loss, settings=None, needs=None):
    """The battery of a loss under fixed ``settings`` (such as a variant's).

    Args:
        settings: {parameter: value}; they stand in every case's arguments, and no case varies them.
        needs: optional arrays to give; by default those that the page cannot do without under these settings.
    Returns:
        list of Case. The same call gives the same cases, bit for bit.
    """
    settings = dict(settings or {})
    bench = _Bench(loss, settings, _needed(loss, settings) if needs is None else tuple(needs))
    return [bench.case(*made) for family in _FAMILIES for made in family(bench)]


def drawn(loss, name, settings=None, needs=None, **sizes):
    """{array: random rows, labels, ...}, float32 numbers; ``name`` stands for the seed, ``sizes`` for letters (B=8).

    ``needs`` as for ``cases_for``.
    """
    settings = dict(settings or {})
    return _Bench(loss, settings, _needed(loss, settings) if needs is None else tuple(needs)).draw(name, **sizes)


def needs_of(loss, variant):
    """The optional arrays that a variant names; None where its settings alone say what it cannot do without."""
    return (loss.variants[find_variant(loss, variant)].needs if variant not in (None, "default") else ()) or None


def float32_exact(value):
    """The nearest float32 number(s), as float64; integers and booleans as they are."""
    if isinstance(value, float):
        return float(np.float32(value))
    return value.astype(np.float32).astype(np.float64) if value.dtype.kind == "f" else value


def float_arrays(loss):
    """Names of the arrays of floating-point rows, optional ones too."""
    return [p.name for p in loss.arrays if isinstance(p.annotation.bare, Rows)]


def accepts(annotation, value):
    """Whether an annotation accepts a value, whatever the sizes."""
    try:
        annotation.check(value, {})
    except Misuse:
        return False
    return True


def _needed(loss, settings):
    """The optional arrays of the variants that these settings select, or one or all of them where the page wants some.

    A variant whose settings are also those of one without its arrays selects nothing.
    """

    def fits(needs):
        arguments = sample_inputs(loss, np.random.default_rng(0), needs)
        return result_of(loss, {**arguments, **settings}) != "error"  # other settings may rule the arrays out

    without = [variant.settings for variant in loss.variants.values() if not variant.needs]
    for chosen in loss.variants.values():
        selected = chosen.settings.items() <= settings.items() and chosen.settings not in without
        if chosen.needs and selected and fits(chosen.needs):
            return tuple(chosen.needs)
    optional = tuple(p.name for p in loss.arrays if p.annotation.optional)
    return next((needs for needs in ((), *((name,) for name in optional)) if fits(needs)), optional)


class _Bench:
    """Draws the inputs of one loss and turns them into cases."""

    def __init__(self, loss, settings, needs):
        self.loss = loss
        self.settings = settings
        self.needs = needs
        self.sizes = sizes_of(loss)
        self.least = {letter: least for p in loss.arrays for letter, least in p.annotation.bare.axes}
        self.rows = loss.arrays[0].annotation.bare.letters[0]
        self.columns = loss.arrays[0].annotation.bare.letters[-1]

    def rng(self, name):
        return np.random.default_rng(zlib.crc32(f"{self.loss.name}/{name}".encode()))

    def draw(self, name, **sizes):
        """{name: array} at the loss's own sizes, or others."""
        if sizes.get(self.rows):  # rows that the page pairs up by stating one size for both stay paired
            stated = self.loss.sizes.get(self.rows)
            paired = [p.annotation.bare.letters[0] for p in self.loss.arrays]
            paired = {k for k in paired if stated and self.loss.sizes.get(k) == stated}
            sizes = {**sizes, **dict.fromkeys(paired, sizes[self.rows])}
        sizes = {k: max(v, self.least[k]) for k, v in sizes.items()}
        inputs = sample_inputs(self.loss, self.rng(name), self.needs, sizes)
        return {n: float32_exact(x) for n, x in inputs.items()}

    def changed(self, name, change):
        """Drawn inputs with ``change(rows, rng, k)`` applied to the k-th floating-point array, as rows (N, columns).

        Numbers that are no free rows (weights, temperatures) stay as drawn where their annotation refuses the change.
        """
        inputs, rng = self.draw(name), self.rng(name + "/change")
        for k, n in enumerate(n for n in float_arrays(self.loss) if n in inputs):
            rows = inputs[n].reshape(-1, inputs[n].shape[-1])
            changed = np.asarray(change(rows, rng, k), dtype=np.float64)
            changed = float32_exact(changed).reshape(inputs[n].shape)
            if accepts(self.loss.parameters[n].annotation, changed):
                inputs[n] = changed
        return inputs

    def near_optimum(self, name):
        """Drawn inputs, moved near what the loss rewards."""
        moved = near_optimum(self.loss, self.draw(name), self.rng(f"{name}/change"))
        return {n: float32_exact(x) for n, x in moved.items()}

    def numbers(self):
        """{setting: its range} of the settings that are numbers and free."""
        ranges = {p.name: getattr(p.annotation, "scalar", p.annotation) for p in self.loss.settings}
        return {n: x for n, x in ranges.items() if isinstance(x, Scalar) and n not in self.settings}

    def of_kind(self, kind):
        """The arrays annotated as ``kind``."""
        return [p for p in self.loss.arrays if isinstance(p.annotation.bare, kind)]

    def case(self, name, comment, flags, arguments, dtype="float64"):
        arguments = {**arguments, **self.settings}
        result = result_of(self.loss, arguments)
        if result == "valid" and dtype == "float64":
            jumps, kinks = _not_smooth(self.loss, arguments, self.rng(name + "/direction"))
            if jumps or kinks:
                flags = (*flags, "not-differentiable")
            if jumps and "edge" not in flags:
                result = "undefined"
        return Case(name, comment, tuple(flags), arguments, dtype, result)


def _ordinary(bench):
    rows, columns = bench.rows, bench.columns
    yield "ordinary", "random rows", ["ordinary"], bench.draw("ordinary")
    yield "ordinary-2", "other random rows", ["ordinary"], bench.draw("ordinary-2")
    labelled = any(not p.annotation.bare.classes for p in bench.of_kind(Labels))  # two alike and another: three rows
    sizes = {
        "fewest-rows": ("as few rows as have partners and others", {rows: 3 if labelled else 2}),
        "small": ("few rows and columns", {rows: 4, columns: 2}),
        "odd": ("odd sizes", {rows: 7, columns: 3}),
        "tall": ("more rows than columns", {rows: 13, columns: 2}),
        "wide": ("more columns than rows", {rows: 4, columns: 11}),
        "one-column": ("a single column", {columns: 1}),
    }
    others = [x for x in bench.sizes if x not in (rows, columns) and bench.sizes[x] != bench.loss.sizes.get(rows)]
    if others:
        listed = ", ".join(sorted(others))
        sizes["others-longer"] = (f"one more along {listed}", {x: bench.sizes[x] + 1 for x in others})
        sizes["others-shortest"] = (f"one along {listed}", dict.fromkeys(others, 1))
    for name, (comment, changed) in sizes.items():
        yield name, comment, ["sizes"], bench.draw(name, **changed)


def _scalars(bench):
    """Settings that are numbers, away from their defaults; all values are float32 numbers."""
    changed = {}
    for setting, number in bench.numbers().items():
        name = f"{setting}-changed"
        changed[setting] = value = float32_exact(sample(number, bench.rng(name), {}))
        if setting != "temperature":
            yield name, f"{setting} {value:g}", ["scalar"], {**bench.draw(name), setting: value}
            continue
        values = {"tiny": 2.0**-6, "large": 16.0, "to-zero": 2.0**-13}
        for size, value in values.items():
            name = f"temperature-{size}"
            flags = ["temperature", *(["edge"] if size == "to-zero" else [])]
            yield name, f"temperature {value:g}", flags, {**bench.draw(name), "temperature": value}
    if changed:  # what a number does may show only where partners are near, or where another is changed too
        told = ", ".join(f"{n} {x:g}" for n, x in changed.items())
        inputs = bench.near_optimum("numbers-near-optimum")
        yield "numbers-near-optimum", f"partners nearly coincide; {told}", ["scalar", "optimum"], {**inputs, **changed}


def _rows(bench):
    def parallel(x, rng, k):
        return bench.rng("axis").standard_normal(x.shape[1]) + 2.0**-10 * rng.standard_normal(x.shape)

    def opposite(x, rng, k):
        """Rows along one axis, up or down, of several lengths."""
        signs = np.where(np.arange(len(x)) % 2, -1.0, 1.0) * rng.choice([-1.0, 1.0])
        return (signs * rng.choice([0.5, 1.0, 2.0], len(x)))[:, None] * float32_exact(axis[: x.shape[1]])

    def uneven(x, rng, k):
        return x * 2.0 ** rng.integers(-6, 7, (len(x), 1))

    def duplicate(x, rng, k):
        return x[np.arange(len(x)) // 2]

    def lattice(x, rng, k):
        return rng.integers(1, 3, x.shape)

    def apart(x, rng, k):
        """The corners of a simplex, of length 2, where there are columns enough: every product is negative."""
        if not 2 <= len(x) <= x.shape[1] + 1:
            return x
        corners = np.eye(len(x)) - 1 / len(x)
        inside = np.linalg.svd(corners)[0][:, : len(x) - 1]  # their coordinates, one column less
        rows = np.pad(inside, ((0, 0), (0, x.shape[1] - inside.shape[1])))
        return 2 * rows / np.linalg.norm(rows, axis=1, keepdims=True)

    axis = bench.rng("axis").standard_normal(64)
    changes = {
        "large": ("rows 1024 times as long", "magnitude", lambda x, rng, k: x * 1024),
        "small-rows": ("rows 2^-20 times as long", "magnitude", lambda x, rng, k: x * 2.0**-20),
        "uneven": ("row lengths from 1/64 to 64", "magnitude", uneven),
        "parallel": ("all rows within 0.1 % of one direction", "direction", parallel),
        "opposite": ("all rows along one axis, up or down", "direction", opposite),
        "apart": ("rows as far from each other as they can be: all products are negative", "direction", apart),
        "duplicates": ("every row given twice", "ties", duplicate),
        "ties": ("coordinates 1 and 2 only: many equal distances and scores", "ties", lattice),
    }
    for name, (comment, flag, change) in changes.items():
        yield name, comment, [flag], bench.changed(name, change)


def _optimum(bench):
    near = bench.near_optimum("near-optimum")
    yield "near-optimum", "partners nearly coincide, classes lie apart", ["optimum"], near
    first, far = bench.loss.arrays[0].name, bench.near_optimum("far-from-optimum")
    far[first] = np.roll(far[first], 1, axis=0)
    yield "far-from-optimum", "each row where another one belongs", ["optimum"], far


def _edges(bench):
    vector = float32_exact(bench.rng("vector").standard_normal(64))

    def one_row_zero(x, rng, k):
        return x * (np.arange(len(x)) != k % len(x))[:, None]

    changes = {
        "zero-row": ("one row of every array is zero, each another one", ["edge"], one_row_zero),
        "zero-rows": ("all rows are zero", ["edge"], lambda x, rng, k: x * 0),
        "identical-rows": ("all rows are the same", ["edge"], lambda x, rng, k: x * 0 + vector[: x.shape[1]]),
        "offset-1e6": ("2^20 added to every element", ["edge", "offset"], lambda x, rng, k: x + 2.0**20),
        "offset-1e8": ("2^26 added to 32 times every element", ["edge", "offset"], lambda x, rng, k: 32 * x + 2.0**26),
    }
    for name, (comment, flags, change) in changes.items():
        yield name, comment, flags, bench.changed(name, change)
    # Shorter than the page allows, where it needs two rows or more: cut from drawn rows, as draw() keeps to the least.
    inputs = bench.draw("batch-of-one")
    for p in bench.loss.arrays:
        if p.name in inputs and p.annotation.bare.letters[0] == bench.rows:
            inputs[p.name] = inputs[p.name][:1]
    for p in bench.of_kind(Mask):
        if p.name in inputs:
            inputs[p.name] = np.ones_like(inputs[p.name])
    yield "batch-of-one", "one row only", ["edge"], inputs


def _labels(bench):
    for k, p in enumerate(bench.of_kind(Labels)):
        count = bench.sizes[p.annotation.bare.letters[0]]
        numbers = np.arange(count)
        settled = {
            "imbalanced": ("one class holds all rows but two", ["labels"], (numbers >= count - 2) * 1),
            "class-of-one": ("one row is alone in its class", ["labels", "edge"], np.where(numbers == 1, 1, 0)),
            "one-class": ("all labels are equal", ["labels", "edge"], numbers * 0),
        }
        if not p.annotation.bare.classes:
            settled["all-different"] = ("no two labels are equal", ["labels", "edge"], numbers)
            settled["any-integers"] = ("labels far apart and negative", ["labels"], np.where(numbers % 2, -7, 10**6))
        for name, (comment, flags, labels) in settled.items():
            name = f"{p.name}-{name}" if k else name
            yield name, comment, flags, {**bench.draw(name), p.name: labels}


def _masks(bench):
    for k, p in enumerate(bench.of_kind(Mask)):
        inputs, of = bench.draw("mask"), f"{p.name}-" if k else ""
        if p.name not in inputs:  # one that may be left out
            continue
        mask = np.zeros_like(inputs[p.name])
        yield f"{of}mask-none", "nothing is marked", ["mask", "edge"], {**inputs, p.name: mask}
        yield f"{of}mask-all", "everything is marked", ["mask", "edge"], {**inputs, p.name: ~mask}
        one = mask.copy()
        one[(0,) * one.ndim] = True
        yield f"{of}mask-one", "one is marked", ["mask"], {**inputs, p.name: one}


def _layouts(bench):
    def spaced(x):
        """The same numbers, every second element of a larger array, last axis first in memory."""
        host = np.zeros(tuple(2 * size for size in x.shape[::-1]), dtype=x.dtype).T
        view = host[tuple(slice(None, None, 2) for _ in x.shape)]
        view[...] = x
        return view

    def single(x):
        return x.astype(np.float32) if x.dtype.kind == "f" else x

    ordinary = bench.draw("ordinary")
    spread = {n: spaced(x) for n, x in ordinary.items()}
    yield "not-contiguous", "the arrays of 'ordinary' as strided views", ["layout"], spread
    for name in ("ordinary", "odd"):
        inputs = ordinary if name == "ordinary" else bench.draw("odd", **{bench.rows: 7, bench.columns: 3})
        arrays = {n: single(x) for n, x in inputs.items()}
        yield f"{name}-float32", f"the arrays of {name!r} in float32", ["float32"], arrays, "float32"


_FAMILIES = (_ordinary, _scalars, _rows, _optimum, _edges, _labels, _masks, _layouts)


def result_of(loss, arguments):
    """What a page says of these arguments, see ``Case.result``; that a value jumps is not seen here."""
    try:
        with np.errstate(all="ignore"):
            value = loss(**arguments).data
    except ValueError:
        return "error"
    return "valid" if np.isfinite(value).all() else "undefined"


def _spread(x):
    """How far apart the rows lie, or how long they are where they coincide; 1 for zeros."""
    rows = x.reshape(-1, x.shape[-1])
    return float(np.ptp(rows, axis=0).max() or np.abs(rows).max() or 1.0)


def _not_smooth(loss, arguments, rng, directions=2, step=1e-6):
    """Whether the value jumps, and whether its slope does, where a line through this input crosses it.

    Both sides are extrapolated to the middle from two points each. What is smooth meets there, and the value itself,
    ever more closely as the step shrinks; a jump or a kink stays.
    """
    names = [n for n in float_arrays(loss) if arguments.get(n) is not None and n in loss.differentiable]
    spreads = {n: _spread(arguments[n]) for n in names}
    # Inputs far from the origin round: by how much of a step, at worst.
    rounded = max(np.finfo(float).eps * np.abs(arguments[n]).max() / spreads[n] for n in names) / (step / 8)
    jumps = kinks = False
    for _ in range(directions):
        way = {n: rng.standard_normal(arguments[n].shape) * spreads[n] for n in names}

        def at(h, way=way):
            moved = {n: arguments[n] + h * d for n, d in way.items()}
            with np.errstate(all="ignore"):
                return float(np.sum(loss(**{**arguments, **moved}).data))

        here = at(0)

        def sides(h, at=at, here=here):
            """(jump, kink, size of the slopes, size of the values), as seen with this step."""
            below, above = (at(-2 * h), at(-h)), (at(2 * h), at(h))
            left, right = (below[1] - below[0]) / h, (above[0] - above[1]) / h
            limits = 2 * below[1] - below[0], 2 * above[1] - above[0]
            jump = max(limits[1] - limits[0], limits[0] - limits[1], *(abs(one - here) for one in limits))
            return jump, abs(right - left), max(abs(left), abs(right)), max(map(abs, (*below, *above)))

        (jump, kink, _, _), (jump_near, kink_near, slope, size) = sides(step), sides(step / 8)
        # Values round at 1e-16 of their size; a slope over this step therefore at 1e-16 / step.
        noise = 1e-14 * max(size, 1.0)
        jumps |= bool(jump_near > 0.5 * jump and jump_near > 1e-6 * max(size, 1e-3) + noise)
        kinks |= bool(kink_near > 0.5 * kink and kink_near > (1e-3 + 8 * rounded) * slope + 100 * noise / step)
    return jumps, kinks
