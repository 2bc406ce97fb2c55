"""Precision tables: what is counted as an error, what is rounded how, and that known weak spots show."""

import json
import math

import numpy as np
import pytest
from click.testing import CliRunner

from mini_repr.cli import main
from mini_repr.conformance import precision
from mini_repr.pages.registry import all_losses

pytest.importorskip("mpmath")

LOSSES = all_losses()


@pytest.fixture(scope="module")
def infonce():
    return precision.measure(LOSSES["infonce"])


def at(result, over, value):
    sweep = next(s for s in result["sweeps"] if s["over"] == over)
    return next(row["errors"] for row in sweep["rows"] if row["at"] == value)


def test_a_normalised_loss_is_exact_to_a_few_units_over_temperature_and_scale(infonce):
    temperature, scale = infonce["sweeps"]
    assert temperature["over"] == "temperature" and scale["over"] == "scale of rows"
    low, high = temperature["safe"]["float32"]
    assert low <= 2**-10 and high >= 16
    low, high = scale["safe"]["float32"]
    assert low <= 2**-40 and high >= 2**40
    assert 0 < at(infonce, "scale of rows", 1.0)["float32"]["value"] < 16


def test_half_precision_inputs_cost_what_they_store(infonce):
    usual = at(infonce, "scale of rows", 1.0)
    for name in ("float16", "bfloat16"):
        assert 0.01 < usual[name]["gradient"] < 4
    assert math.isinf(at(infonce, "scale of rows", 2.0**20)["float16"]["value"])  # beyond 65504
    assert at(infonce, "scale of rows", 2.0**20)["bfloat16"]["value"] < 4
    assert infonce["sweeps"][1]["safe"]["float16"][1] < 2**20 <= infonce["sweeps"][1]["safe"]["bfloat16"][1]


def test_rounding_to_formats():
    x = np.array([1.0, 1 + 2.0**-8, 1 + 3 * 2.0**-8, 1 + 2.0**-11, 1e5, -3.0])
    np.testing.assert_array_equal(precision._rounded(x, "bfloat16")[:3], [1.0, 1.0, 1 + 2.0**-6])  # ties to even
    np.testing.assert_array_equal(precision._rounded(x, "float16")[[0, 3, 5]], [1.0, 1.0, -3.0])
    assert math.isinf(precision._rounded(x, "float16")[4])
    np.testing.assert_array_equal(precision._rounded(x, "float32"), x.astype(np.float32))


def test_errors_are_counted_in_units_of_the_largest_element():
    exact = np.array([1.5, 1e-9])
    assert precision._ulps(exact + [0, 2.0**-22], exact, "float32", 0.0) == pytest.approx(2)
    assert precision._ulps(exact + [2.0**-9, 0], exact, "float16", 0.0) == pytest.approx(2)
    assert precision._ulps(exact * 0, exact * 0, "float32", 0.0) == 0
    assert math.isinf(precision._ulps(exact * np.nan, exact, "float32", 0.0))
    # A vanished result is held against a thousandth of its usual size.
    assert precision._ulps(1e-20, 1e-30, "float32", 1000.0) < 1e-10


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_measured(name, monkeypatch):
    """At few points, among them results beyond float64 and inputs that underflow."""
    monkeypatch.setattr(precision, "_DRAWS", 1)
    monkeypatch.setattr(precision, "_SCALES", [2.0**-80, 1.0, 2.0**10, 2.0**80])
    monkeypatch.setattr(precision, "_SWEPT", {n: [ends[0], ends[-1]] for n, ends in precision._SWEPT.items()})
    result = precision.measure(LOSSES[name])
    ordinary = at(result, "scale of rows", 1.0)
    assert all(math.isfinite(ordinary[f][part]) for f in precision.FORMATS for part in ("value", "gradient"))
    assert precision.table(result) and json.dumps(precision.as_json(result), allow_nan=False)


def test_safe_range_is_around_the_default():
    rows = [
        {"at": at, "errors": {"float32": {"value": error, "gradient": 0.0}}}
        for at, error in zip([0.25, 0.5, 1.0, 2.0, 4.0], [1.0, 1e9, 1.0, 1.0, math.inf], strict=True)
    ]
    assert precision._safe(rows, 1.0, "float32") == (1.0, 2.0)
    assert precision._safe(rows, 0.5, "float32") is None


def test_command_prints_table_and_json():
    def run(*args):
        return CliRunner().invoke(main, ["precision", *args])

    result = run("sparsemax")
    assert result.exit_code == 0
    assert "scale of rows" in result.output and "safe for bfloat16 inputs" in result.output
    result = run("sparsemax", "--variant", "sum", "--json")
    parsed = json.loads(result.output)  # strict JSON: no Infinity
    assert parsed["settings"] == {"reduction": "sum"} and "Infinity" not in result.output
    assert any(row["errors"]["float16"]["value"] is None for row in parsed["sweeps"][0]["rows"])
    for args in (["sparsemacs"], ["sparsemax", "--variant", "total"]):
        result = run(*args)
        assert result.exit_code == 2 and result.stderr.startswith("Error: ")
