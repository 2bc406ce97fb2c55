"""Pictures from the declarations alone, as SVG that takes its colours from the page it stands in."""

import zlib
from typing import NamedTuple

import numpy as np

from mini_repr.book.svg import BAD, GOOD, INK, LINES, MUTED, legend, look, svg
from mini_repr.pages.arguments import Rows, Scalar
from mini_repr.pages.samples import sample_inputs, sizes_of

POINTS = 33
ANGLES = 24
SETTINGS = 17


class Way(NamedTuple):
    """A line through the inputs of a loss: what moves, and how.

    says: the label of its axis. name: of the array that moves. at(x): that array. along(x): its derivative along the
    line. values: of x.
    """

    says: str
    name: str
    at: object
    along: object
    values: np.ndarray


class Curve(NamedTuple):
    """One setting of a loss along a way: its name, and values and slopes, NaN where it is not defined."""

    name: str
    values: np.ndarray
    slopes: np.ndarray


def along_one_number(page):
    """Value and slope of a loss along one similarity, score or residual, for each variant: SVG, or "" for none."""
    arrays = _inputs(page)
    way = _way(page, arrays)
    settings = {"as the paper has it": ((), {})}
    settings |= {name: (variant.needs, variant.settings) for name, variant in page.variants.items()}
    curves = [_curve(page, way, name, *chosen) for name, chosen in settings.items()]
    curves = [curve for curve in curves if np.isfinite(curve.values).any()]
    if not curves:
        return ""

    def draw(figure):
        left, right = figure.subplots(1, 2)
        for k, curve in enumerate(curves):
            left.plot(way.values, curve.values, **look(k))
            right.plot(way.values, curve.slopes, **look(k))
        left.set_ylabel("value")
        right.set_ylabel("its slope")
        for axes in (left, right):
            axes.set_xlabel(way.says)
            axes.locator_params(nbins=5)
            axes.axhline(0, color=MUTED, linewidth=0.5)

    picture = svg(draw, (7.2, 2.5), f"{page.name}: value and slope along {way.says}")
    return picture + legend(curve.name for curve in curves)


def push_on_a_circle(page):
    """Where a loss pushes one row of two numbers, round the circle, for three values of a setting: SVG, or ""."""
    placed = _placed(page)
    if placed is None:
        return ""
    name, at = placed
    setting = next((p for p in page.settings if _can_be_scaled(p)), None)
    chosen = [{setting.name: setting.default * factor} for factor in (1 / 3, 1, 3)] if setting else [{}]
    pushes = []
    for settings in chosen:
        try:
            found = [page.value_and_grad(**at(angle), **settings)[1][name][0] for angle in _angles()]
        except ValueError:
            continue
        pushes.append((settings, -np.asarray(found)))
    if not pushes:
        return ""

    def draw(figure):
        for axes, (settings, arrows) in zip(np.ravel(figure.subplots(1, len(pushes))), pushes, strict=True):
            _circle(axes, arrows, page.compares != "embeddings")
            axes.set_title(", ".join(f"{n} {value:.3g}" for n, value in settings.items()), fontsize=9)

    return svg(draw, (2.4 * len(pushes), 2.5), f"{page.name}: the push on one row of two numbers")


def along_settings(page):
    """The value of a loss on one drawn batch along each of its numeric settings alone: SVG, or ""."""
    arrays, found = _inputs(page), {}
    for parameter in page.settings:
        values = _range_of(parameter)
        if values is not None:
            numbers = np.array([_value(page, {**arrays, parameter.name: float(value)}) for value in values])
            if np.isfinite(numbers).any() and np.nanmax(numbers) > np.nanmin(numbers):
                found[parameter] = values, numbers
    if not found:
        return ""

    def draw(figure):
        panels = np.ravel(figure.subplots(1, len(found)))
        for panel, (parameter, (values, numbers)) in zip(panels, found.items(), strict=True):
            panel.plot(values, numbers, color=LINES[0])
            panel.axvline(parameter.default, color=MUTED, linewidth=0.7, linestyle=":")
            panel.set_xlabel(parameter.name)
            panel.locator_params(nbins=4)
        panels[0].set_ylabel("value")

    return svg(draw, (2.3 * len(found), 2.1), f"{page.name}: value along its settings")


def differences(result):
    """The dot plot of a claim: for each expectation the difference of every seed, mean and one-sided bounds, as SVG."""
    shown = result["expects"]

    def draw(figure):
        axes = figure.subplots()
        for row, expectation in enumerate(shown):
            found = np.asarray(expectation["difference"], dtype=float)
            bounds = np.asarray(expectation["bounds"] or [found.mean()] * 2, dtype=float)
            scale = max(np.abs(found).max(), np.abs(bounds).max(), abs(expectation["smallest"]), 1e-300)
            colour = {"holds": GOOD, "does not hold": BAD}.get(expectation["verdict"], MUTED)
            axes.plot(found / scale, np.full(len(found), row), "o", color=colour, markersize=3, alpha=0.6)
            axes.plot(bounds / scale, [row, row], color=colour, linewidth=2)
            axes.plot([found.mean() / scale], [row], "|", color=colour, markersize=11, markeredgewidth=2)
            if expectation["smallest"]:
                axes.plot([expectation["smallest"] / scale], [row], "^", color=INK, markersize=4)
        axes.axvline(0, color=INK, linewidth=0.7)
        axes.set_yticks(range(len(shown)), [str(k + 1) for k in range(len(shown))])
        axes.set_xticks([0], ["0"])
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.set_xlim(-1.1, 1.1)

    return svg(draw, (7.2, 0.6 + 0.24 * len(shown)), "differences by seed, with bounds")


def _inputs(page, needs=(), sizes=None):
    """Arrays for a page, each drawn by itself: a further optional one changes no other."""
    drawn = {}
    for p in page.arrays:
        if not p.annotation.optional or p.name in needs:
            rng = np.random.default_rng(zlib.crc32(p.name.encode()))
            drawn[p.name] = sample_inputs(page, rng, needs, sizes)[p.name]
    return drawn


def _way(page, arrays):
    """How one number that the loss depends on goes from end to end."""
    name = next(p.name for p in page.arrays if p.annotation.differentiable and p.name in arrays)
    rows = arrays[name]
    partner = _partner(page, arrays, name)
    if partner is not None:
        return _turned(name, rows, *partner)
    place, centre, says = _first_counted(arrays, rows.shape), 0.0, "score" if page.compares == "scores" else "element"
    target = _like(arrays, name)
    if page.compares == "reconstruction" and target:
        centre, says = arrays[target].flat[place], "residual"
    least = max(getattr(page.parameters[name].annotation.bare, end, -np.inf) for end in ("least", "above"))
    low, high = (max(least, 0) + 0.02, 3.0) if np.isfinite(least) else (-3.0, 3.0)

    def at(x):
        moved = rows.copy()
        moved.flat[place] = centre + x
        return moved

    unit = np.zeros(rows.shape)
    unit.flat[place] = 1
    return Way(f"one {says} of {name}", name, at, lambda x: unit, np.linspace(low, high, POINTS))


def _like(arrays, name):
    """Another array of the shape and type of the one of that name: its target or its partners; or None."""
    own = arrays[name]
    return next((n for n, x in arrays.items() if n != name and x.shape == own.shape and x.dtype == own.dtype), None)


def _first_counted(arrays, shape):
    """An element that a mask, where there is one of the same leading shape, does not leave out."""
    mask = next((x for x in arrays.values() if x.dtype == bool and x.shape == shape[: x.ndim]), None)
    return 0 if mask is None else int(np.flatnonzero(np.broadcast_to(mask.T, shape[::-1]).T)[0])


def _partner(page, arrays, name):
    """(the row whose similarity with row 0 is varied, its name) for losses of rows; None for others."""
    rows = arrays[name]
    if rows.ndim != 2 or rows.shape[1] < 2 or page.compares not in ("pairs", "labels", "teachers", "embeddings"):
        return None
    if page.compares == "embeddings":
        return rows[1], "another row"
    if page.compares == "labels":
        labels = next((x for x in arrays.values() if x.dtype.kind in "iu" and x.shape == rows.shape[:1]), None)
        same = [] if labels is None else np.flatnonzero(labels == labels[0])[1:]
        return (rows[same[0]], "one of its class") if len(same) else None
    other = _like(arrays, name)
    return (arrays[other][0], "its partner") if other else None


def _turned(name, rows, partner, called):
    """Row 0 turned from the opposite of its partner to its partner, in one plane, at its own length."""
    first = partner / np.linalg.norm(partner)
    across = rows[0] - (rows[0] @ first) * first
    across, length = across / np.linalg.norm(across), np.linalg.norm(rows[0])

    def moved(direction):
        turned = rows.copy()
        turned[0] = length * direction
        return turned

    def at(x):
        return moved(x * first + np.sqrt(1 - x**2) * across)

    def along(x):  # by the angle: it grows as the similarity does
        tangent = np.zeros(rows.shape)
        tangent[0] = length * (np.sqrt(1 - x**2) * first - x * across)
        return tangent

    return Way(f"similarity with {called}", name, at, along, np.sin(np.linspace(-np.pi / 2, np.pi / 2, POINTS)))


def _curve(page, way, name, needs, settings):
    arrays = _inputs(page, needs)
    values, slopes = np.full(POINTS, np.nan), np.full(POINTS, np.nan)
    for k, x in enumerate(way.values):
        try:
            value, gradients = page.value_and_grad(**{**arrays, way.name: way.at(x)}, **settings)
        except ValueError:  # not defined there, or not with these settings alone
            continue
        values[k], slopes[k] = value, (gradients[way.name] * way.along(x)).sum()
    return Curve(name, values, slopes)


OTHERS = np.radians([75, 160, 235, 300])  # of the rows that are no partners
PARTNER = np.radians(20)


def _angles():
    return 2 * np.pi * np.arange(ANGLES) / ANGLES


def _placed(page):
    """(name of the array, at(angle): inputs with its row 0 there) of a loss on rows of two numbers, or None."""
    arrays = [p for p in page.arrays if not p.annotation.optional]
    rows = [p.name for p in arrays if isinstance(p.annotation, Rows) and len(p.annotation.letters) == 2]
    labels = [p.name for p in arrays if p.name not in rows]
    wanted = {"pairs": (2, 0), "teachers": (2, 0), "labels": (1, 1), "embeddings": (1, 0)}.get(page.compares)
    if (len(rows), len(labels)) != wanted or "D" not in sizes_of(page):
        return None
    directions = np.array([np.cos([PARTNER, *OTHERS]), np.sin([PARTNER, *OTHERS])]).T

    def at(angle):
        anchor = np.array([[np.cos(angle), np.sin(angle)]])
        if page.compares in ("pairs", "teachers"):
            return {rows[0]: np.concatenate([anchor, directions[1:]]), rows[1]: directions.copy()}
        if page.compares == "embeddings":
            return {rows[0]: np.concatenate([anchor, directions[1:]])}
        return {rows[0]: np.concatenate([anchor, directions]), labels[0]: np.array([0, 0, 1, 1, 2, 2])}

    return (rows[0], at) if page.parameters[rows[0]].annotation.differentiable else None


def _range_of(parameter):
    """Values of a numeric setting, from a quarter of its default to four times it within its range; or None."""
    scalar, default = getattr(parameter.annotation, "scalar", parameter.annotation), parameter.default
    if not isinstance(scalar, Scalar) or not isinstance(default, float):
        return None
    size = abs(default) or 0.25
    low, high = max(scalar.low, default - 0.75 * size), min(scalar.high, default + 3 * size)
    values = np.linspace(low, high, SETTINGS)
    return values[int(scalar.low_open and low == scalar.low) : SETTINGS - int(scalar.high_open and high == scalar.high)]


def _value(page, arguments):
    """The loss's value, NaN where it is not defined."""
    try:
        return float(page.value_and_grad(**arguments)[0])
    except ValueError:
        return np.nan


def _can_be_scaled(parameter):
    scalar = getattr(parameter.annotation, "scalar", parameter.annotation)
    default = parameter.default
    if not isinstance(scalar, Scalar) or not isinstance(default, float) or default <= 0:
        return False
    return scalar.low <= default / 3 and default * 3 <= scalar.high


def _circle(axes, arrows, has_partner):
    """The circle with the fixed rows on it, and round it the arrows, the longest of one length."""
    turn = np.linspace(0, 2 * np.pi, 61)
    axes.plot(np.cos(turn), np.sin(turn), color=MUTED, linewidth=0.7)
    axes.plot(np.cos(OTHERS), np.sin(OTHERS), "o", color=MUTED, markersize=5)
    if has_partner:
        axes.plot([np.cos(PARTNER)], [np.sin(PARTNER)], "o", color=BAD, markersize=6)
    lengths = np.linalg.norm(arrows, axis=1)
    arrows = 0.45 * arrows / max(lengths.max(), 1e-300)
    starts = 1.18 * np.array([np.cos(_angles()), np.sin(_angles())]).T
    axes.quiver(*starts.T, *arrows.T, color=LINES[0], angles="xy", scale_units="xy", scale=1, width=0.012)
    axes.set_aspect("equal")
    axes.set_xlim(-1.75, 1.75)
    axes.set_ylim(-1.75, 1.75)
    axes.axis("off")
