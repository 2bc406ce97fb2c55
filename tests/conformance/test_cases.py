"""The battery: complete, repeatable, exact in float32, and right about what the page says of each case."""

import math
from functools import cache

import numpy as np
import pytest

from mini_repr.conformance.cases import FLAGS, cases_for, drawn, float_arrays
from mini_repr.pages.registry import all_losses

LOSSES = all_losses()
VARIANTS = [(name, v) for name, loss in LOSSES.items() for v in ("default", *loss.variants)]
# General cases outside of what a page is defined for, so that it must refuse them.
REFUSED = {
    "dag_likelihood": ("wide",),  # fewer states than targets
    "mrl_kl": ("odd", "wide"),  # an odd number of columns: not as many variances as means
    "ms_ssim": ("odd", "tall"),  # images narrower than the window
    "topic_elbo": ("large",),  # the exponential of a log variance is beyond float32
    "wmse": ("wide",),  # the covariance of fewer rows than columns is singular: no whitening
}


@cache
def battery(name, variant="default"):
    loss = LOSSES[name]
    settings = loss.variants[variant].settings if variant != "default" else None
    return {case.id: case for case in cases_for(loss, settings)}


@pytest.mark.parametrize("name, variant", VARIANTS)
def test_results_are_what_the_page_does(name, variant):
    loss = LOSSES[name]
    for case in battery(name, variant).values():
        assert set(case.flags) <= set(FLAGS)
        if case.result == "error":
            with pytest.raises(ValueError, match=f"^{name}: "):
                loss(**case.arguments)
        elif case.result == "valid":
            with np.errstate(all="ignore"):
                output = loss(**case.arguments)
            assert np.isfinite(output.data).all(), case.id
            assert output.dtype == case.dtype


@pytest.mark.parametrize("name", LOSSES)
def test_general_families_are_there_and_mostly_valid(name):
    cases = battery(name)
    flags = {flag for case in cases.values() for flag in case.flags}
    assert {"ordinary", "sizes", "magnitude", "direction", "ties", "edge", "offset", "layout", "float32"} <= flags
    refused = REFUSED.get(name, ())
    assert all(cases[id].result == "error" for id in refused)
    general = {"ordinary", "ordinary-2", "odd", "tall", "wide", "large", "parallel"}.difference(refused)
    assert all(cases[id].result == "valid" for id in general)
    assert all(cases[id].differentiable for id in general.intersection(("ordinary", "odd", "wide", "parallel")))
    if "temperature" in LOSSES[name].parameters:
        assert [cases[f"temperature-{size}"].arguments["temperature"] for size in ("tiny", "large", "to-zero")] == [
            2.0**-6,
            16.0,
            2.0**-13,
        ]
    changed = {p for case in cases.values() if "scalar" in case.flags for p in case.arguments}
    for p in LOSSES[name].settings:
        if isinstance(p.default, float) and p.name != "temperature":
            assert p.name in changed, f"no case moves {p.name} from its default"


@pytest.mark.parametrize("name", LOSSES)
def test_inputs_are_float32_numbers_and_repeat(name):
    loss = LOSSES[name]
    cases = cases_for(loss)
    for case, again in zip(battery(name).values(), cases, strict=True):  # fails where two cases share an id
        assert (case.id, case.flags, case.result) == (again.id, again.flags, again.result)
        for argument, value in case.arguments.items():
            np.testing.assert_array_equal(value, again.arguments[argument])
            if getattr(value, "dtype", None) == np.float64:
                np.testing.assert_array_equal(value, value.astype(np.float32))


def test_variants_get_the_same_arrays():
    first, second = battery("infonce"), battery("infonce", "nt_xent")
    for id, case in first.items():
        np.testing.assert_array_equal(case.arguments["a"], second[id].arguments["a"])
    assert second["ordinary"].arguments["negatives"] == "views"
    assert "queue" in battery("infonce", "moco")["ordinary"].arguments
    assert "queue" not in first["ordinary"].arguments


def test_optional_arrays_are_found_from_settings_that_are_no_variant():
    cases = cases_for(LOSSES["infonce"], {"negatives": "queue"})
    assert cases[0].result == "valid" and cases[0].arguments["queue"].ndim == 2


def test_fixed_settings_are_not_varied():
    ids = [case.id for case in cases_for(LOSSES["infonce"], {"temperature": 0.5})]
    assert not any(id.startswith("temperature") for id in ids)


def test_identical_rows_have_closed_forms():
    loss = LOSSES["infonce"]
    for variant, expected in {"default": math.log(6), "nt_xent": math.log(11)}.items():
        case = battery("infonce", variant)["identical-rows"]
        assert float(loss(**case.arguments).data) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "name, variant, id, result",
    [
        ("infonce", "default", "batch-of-one", "error"),
        ("siglip", "default", "batch-of-one", "valid"),
        ("supcon", "default", "class-of-one", "valid"),
        ("supcon", "default", "all-different", "error"),
        ("supcon", "default", "one-class", "valid"),
        ("triplet", "default", "one-class", "error"),
        ("masked_regression", "default", "mask-none", "error"),
        ("masked_regression", "default", "mask-all", "valid"),
        ("barlow_twins", "default", "identical-rows", "valid"),
        ("barlow_twins", "equation", "identical-rows", "error"),
        ("cross_entropy", "default", "offset-1e8", "valid"),
        ("triplet", "semihard", "ties", "undefined"),
    ],
)
def test_edges_have_the_documented_outcome(name, variant, id, result):
    assert battery(name, variant)[id].result == result


@pytest.mark.parametrize(
    "name, variant, id, differentiable",
    [
        ("infonce", "default", "zero-row", False),
        ("infonce", "default", "zero-rows", False),
        ("infonce", "raw_dot", "zero-row", True),
        ("infonce", "default", "identical-rows", True),
        ("infonce", "default", "temperature-to-zero", True),
        ("triplet", "euclidean", "duplicates", False),
        ("triplet", "default", "duplicates", True),
        ("align_uniform", "alpha_1", "identical-rows", False),
        ("masked_regression", "simmim", "identical-rows", False),
        ("masked_regression", "default", "identical-rows", True),
        ("vicreg", "default", "offset-1e8", True),
        ("sparsemax", "default", "ties", True),
    ],
)
def test_kinks_and_jumps_are_flagged(name, variant, id, differentiable):
    assert battery(name, variant)[id].differentiable is differentiable


def test_layouts():
    cases = battery("supcon")
    ordinary, spread, single = (cases[id].arguments for id in ("ordinary", "not-contiguous", "ordinary-float32"))
    assert not spread["z"].flags.c_contiguous and not spread["z"].flags.f_contiguous
    np.testing.assert_array_equal(spread["z"], ordinary["z"])
    assert single["z"].dtype == np.float32
    np.testing.assert_array_equal(single["z"], ordinary["z"])


def test_drawn_and_float_arrays():
    loss = LOSSES["infonce"]
    assert float_arrays(loss) == ["a", "b", "queue", "hard_negatives"]
    assert drawn(loss, "one")["a"].shape == (6, 5)
    assert set(drawn(loss, "one", {"negatives": "queue"})) == {"a", "b", "queue"}
    assert set(drawn(loss, "one", {"symmetric": False, "reduction": "sum"})) == {"a", "b"}
