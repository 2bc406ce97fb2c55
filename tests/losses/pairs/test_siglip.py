import tracemalloc
from math import exp, log, log1p, sqrt

import numpy as np
import pytest

from mini_repr.autograd import gradcheck
from mini_repr.backend import CPU
from mini_repr.losses.pairs.siglip import _from_any, _from_exponential, siglip


def loops(a, b, log_scale, bias, per_row, normalize, reduction):
    """The equation, one pair at a time."""

    def row(x):
        norm = sqrt(sum(float(c) ** 2 for c in x)) if normalize else 1.0
        return [float(c) / norm for c in x]

    u, v = [row(x) for x in a], [row(x) for x in b]
    per_anchor = []
    for i in range(len(u)):
        total = 0.0
        for j in range(len(v)):
            logit = exp(log_scale) * sum(p * q for p, q in zip(u[i], v[j], strict=True)) + bias
            sign = 1 if i == j else -1
            total -= log(1 / (1 + exp(-sign * logit)))
        per_anchor.append(total / len(v) if per_row == "mean" else total)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](per_anchor)


def test_extreme_logits_stay_exact():
    """log sigmoid neither overflows at 1e5 nor rounds e^-40 away, and easy negatives keep their small weights."""
    a = np.eye(3)
    value, gradients = siglip.value_and_grad(a, a, log_scale=log(1e5), bias=-1e4)
    assert float(value) == 0.0 and all(np.isfinite(g).all() for g in gradients.values())
    value, _ = siglip.value_and_grad(a, -a, log_scale=log(1e5), bias=0.0)
    assert float(value) == pytest.approx(1e5 + 2 * log(2), rel=1e-12)
    value, gradients = siglip.value_and_grad(np.eye(2), np.eye(2), log_scale=log(80), bias=-40.0)
    assert float(value) == pytest.approx(2 * log1p(exp(-40)), rel=1e-12, abs=0)
    assert float(gradients["bias"]) == pytest.approx(0.0, abs=1e-30)


@pytest.mark.parametrize("form", [_from_any, _from_exponential])
@pytest.mark.parametrize("logit", [-60.0, -30.0, -10.0, -1e-4, 0.0, 1e-4, 3.0, 20.0, 60.0])
def test_sigmoid_and_softplus_keep_their_digits_in_float32(form, logit):
    """Easy negatives weigh e^-30 and less: that must not round to 0, nor 1 + e^-30 to 1."""
    sigmoid, softplus = form(CPU, np.full(1, logit, dtype=np.float32))
    assert float(sigmoid[0]) == pytest.approx(1 / (1 + exp(-logit)), rel=5e-7)
    assert float(softplus[0]) == pytest.approx(log1p(exp(logit)), rel=5e-7)


def test_both_forms_agree_where_the_exponential_ends():
    """A bias of -79 and one of -81 lie on the two sides of the limit in float32; both match float64."""
    a, b = np.random.default_rng(1).standard_normal((2, 8, 4))
    for bias in (-70.0, -78.0, -82.0, -90.0):
        exact, gradients = siglip.value_and_grad(a, b, bias=bias)
        value, close = siglip.value_and_grad(a.astype(np.float32), b.astype(np.float32), bias=bias)
        assert float(value) == pytest.approx(float(exact), rel=1e-5)
        np.testing.assert_allclose(close["a"], gradients["a"], atol=1e-5 * np.abs(gradients["a"]).max())


def test_memory_is_that_of_tiles():
    a, b = np.random.default_rng(0).standard_normal((2, 2000, 4))
    tracemalloc.start()
    siglip.value_and_grad(a, b, tile=32)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.2 * 2000 * 2000 * 8


def test_bias_starts_balanced_at_log_odds():
    """open_clip issue 650: with random rows, the loss is stationary in the bias at log(p/(1-p)), p = 1/N."""
    a, b = np.zeros((2, 100, 4))
    _, gradients = siglip.value_and_grad(a, b, bias=-log(99))
    assert float(gradients["bias"]) == pytest.approx(0.0, abs=1e-13)


def test_mean_over_pairs_is_n_times_smaller():
    a, b = np.random.default_rng(1).standard_normal((2, 7, 3))
    assert float(siglip(a, b).data) == pytest.approx(7 * float(siglip(a, b, per_row="mean").data), rel=1e-14)


def test_one_value_a_row_averages_to_the_loss():
    a, b = np.random.default_rng(2).standard_normal((2, 5, 3))
    rows = siglip(a, b, reduction="none").data
    assert rows.shape == (5,)
    assert float(siglip(a, b).data) == pytest.approx(rows.mean(), rel=1e-14)


def test_single_pair_is_a_positive():
    value, _ = siglip.value_and_grad(np.ones((1, 2)), np.ones((1, 2)), log_scale=0.0, bias=0.0)
    assert float(value) == pytest.approx(log1p(exp(-1)), rel=1e-14)


def test_zero_row_has_zero_gradient():
    a, b = np.random.default_rng(3).standard_normal((2, 5, 3))
    a[1] = 0
    value, gradients = siglip.value_and_grad(a, b)
    assert np.isfinite(value) and not gradients["a"][1].any() and np.isfinite(gradients["b"]).all()


def test_scale_that_would_overflow_is_refused():
    a = np.eye(2)
    with pytest.raises(ValueError, match=r"^siglip: log_scale: got 81, expected at most 80"):
        siglip(a, a, log_scale=81.0)
    value, gradients = siglip.value_and_grad(a.astype(np.float32), a.astype(np.float32), log_scale=80.0)
    assert np.isfinite(value) and all(np.isfinite(g).all() for g in gradients.values())


def test_python_numbers_leave_float32_as_it_is():
    a, b = np.random.default_rng(4).standard_normal((2, 4, 3)).astype(np.float32)
    assert siglip(a, b).dtype == np.float32


def test_learned_scalars_against_differences_at_the_start_of_training():
    rng = np.random.default_rng(5)
    a, b = rng.standard_normal((2, 6, 4))
    _, gradients = siglip.value_and_grad(a, b)
    value_at = lambda s, t: float(siglip(a, b, log_scale=s, bias=t).data)  # noqa: E731
    start = [np.asarray(log(10)), np.asarray(-10.0)]
    gradcheck(value_at, start, [gradients["log_scale"], gradients["bias"]], rng, step=1e-4, tolerance=1e-7)


@pytest.mark.crosscheck
@pytest.mark.parametrize("variant", [None, *siglip.variants])
def test_against_torch(variant):
    torch = pytest.importorskip("torch")
    settings = {} if variant is None else siglip.variants[variant].settings
    rng = np.random.default_rng(6)
    arrays = {
        "a": rng.standard_normal((9, 5)),
        "b": rng.standard_normal((9, 5)),
        "log_scale": np.asarray(settings.get("log_scale", log(10))),
        "bias": np.asarray(-3.0),
    }
    value, gradients = siglip.value_and_grad(**arrays, **{n: v for n, v in settings.items() if n != "log_scale"})

    given = {n: torch.tensor(x, requires_grad=True) for n, x in arrays.items()}
    a, b = given["a"], given["b"]
    if settings.get("normalize", True):
        a, b = torch.nn.functional.normalize(a), torch.nn.functional.normalize(b)
    logits = given["log_scale"].exp() * a @ b.T + given["bias"]
    divisor = 81 if "per_row" in settings else 1 if "reduction" in settings else 9
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    expected = bce(logits, torch.eye(9, dtype=torch.float64), reduction="sum") / divisor
    expected.backward()
    assert float(value) == pytest.approx(expected.item(), rel=1e-12)
    for name, tensor in given.items():
        np.testing.assert_allclose(gradients[name], tensor.grad.numpy(), rtol=1e-9, atol=1e-12, err_msg=name)
