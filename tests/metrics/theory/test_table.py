"""Every theorem against its definition, and what all of them have in common."""

import re

import numpy as np
import pytest
from device_double import DOUBLE

from mini_repr.metrics.theory.divergences import GENERATORS
from mini_repr.pages.registry import pages_of
from mini_repr.pages.samples import sample_inputs, sizes_of, wrong_values

THEOREMS = pages_of("theorem")


def symmetric(rng, positive=False):
    root = rng.standard_normal((4, 4))
    return root @ root.T + 0.1 * np.eye(4) if positive else root + root.T


# Settings to try, and arrays that must be of a kind that samples are not.
SETTINGS = {
    "latent_class_bound": [{}, {"loss": "hinge"}],
    "spectral_minimiser": [{}, {"width": 4}],
    "balanced_layers": [{}, {"layers": 3}],
    "pure_representation": [{}, {"r": 1}],
    "mixed_representation": [{}, {"r": 1}],
    "sufficiency": [{"kind": kind} for kind in GENERATORS],
    "excess_risk": [{"kind": kind} for kind in GENERATORS],
}
ARRAYS = {
    "spectral_minimiser": lambda rng: {"second": symmetric(rng, positive=True), "positive": symmetric(rng)},
    "balanced_layers": lambda rng: {"gram": symmetric(rng, positive=True)},
    "pure_representation": lambda rng: {n: symmetric(rng, positive=True) for n in ("covariance", "prior")},
    "mixed_representation": lambda rng: {n: symmetric(rng, positive=True) for n in ("covariance", "prior")},
}
CASES = [pytest.param(n, s, id=f"{n}-{k}") for n in THEOREMS for k, s in enumerate(SETTINGS.get(n, [{}]))]


def arguments_of(name, seed=0):
    rng = np.random.default_rng(seed)
    drawn = sample_inputs(THEOREMS[name], rng, [p.name for p in THEOREMS[name].arrays])
    return ARRAYS[name](rng) if name in ARRAYS else drawn


def assert_same(found, expected, tolerance):
    assert found._fields == expected._fields
    for field, one, other in zip(found._fields, found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance, err_msg=field)


@pytest.mark.parametrize("name, settings", CASES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_its_definition(name, settings, seed):
    page, arguments = THEOREMS[name], arguments_of(name, seed)
    before = {n: x.copy() for n, x in arguments.items()}
    assert_same(page(**arguments, **settings), page.definition(**arguments, **settings), page.tolerance)
    for n, x in before.items():
        np.testing.assert_array_equal(arguments[n], x, err_msg=f"{n} was changed")


@pytest.mark.parametrize("name, settings", CASES)
def test_takes_any_precision_and_device_and_answers_in_float64(name, settings):
    page, arguments = THEOREMS[name], arguments_of(name)
    single = {n: x.astype(np.float32) if x.dtype == np.float64 else x for n, x in arguments.items()}
    widened = {n: x.astype(np.float64) if x.dtype == np.float32 else x for n, x in single.items()}
    moved = {n: DOUBLE.asarray(x) for n, x in single.items()}
    expected = page(**widened, **settings)
    for arrays in (single, moved):
        found = page(**arrays, **settings)
        assert_same(found, expected, 0)
        assert all(type(x) in (float, int) or x.dtype in (np.float64, np.int64) for x in found)


@pytest.mark.parametrize("name", THEOREMS)
def test_wrong_values_are_refused_by_name(name):
    rng, page, good = np.random.default_rng(2), THEOREMS[name], arguments_of(name)
    tried = 0
    for p in page.parameters.values():
        for _, value in wrong_values(p.annotation, rng, sizes_of(page)):
            with pytest.raises(ValueError, match=rf"^{name}: {p.name}: got .+, expected .+"):
                page(**{**good, p.name: value})
            tried += 1
        if p.annotation.is_array and good[p.name].dtype.kind == "f":
            spoiled = good[p.name].copy()
            spoiled.flat[0] = np.nan
            with pytest.raises(ValueError, match=rf"^{name}: {p.name}: got a (NaN or an infinity|number that is not)"):
                page(**{**good, p.name: spoiled})
    assert tried >= 4


@pytest.mark.parametrize("name", THEOREMS)
def test_its_text_says_what_it_is_and_where_it_is_from(name):
    page = THEOREMS[name]
    assert page.literal is not None and page.papers
    assert page.summary.endswith(".") and page.summary[0].isupper() and len(page.summary) < 120
    assert re.search(r"\bSource\b.*\b20\d\d, arXiv \d{4}\.\d{5}", page.text, re.DOTALL)
