"""One neuron: the surrogate is convex and sharp, and its descent is not stopped where the square loss's is."""

import numpy as np
import pytest
from device_double import DOUBLE

from mini_repr.autograd import gradcheck
from mini_repr.data.generated.corrupted_neuron import corrupted_neuron
from mini_repr.optim.single_neuron import LEAKS, activated, fit_neuron
from mini_repr.pages.samples import sample_inputs, sizes_of, wrong_values


def surrogate(w, x, y, leak):
    reach = x @ w
    return float((reach * activated(np, reach, leak) / 2 - y * reach).mean())


@pytest.mark.parametrize("activation", LEAKS)
@pytest.mark.parametrize("settings", [{}, {"radius": 0.2}, {"lr": 0.3, "steps": 20}])
def test_equals_its_definition(activation, settings):
    arrays = sample_inputs(fit_neuron, np.random.default_rng(0))
    settings = {"steps": 60, **settings}
    found = fit_neuron(**arrays, activation=activation, **settings)
    expected = fit_neuron.definition(**arrays, activation=activation, **settings)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("activation", LEAKS)
def test_the_surrogate_is_convex_and_has_the_gradient_of_the_text(activation):
    rng, leak = np.random.default_rng(1), LEAKS[activation]
    x, y = rng.normal(size=(40, 4)), rng.normal(size=40)
    for _ in range(20):
        a, b = rng.normal(size=(2, 4)) * 2
        along = [surrogate(a + t * (b - a), x, y, leak) for t in np.linspace(0, 1, 21)]
        assert np.diff(along, 2).min() >= -1e-12
    w = rng.normal(size=4)
    gradient = (activated(np, x @ w, leak) - y) @ x / 40
    gradcheck(lambda w: surrogate(w, x, y, leak), [w], [gradient], rng, step=1e-6, tolerance=1e-6)


def test_the_identity_is_least_squares():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(50, 4)), rng.normal(size=50)
    found = fit_neuron(x, y, activation="identity", steps=2000)
    np.testing.assert_allclose(found.weights, np.linalg.lstsq(x, y)[0], atol=1e-9)


@pytest.mark.parametrize("law", ["gaussian", "exponential"])
def test_clean_labels_give_the_planted_neuron(law):
    drawn = corrupted_neuron(2000, 8, 0.0, np.random.default_rng(3), law=law)
    found = fit_neuron(drawn.x, drawn.y, steps=2000)
    np.testing.assert_allclose(found.weights, drawn.weights, atol=1e-6)
    assert found.loss < 1e-12


def test_the_surrogate_is_sharp_far_from_the_best_neuron():
    """Along every direction from the best fit, outside a ball of squared radius 4 OPT."""
    rng = np.random.default_rng(4)
    drawn = corrupted_neuron(4000, 6, 0.1, rng)
    best = fit_neuron(drawn.x, drawn.y, steps=1000)
    slopes = []
    for _ in range(200):
        w = rng.normal(size=6)
        away = w - best.weights
        if away @ away >= 4 * best.loss:
            rest = activated(np, drawn.x @ w, 0.0) - drawn.y
            slopes.append((rest @ drawn.x / 4000) @ away / (away @ away))
    assert len(slopes) > 150 and min(slopes) > 0.05


def test_the_planted_neuron_need_not_be_the_best_one():
    drawn = corrupted_neuron(4000, 6, 0.1, np.random.default_rng(5))
    found = fit_neuron(drawn.x, drawn.y)
    planted = float(((np.maximum(drawn.x @ drawn.weights, 0) - drawn.y) ** 2).mean())
    assert found.loss < 0.8 * planted


def test_weights_stay_in_the_ball_and_rows_on_a_device():
    drawn = corrupted_neuron(300, 5, 0.1, np.random.default_rng(6))
    found = fit_neuron(drawn.x, drawn.y, radius=0.5)
    assert np.linalg.norm(found.weights) <= 0.5 + 1e-12
    moved = fit_neuron(DOUBLE.asarray(drawn.x), DOUBLE.asarray(drawn.y), radius=0.5)
    np.testing.assert_allclose(DOUBLE.to_numpy(moved.weights), found.weights, rtol=1e-9)
    single = fit_neuron(drawn.x.astype(np.float32), drawn.y.astype(np.float32))
    assert single.weights.dtype == np.float32


def test_wrong_values_are_refused_by_name():
    rng = np.random.default_rng(7)
    good = sample_inputs(fit_neuron, rng)
    for p in fit_neuron.parameters.values():
        for _, value in wrong_values(p.annotation, rng, sizes_of(fit_neuron)):
            with pytest.raises(ValueError, match=rf"^fit_neuron: {p.name}: got .+, expected .+"):
                fit_neuron(**{**good, p.name: value})
    with pytest.raises(ValueError, match="fit_neuron: y: got shape"):
        fit_neuron(good["x"], good["y"][:-1])
    with pytest.raises(ValueError, match="fit_neuron: x: got zeros alone"):
        fit_neuron(np.zeros((3, 2)), np.ones(3))
