"""Every metric against its definition, and what all of them have in common."""

import re

import numpy as np
import pytest
from device_double import DOUBLE

from mini_repr.pages.registry import pages_of
from mini_repr.pages.samples import sample_inputs, sizes_of, wrong_values

METRICS = pages_of("metric")
# Settings to try; of the others the defaults, at which few rows are enough.
SETTINGS = {
    "alignment": [{}, {"alpha": 0.5}, {"alpha": 1.0}],
    "uniformity": [{}, {"t": 0.5}, {"t": 500.0}],
    "knn_accuracy": [{}, {"k": 1}, {"k": 7, "temperature": None}, {"k": 24, "temperature": 1.0}],
    "few_label_probe": [{"per_class": 2, "draws": 2}],
    "linear_probe": [{}, {"l2": 30.0}],
    "subspace_probe": [{}, {"share": 0.6, "part": "bottom"}],
    "recall_at_k": [{}, {"k": 3}],
    "ndcg": [{}, {"k": 1}, {"k": 2}],
    "label_ndcg": [{}, {"k": 1}, {"k": 3}],
    "neighbour_overlap": [{"k": 1}, {"k": 3}, {"k": 3, "normalize": False}],
    "input_recovery": [{}, {"top": 3}],
    "infonce_bound": [{}, {"temperature": 0.5}],
    "dime": [{}, {"alpha": 2.0, "permutations": 3, "seed": 1}],
    "matrix_entropy": [{}, {"alpha": 0.5}, {"alpha": 3.0}, {"normalize": True}],
    "prompt_entropy": [{}, {"alpha": 2.0, "normalize": True}],
    "curvature": [{}, {"of": "states"}],
    "lidar": [{}, {"delta": 0.5}],
    "rankme": [{}, {"eps": 1e-3}],
    "reconstruction_alignment": [
        {"dimensions": 2},
        {"dimensions": 2, "noise": "additive", "strength": 0.5},
        {"dimensions": 2, "noise": "masking", "strength": 0.4},
    ],
    "patch_reconstruction_loss": [{"layers": 1, "lr": 0.02, "steps": 600}],
}
CASES = [
    pytest.param(name, settings, needs, id=f"{name}-{number}{'-all' * bool(needs)}")
    for name, metric in METRICS.items()
    for number, settings in enumerate(SETTINGS.get(name, [{}]))
    for needs in dict.fromkeys([(), tuple(p.name for p in metric.arrays if p.annotation.optional)])  # in one order
]


def arguments_of(name, settings, needs=(), seed=0):
    metric = METRICS[name]
    return metric, {**sample_inputs(metric, np.random.default_rng(seed), needs), **settings}


def numbers(result):
    """A float, or the tuple or array that the metric says it returns, as a host array."""
    return DOUBLE.to_numpy(result) if hasattr(result, "shape") else np.array(result)


@pytest.mark.parametrize("name, settings, needs", CASES)
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_its_definition(name, settings, needs, seed):
    metric, arguments = arguments_of(name, settings, needs, seed)
    before = {n: np.copy(x) for n, x in arguments.items() if isinstance(x, np.ndarray)}
    result = metric(**arguments)
    expected = metric.definition(**arguments)
    np.testing.assert_allclose(result, expected, rtol=metric.tolerance, atol=metric.tolerance)
    for n, x in before.items():
        np.testing.assert_array_equal(arguments[n], x, err_msg=f"{n} was changed")


@pytest.mark.parametrize("name, settings, needs", CASES)
def test_is_finite_and_a_float_in_every_precision(name, settings, needs):
    metric, arguments = arguments_of(name, settings, needs)
    result = metric(**arguments)
    if name != "patch_reconstruction_loss":  # a map (N, P)
        parts = result if isinstance(result, tuple) else (result,)
        assert all(type(part) is float for part in parts)
    assert np.isfinite(result).all()
    single = {n: x.astype(np.float32) if getattr(x, "dtype", None) == np.float64 else x for n, x in arguments.items()}
    np.testing.assert_allclose(numbers(metric(**single)), numbers(result), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name, settings, needs", CASES)
def test_is_the_same_on_a_device(name, settings, needs):
    metric, arguments = arguments_of(name, settings, needs)
    moved = {n: DOUBLE.asarray(x) if isinstance(x, np.ndarray) else x for n, x in arguments.items()}
    np.testing.assert_allclose(numbers(metric(**moved)), metric(**arguments), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", METRICS)
def test_wrong_values_are_refused_by_name(name):
    rng, metric = np.random.default_rng(2), METRICS[name]
    settings = SETTINGS.get(name, [{}])[0]
    good = {**sample_inputs(metric, rng), **settings}
    tried = 0
    for p in metric.parameters.values():
        for what, value in wrong_values(p.annotation, rng, sizes_of(metric)):
            with pytest.raises(ValueError, match=rf"^{name}: {p.name}: got .+, expected .+") as caught:
                metric(**{**good, p.name: value})
            assert "\n" not in str(caught.value), what
            tried += 1
        if p.annotation.is_array and p.name in good and good[p.name].dtype.kind == "f":
            spoiled = good[p.name].copy()
            spoiled.flat[0] = np.nan
            with pytest.raises(ValueError, match=rf"^{name}: {p.name}: got a NaN or an infinity, expected"):
                metric(**{**good, p.name: spoiled})
    assert tried >= 4
    with pytest.raises(ValueError, match=f"^{name}: "):
        metric(**good, no_such_argument=1)


@pytest.mark.parametrize("name", METRICS)
def test_arrays_that_do_not_fit_together_are_refused_by_name(name):
    metric, good = arguments_of(name, SETTINGS.get(name, [{}])[0])
    seen = set()
    for p in metric.arrays:
        if p.name in good:
            for axis, letter in enumerate(p.annotation.letters):
                if letter in seen:
                    longer = np.concatenate([good[p.name], np.take(good[p.name], [0], axis=axis)], axis=axis)
                    with pytest.raises(ValueError, match=rf"^{name}: {p.name}: got shape .+ as in "):
                        metric(**{**good, p.name: longer})
            seen.update(p.annotation.letters)


@pytest.mark.parametrize("name", METRICS)
def test_its_text_says_what_it_is_and_where_it_is_from(name):
    metric = METRICS[name]
    assert metric.literal is not None
    assert metric.summary.endswith(".") and metric.summary[0].isupper() and len(metric.summary) < 90
    assert re.search(r"\bSource\b.*\b(19|20)\d\d\b", metric.text, re.DOTALL), "no source with a year"
    assert "Measured" not in metric.text
