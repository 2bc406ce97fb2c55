import math

import pytest

from mini_repr.optim import constant, cosine_with_warmup


@pytest.mark.parametrize("warmup_steps", [0, 1, 10])
def test_cosine_end_points(warmup_steps):
    assert cosine_with_warmup(warmup_steps, 100, warmup_steps, peak=0.3, final=0.01) == pytest.approx(0.3, rel=1e-15)
    assert cosine_with_warmup(100, 100, warmup_steps, peak=0.3, final=0.01) == pytest.approx(0.01, rel=1e-15)
    middle = (100 + warmup_steps) / 2
    assert cosine_with_warmup(middle, 100, warmup_steps, peak=0.3, final=0.1) == pytest.approx(0.2)


@pytest.mark.parametrize("schedule", [cosine_with_warmup, constant])
def test_warmup_is_linear_and_starts_above_zero(schedule):
    rates = [schedule(step, 50, 4, 1.0) for step in range(5)]
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


def test_cosine_falls_all_the_way():
    rates = [cosine_with_warmup(step, 50, 5, 1.0) for step in range(51)]
    assert rates[5] == max(rates)
    assert rates[5:] == sorted(set(rates[5:]), reverse=True)
    assert all(rate > 0.0 for rate in rates[:-1])


def test_constant_stays():
    assert {constant(step, 50, 5, 0.7) for step in range(5, 51)} == {0.7}


@pytest.mark.parametrize("schedule", [cosine_with_warmup, constant])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 10, 2, 1.0), "step must lie in .* got -1"),
        ((11, 10, 2, 1.0), "step must lie in .* got 11"),
        ((0, 10, 10, 1.0), "warmup_steps must lie in .* got 10"),
        ((0, 10, -1, 1.0), "warmup_steps must lie in .* got -1"),
        ((0, 10, 2, -1.0), "peak must be finite and at least 0, got -1"),
        ((0, 10, 2, math.inf), "peak must be finite and at least 0, got inf"),
    ],
)
def test_bad_arguments(schedule, arguments, message):
    with pytest.raises(ValueError, match=f"{schedule.__name__}: {message}"):
        schedule(*arguments)


def test_bad_final():
    with pytest.raises(ValueError, match="final must be finite and at least 0, got -1"):
        cosine_with_warmup(0, 10, 2, 1.0, final=-1.0)
