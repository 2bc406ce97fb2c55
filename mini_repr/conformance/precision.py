"""How many digits a page keeps: its error, compared with exact values, over temperature and the size of its rows.

One error is the largest over a few random draws, in units in the last place (ULP) of the result in the format that the
inputs are stored in:

    float32    the page in float32, compared with the exact result for the same numbers
    float16    inputs rounded to float16 (bfloat16), the page in float32, compared with the exact result for the
    bfloat16   unrounded inputs: what it costs to store embeddings in half precision

A result smaller than a thousandth of its size at the default setting counts as that thousandth: a loss or a gradient
that has vanished need not keep its digits.
"""

import math

import numpy as np

from mini_repr.conformance.cases import drawn, float_arrays
from mini_repr.conformance.exact import exact_value_and_grad
from mini_repr.pages.tables import folded, numbers

FORMATS = ("float32", "float16", "bfloat16")
# Bits of the significand, the leading one among them.
_BITS = {"float32": 24, "float16": 11, "bfloat16": 8}
_SWEPT = {
    "temperature": [2.0**k for k in (-14, -12, -10, -8, -6, -4, -2, 0, 2, 4, 6)],
    "t": [2.0**k for k in (-10, -6, -4, -2, 0, 1, 2, 4, 6, 10)],
    "log_scale": [-8.0, -4.0, -2.0, 0.0, 1.0, 2.0, 4.0, 6.0, 8.0],
}
_SCALES = [2.0**k for k in (-80, -70, -60, -40, -20, -10, 0, 10, 20, 40, 60, 70, 80)]
_DRAWS = 3
# In ULP of the format: 1e-4 of a float32, a tenth of what float16 and bfloat16 can tell apart near 1.
LIMIT = {"float32": 1024, "float16": 64, "bfloat16": 64}


def measure(loss, settings=None):
    """Errors along one parameter and along the scale of the rows.

    Args:
        settings: {parameter: value} of a variant.
    Returns:
        {"loss", "settings", "sweeps": [{"over", "default", "rows": [{"at", "errors"}], "safe"}]}, where ``errors`` is
        {format: {"value", "gradient": ULP, inf for overflow or NaN}} and ``safe`` {format: (least, largest) or None}.
    """
    settings = dict(settings or {})
    inputs = [drawn(loss, f"precision-{k}", settings) for k in range(_DRAWS)]
    usual = [_sizes(exact_value_and_grad(loss, {**x, **settings})) for x in inputs]
    sweeps = []
    name = next((n for n in _SWEPT if n in loss.parameters and n not in settings), None)
    if name:
        points = {v: [{**x, **settings, name: v} for x in inputs] for v in _SWEPT[name]}
        sweeps.append(_sweep(loss, name, loss.parameters[name].default, points, [usual] * len(points)))
    points = {v: [{**_scaled(loss, x, v), **settings} for x in inputs] for v in _SCALES}
    sweeps.append(_sweep(loss, "scale of rows", 1.0, points, [None] * len(points)))
    return {"loss": loss.name, "settings": settings, "sweeps": sweeps}


def _sweep(loss, over, default, points, usual):
    """``usual``: for every point the results' sizes at the default setting, or None: each point is its own measure."""
    rows = []
    for (at, cases), sizes in zip(points.items(), usual, strict=True):
        errors = {f: {"value": 0.0, "gradient": 0.0} for f in FORMATS}
        for k, arguments in enumerate(cases):
            exact = exact_value_and_grad(loss, arguments)
            least = sizes[k] if sizes else {}
            for name in FORMATS:
                found = _errors(loss, arguments, exact, name, least)
                errors[name] = {part: max(errors[name][part], error) for part, error in found.items()}
        rows.append({"at": at, "errors": errors})
    return {"over": over, "default": default, "rows": rows, "safe": {f: _safe(rows, default, f) for f in FORMATS}}


def _errors(loss, arguments, exact, name, usual):
    """{"value", "gradient"} in ULP of the format, for one input."""
    given = {n: _rounded(x, name) if n in float_arrays(loss) else x for n, x in arguments.items()}
    with np.errstate(all="ignore"):
        try:
            value, gradients = loss.value_and_grad(**given)
        except ValueError:  # rounded to what the page refuses: overflow, or rows that became zero
            return {"value": math.inf, "gradient": math.inf}
    true_value, true_gradients = exact.rounded()
    of_gradients = [_ulps(gradients[n], g, name, usual.get(n, 0.0)) for n, g in true_gradients.items()]
    return {"value": _ulps(value, true_value, name, usual.get("value", 0.0)), "gradient": max(of_gradients)}


def _ulps(found, exact, name, usual):
    """Largest error in units in the last place of the largest element; an all-zero one is counted as the smallest.

    Infinite where the exact result is beyond float64.
    """
    if not np.isfinite(exact).all():
        return math.inf
    size = max(float(np.abs(exact).max()), usual / 1000, float(np.finfo(np.float32).tiny))
    unit = 2.0 ** (math.floor(math.log2(size)) + 1 - _BITS[name])
    error = float(np.abs(np.asarray(found, dtype=np.float64) - exact).max())
    return error / unit if math.isfinite(error) else math.inf


def _sizes(exact):
    value, gradients = exact.rounded()
    return {"value": abs(value), **{n: float(np.abs(g).max()) for n, g in gradients.items()}}


def _scaled(loss, inputs, scale):
    return {n: x * scale if n in float_arrays(loss) else x for n, x in inputs.items()}


def _rounded(x, name):
    """float64 numbers rounded to a format, as float32."""
    single = x.astype(np.float32)
    if name == "float16":
        with np.errstate(over="ignore"):
            return single.astype(np.float16).astype(np.float32)
    if name == "bfloat16":  # the upper half of a float32's bits, rounded to even
        bits = single.view(np.uint32)
        bits = bits + (0x7FFF + ((bits >> 16) & 1)).astype(np.uint32)
        return (bits & np.uint32(0xFFFF0000)).view(np.float32)
    return single


def _safe(rows, default, name):
    """(least, largest) setting around the default between which no error passes the limit; None if there is none."""
    good = [max(row["errors"][name].values()) <= LIMIT[name] for row in rows]
    at = [row["at"] for row in rows]
    nearest = min(range(len(at)), key=lambda k: abs(at[k] - default))
    if not good[nearest]:
        return None
    first = last = nearest
    while first > 0 and good[first - 1]:
        first -= 1
    while last + 1 < len(at) and good[last + 1]:
        last += 1
    return at[first], at[last]


def table(result):
    """The measurement as text."""
    settings = ", ".join(f"{n}={v}" for n, v in result["settings"].items())
    lines = [f"{result['loss']}({settings}): largest error in ULP of each format: of the value, of the gradient"]
    for sweep in result["sweeps"]:
        rows = [[sweep["over"], *(name for f in FORMATS for name in (f, "gradient"))]]
        for row in sweep["rows"]:
            errors = (row["errors"][f][part] for f in FORMATS for part in ("value", "gradient"))
            rows.append([_place(row["at"]), *map(_short, errors)])
        lines += ["", numbers(rows)]
        for f in FORMATS:
            span = sweep["safe"][f]
            said = f"{_place(span[0])} to {_place(span[1])}" if span else "nowhere"
            lines.append(f"safe for {f} inputs (errors up to {LIMIT[f]} ULP): {sweep['over']} {said}")
    return "\n".join(map(folded, lines))


def _place(number):
    """A power of two as one where its decimals say less."""
    power = math.log2(number) if number > 0 else 0.5
    return f"2^{power:.0f}" if power.is_integer() and not 0.01 < number < 1000 else f"{number:g}"


def _short(error):
    return "overflow" if math.isinf(error) else f"{error:.1f}" if error < 1000 else f"{error:.1e}"


def as_json(result):
    """The measurement with infinities as None, which JSON has."""

    def plain(value):
        if isinstance(value, dict):
            return {n: plain(v) for n, v in value.items()}
        if isinstance(value, list | tuple):
            return [plain(v) for v in value]
        return None if isinstance(value, float) and math.isinf(value) else value

    return plain(result)
