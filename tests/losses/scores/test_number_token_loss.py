from math import exp, log

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.losses.scores.number_token_loss import number_token_loss

VALUES = np.array([0.0, 7.0, 3.0, -2.0, 0.0, 11.5])
NUMBERS = np.array([False, True, True, True, False, True])


def loops(scores, labels, values, is_number, weight, distance, reduction):
    numbers = [k for k in range(scores.shape[1]) if is_number[k]]
    number_rows = sum(bool(is_number[label]) for label in labels)
    per_row = []
    for row, label in zip(scores, labels, strict=True):
        s = [float(x) for x in row]
        one = -log(exp(s[label]) / sum(exp(x) for x in s))
        if is_number[label]:
            total = sum(exp(s[k]) for k in numbers)
            expected = sum(exp(s[k]) / total * float(values[k]) for k in numbers)
            distances = {
                "was": sum(exp(s[k]) / total * abs(float(values[k]) - float(values[label])) for k in numbers),
                "mse": (expected - float(values[label])) ** 2,
                "mae": abs(expected - float(values[label])),
            }
            one += weight * distances[distance] * len(labels) / number_rows
        per_row.append(one)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](per_row)


def test_was_is_scipys_wasserstein_distance():
    rng = np.random.default_rng(0)
    for label in np.flatnonzero(NUMBERS):
        scores = 2 * rng.standard_normal((1, 6))
        u = np.exp(scores[0, NUMBERS])
        expected = wasserstein_distance(VALUES[NUMBERS], [VALUES[label]], u_weights=u)
        terms = number_token_loss(scores, np.array([label]), VALUES, NUMBERS).terms
        assert float(terms["number_token"]) == pytest.approx(expected, rel=1e-12)


def test_farther_numbers_cost_more_and_cross_entropy_cannot_tell():
    confident = 8 * np.eye(6)
    label = np.array([2])  # the value 3
    rows = [number_token_loss(confident[[k]], label, VALUES, NUMBERS).terms for k in (2, 1, 3, 5)]  # 3, 7, -2, 11.5
    far = [float(terms["number_token"]) for terms in rows]
    assert far == sorted(far)
    plain = [float(terms["cross_entropy"]) for terms in rows]
    assert plain[1] == pytest.approx(plain[3], rel=1e-14)


def test_mistakes_that_cancel_are_seen_by_was_alone():
    values, numbers = np.array([4.0, 5.0, 6.0]), np.ones(3, bool)
    scores, label = np.array([[10.0, -10.0, 10.0]]), np.array([1])
    found = {
        d: float(number_token_loss(scores, label, values, numbers, distance=d).terms["number_token"])
        for d in ("was", "mse", "mae")
    }
    assert found["was"] == pytest.approx(1, rel=1e-6)
    assert found["mse"] == pytest.approx(0, abs=1e-12) and found["mae"] == pytest.approx(0, abs=1e-12)


def test_other_tokens_do_not_change_the_number_term():
    rng = np.random.default_rng(1)
    scores, labels = rng.standard_normal((3, 6)), np.array([1, 2, 5])
    moved = scores + 5 * ~NUMBERS
    before, after = (number_token_loss(s, labels, VALUES, NUMBERS).terms["number_token"] for s in (scores, moved))
    assert float(before) == pytest.approx(float(after), rel=1e-14)


@pytest.mark.parametrize("distance", ["was", "mse", "mae"])
def test_batch_without_numbers_is_cross_entropy(distance):
    rng = np.random.default_rng(2)
    scores, labels = rng.standard_normal((4, 6)), np.array([0, 4, 4, 0])
    value, gradients = number_token_loss.value_and_grad(scores, labels, VALUES, NUMBERS, distance=distance)
    plain, plain_gradients = cross_entropy.value_and_grad(scores, labels)
    assert float(value) == pytest.approx(float(plain), rel=1e-14)
    np.testing.assert_allclose(gradients["scores"], plain_gradients["scores"], atol=1e-15)
    output = number_token_loss(scores, labels, VALUES, NUMBERS, distance=distance)
    assert float(output.terms["number_token"]) == 0


def test_rows_average_to_the_loss():
    rng = np.random.default_rng(3)
    scores, labels = rng.standard_normal((5, 6)), np.array([0, 1, 2, 4, 3])
    rows = number_token_loss(scores, labels, VALUES, NUMBERS, reduction="none").data
    output = number_token_loss(scores, labels, VALUES, NUMBERS)
    assert float(output.data) == pytest.approx(rows.mean(), rel=1e-14)
    assert float(output.data) == pytest.approx(
        float(output.terms["cross_entropy"] + 0.3 * output.terms["number_token"]), rel=1e-14
    )


@pytest.mark.parametrize("distance", ["was", "mse", "mae"])
def test_values_of_other_tokens_are_not_looked_at(distance):
    scores, labels = np.random.default_rng(5).standard_normal((3, 4)), np.array([0, 1, 2])
    is_number = np.array([False, True, True, True])
    plain, missing = ([first, 1.0, 2.0, 3.0] for first in (0.0, np.nan))
    expected = number_token_loss(scores, labels, np.array(plain), is_number, distance=distance).data
    assert number_token_loss(scores, labels, np.array(missing), is_number, distance=distance).data == expected


@pytest.mark.crosscheck
@pytest.mark.parametrize("distance", ["was", "mse"])
def test_equals_torch(distance):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(4)
    scores, labels = rng.standard_normal((7, 6)), np.array([0, 1, 2, 3, 4, 5, 2])
    s, y = torch.tensor(scores, requires_grad=True), torch.tensor(labels)
    values, numbers = torch.tensor(VALUES), torch.tensor(NUMBERS)
    u = torch.softmax(s[:, numbers], dim=-1)
    if distance == "was":
        order = torch.argsort(values[numbers])  # by distribution functions, as scipy does
        sorted_values = values[numbers][order]
        below = torch.cumsum(u[:, order], dim=1)[:, :-1]
        point = (sorted_values[:-1] >= values[y][:, None]).double()
        far = ((below - point).abs() * (sorted_values[1:] - sorted_values[:-1])).sum(1)
    else:
        far = torch.nn.functional.mse_loss(u @ values[numbers], values[y], reduction="none")
    expected = torch.nn.functional.cross_entropy(s, y) + 0.3 * far[numbers[y]].mean()
    expected.backward()
    value, gradients = number_token_loss.value_and_grad(scores, labels, VALUES, NUMBERS, distance=distance)
    assert float(value) == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(gradients["scores"], s.grad.numpy(), atol=1e-13)
