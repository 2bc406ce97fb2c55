from math import exp, log, log1p, sqrt

import numpy as np
import pytest

from mini_repr.losses.pairs.infonce import infonce
from mini_repr.losses.pairs.mw_loss import mw_loss


def loops(a, b, temperature, negatives, reduction):
    """Every comparison of a positive with a negative, one at a time."""

    def row(x):
        norm = sqrt(sum(float(c) ** 2 for c in x))
        return [float(c) / norm for c in x]

    u, v = [row(x) for x in a], [row(x) for x in b]
    s = [[sum(p * q for p, q in zip(x, y, strict=True)) for y in v] for x in u]
    rows = []
    for i in range(len(u)):
        queries = range(len(u)) if negatives == "all" else [i]
        costs = [log1p(exp((s[k][j] - s[i][i]) / temperature)) for k in queries for j in range(len(u)) if j != k]
        rows.append(sum(costs) / len(costs))
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](rows)


def scores(a, b):
    u, v = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    return u @ v.T


@pytest.mark.parametrize("noise", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("temperature", [0.02, 0.1, 1.0])
def test_bounds_the_area_over_the_curve(noise, temperature):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((20, 5))
    b = a + noise * rng.standard_normal((20, 5))
    s = scores(a, b)
    positive, negative = np.diag(s)[:, None], s[~np.eye(20, dtype=bool)]
    area_over = ((negative > positive) + (negative == positive) / 2).mean()
    value = float(mw_loss(a, b, temperature=temperature).data)
    assert area_over <= value / log(2)
    assert noise < 10 or area_over > 0.2


@pytest.mark.parametrize("temperature", [0.001, 0.01, 0.05, 0.3, 3.0, 100.0])
def test_series_are_exact_to_round_off(temperature):
    """The cells' series against all comparisons, value and gradients, for sharp and flat logits."""
    rng = np.random.default_rng(1)
    a = rng.standard_normal((12, 4))
    b = a + 0.7 * rng.standard_normal((12, 4))
    value, gradients = mw_loss.value_and_grad(a, b, temperature=temperature)
    defined, expected = mw_loss.definition_and_grad(a, b, temperature=temperature)
    assert float(value) == pytest.approx(float(defined), rel=1e-12)
    for name, gradient in expected.items():
        np.testing.assert_allclose(gradients[name], gradient, atol=1e-11 * np.abs(gradient).max(), err_msg=name)


def test_two_pairs_compare_alike_within_and_across_queries_when_scores_are_symmetric():
    a = np.array([[1.0, 0.2], [0.3, 1.0]])
    assert float(mw_loss(a, a).data) == pytest.approx(float(mw_loss(a, a, negatives="own").data), rel=1e-13)


def test_one_negative_each_is_infonce():
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((2, 2, 3))
    expected = infonce(a, b, symmetric=False).data
    assert float(mw_loss(a, b, negatives="own").data) == pytest.approx(float(expected), rel=1e-13)


def test_sees_what_a_softmax_cannot():
    """A constant added to one query's scores changes no order within it, so InfoNCE is blind to it; AUC is not."""
    logits = np.array([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0]])
    shifted = logits + np.array([[0.0], [0.0], [3.0]])

    def mean_cost(s, queries):
        return np.mean(
            [log1p(exp(s[k, j] - s[i, i])) for i in range(3) for k in queries(i) for j in range(3) if j != k]
        )

    def own(i):
        return [i]

    def everyone(i):
        return range(3)

    assert mean_cost(shifted, own) == pytest.approx(mean_cost(logits, own))
    assert mean_cost(shifted, everyone) > mean_cost(logits, everyone) + 0.1


def test_zero_row_has_zero_gradient():
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((2, 5, 3))
    a[1] = 0
    value, gradients = mw_loss.value_and_grad(a, b)
    assert np.isfinite(value) and not gradients["a"][1].any() and np.isfinite(gradients["b"]).all()


def test_temperature_below_the_smallest_is_refused():
    with pytest.raises(ValueError, match=r"mw_loss: temperature: got 0\.0005, expected at least 0\.001"):
        mw_loss(np.eye(3), np.eye(3), temperature=5e-4)


@pytest.mark.crosscheck
@pytest.mark.parametrize("negatives", ["all", "own"])
def test_against_torch_bce_of_differences(negatives):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(4)
    a, b = rng.standard_normal((7, 5)), rng.standard_normal((7, 5))
    ta, tb, tt = (torch.tensor(x, requires_grad=True) for x in (a, b, np.array(0.2)))
    s = torch.nn.functional.normalize(ta) @ torch.nn.functional.normalize(tb).T / tt
    off = ~torch.eye(7, dtype=torch.bool)
    other = s[off].reshape(1, -1) if negatives == "all" else s[off].reshape(7, 6)
    difference = s.diag()[:, None] - other
    expected = torch.nn.functional.binary_cross_entropy_with_logits(difference, torch.ones_like(difference))
    expected.backward()
    value, gradients = mw_loss.value_and_grad(a, b, temperature=0.2, negatives=negatives)
    assert float(value) == pytest.approx(expected.item(), rel=1e-12)
    for name, tensor in (("a", ta), ("b", tb), ("temperature", tt)):
        np.testing.assert_allclose(gradients[name], tensor.grad.numpy(), atol=1e-12)
