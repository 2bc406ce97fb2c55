import math

import numpy as np
import pytest
from device_double import DOUBLE

from mini_repr.optim.reweight import REWEIGHTINGS, annealed_temperature, extremes, linupper, quadratic


@pytest.mark.parametrize("name", REWEIGHTINGS)
@pytest.mark.parametrize("temperature", [0.1, 0.4, 3.0])
def test_equals_the_formula_and_sums_to_the_batch(name, temperature):
    losses = np.random.default_rng(0).gamma(2.0, size=9)
    weights = REWEIGHTINGS[name](losses, temperature)
    np.testing.assert_allclose(weights, REWEIGHTINGS[name].definition(losses, temperature), rtol=1e-12)
    assert weights.sum() == pytest.approx(9, rel=1e-14)


@pytest.mark.parametrize("name", REWEIGHTINGS)
def test_infinite_temperature_and_equal_losses_give_ones(name):
    losses = np.array([0.5, 3.0, 1.0], np.float32)
    np.testing.assert_array_equal(REWEIGHTINGS[name](losses, math.inf), np.ones(3, np.float32))
    for equal in (np.full(4, 0.1), np.zeros(3), np.ones(1)):
        np.testing.assert_allclose(REWEIGHTINGS[name](equal, 0.4), 1, rtol=1e-15)


@pytest.mark.parametrize("name", REWEIGHTINGS)
def test_shift_and_scale_of_the_losses_do_not_matter(name):
    losses = np.random.default_rng(1).gamma(2.0, size=7)
    np.testing.assert_allclose(REWEIGHTINGS[name](5 * losses + 3, 0.4), REWEIGHTINGS[name](losses, 0.4), rtol=1e-10)


def test_who_is_favoured():
    losses = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    upper, middle, ends = (f(losses, 0.4) for f in (linupper, quadratic, extremes))
    assert upper[0] < upper[1] < upper[2] and upper[2] == upper[3] == upper[4]
    assert middle.argmax() == 2 and middle[0] == pytest.approx(middle[4])
    assert ends.argmin() == 2 and ends[0] == pytest.approx(ends[4])


def test_small_temperatures_do_not_overflow():
    losses = np.array([1e30, 0.0, 1e20], np.float32)
    for strategy in REWEIGHTINGS.values():
        weights = strategy(losses, 1e-6)
        assert np.isfinite(weights).all() and weights.sum() == pytest.approx(3) and weights.dtype == np.float32


@pytest.mark.parametrize("name", REWEIGHTINGS)
def test_runs_on_the_device_double(name):
    losses = np.random.default_rng(2).gamma(2.0, size=7)
    weights = REWEIGHTINGS[name](DOUBLE.asarray(losses), 0.4)
    np.testing.assert_allclose(DOUBLE.to_numpy(weights), REWEIGHTINGS[name](losses, 0.4), rtol=1e-14)


@pytest.mark.parametrize(
    "losses, temperature, message",
    [
        (np.ones((2, 2)), 0.4, "losses: got .+, expected"),
        (np.ones(0), 0.4, "losses: got .+, expected"),
        (np.ones(3, int), 0.4, "losses: got .+, expected"),
        (np.array([1.0, np.nan]), 0.4, "losses: got a NaN or an infinity"),
        (np.ones(3), 0.0, "temperature: got .+, expected a number above 0"),
        (np.ones(3), math.nan, "temperature: got .+, expected a number above 0"),
    ],
)
@pytest.mark.parametrize("name", REWEIGHTINGS)
def test_bad_arguments_are_named(name, losses, temperature, message):
    with pytest.raises(ValueError, match=rf"^{name}: .*{message}"):
        REWEIGHTINGS[name](losses, temperature)


def test_temperature_jumps_or_ramps_down_from_infinity():
    assert [annealed_temperature(s, 0.4, warmup=2) for s in range(4)] == [math.inf, math.inf, 0.4, 0.4]
    ramped = [annealed_temperature(s, 0.5, warmup=1, ramp=3) for s in range(7)]
    assert ramped[0] == math.inf and ramped[1:] == [2.0, 1.0, pytest.approx(2 / 3), 0.5, 0.5, 0.5]
    assert annealed_temperature(0, 0.4) == 0.4


@pytest.mark.parametrize("arguments", [(-1, 0.4), (0, 0.0), (0, 0.4, -1), (0, 0.4, 0, -2)])
def test_bad_schedule_is_named(arguments):
    with pytest.raises(ValueError, match=r"^annealed_temperature: "):
        annealed_temperature(*arguments)


@pytest.mark.crosscheck
def test_equals_torch_softmax():
    torch = pytest.importorskip("torch")
    losses = torch.tensor(np.random.default_rng(3).gamma(2.0, size=8))
    h = 2 * (losses - losses.min()) / (losses.max() - losses.min()) - 1
    for strategy, f in ((linupper, torch.clamp(h + 1, max=1)), (quadratic, 1 - h**2), (extremes, h.abs())):
        expected = 8 * torch.softmax(f / 0.4, dim=0)
        np.testing.assert_allclose(strategy(losses.numpy(), 0.4), expected.numpy(), rtol=1e-12)
