from math import sqrt

import numpy as np
import pytest

from mini_repr.losses.labels.contextual import contextual


def parts(z, labels, neighbours, epsilon, positive_margin, negative_margin, target_similarity):
    """The three parts, one pair and one neighbour at a time."""
    rows = []
    for x in z:
        norm = sqrt(sum(float(c) ** 2 for c in x))
        rows.append([float(c) / norm for c in x])
    n = range(len(rows))
    s = [[sum(p * q for p, q in zip(rows[i], rows[j], strict=True)) for j in n] for i in n]

    def neighbourhoods(k):
        found = []
        for i in n:
            bound = sorted(2 - 2 * s[i][j] for j in n)[k - 1] + epsilon
            found.append({j for j in n if 2 - 2 * s[i][j] <= bound + 1e-12})
        return found

    near, close = neighbourhoods(neighbours), neighbourhoods(neighbours // 2)

    def context(i, j):
        if j not in near[i]:
            return 0.0
        strangers = set(n) - near[i]
        outside = len(strangers - near[j]) / len(strangers) if strangers else 0.0
        return (len(near[i] & near[j]) / len(near[i]) + outside) / 2

    def averaged(i, j):
        partners = [m for m in close[i] if i in close[m]]
        return sum(context(m, j) for m in partners) / len(partners)

    contextual_part = 0.0
    short, long = [], []
    for i in n:
        for j in n:
            y = float(labels[i] == labels[j])
            if i != j:
                contextual_part += (y - (averaged(i, j) + averaged(j, i)) / 2) ** 2 / len(rows) ** 2
            excess = positive_margin - s[i][j] if y else s[i][j] - negative_margin
            if excess > 0 and i != j:
                (short if y else long).append(excess)
    contrastive = sum(sum(part) / max(1, len(part)) for part in (short, long))
    mean = sum(map(sum, s)) / len(rows) ** 2
    return contextual_part, contrastive, (mean - target_similarity) ** 2


def loops(z, labels, contextual_weight, regulariser_weight, slope, **settings):
    """The weighted sum; the slope shapes the gradient alone."""
    context, contrastive, regulariser = parts(z, labels, **settings)
    weight = 1 - contextual_weight - regulariser_weight
    return contextual_weight * context + regulariser_weight * regulariser + weight * contrastive


def batch(seed=0, rows=12):
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % 3
    return rng.standard_normal((3, 5))[labels] + 0.8 * rng.standard_normal((rows, 5)), labels


@pytest.mark.parametrize("neighbours", [2, 4, 5, 12])
@pytest.mark.parametrize("epsilon", [0.0, 0.05, 5.0])
def test_straight_through_gradient_equals_the_definition_s(neighbours, epsilon):
    z, labels = batch(1)
    settings = dict(neighbours=neighbours, epsilon=epsilon, contextual_weight=0.8)
    value, gradients = contextual.value_and_grad(z, labels, **settings)
    defined, engine = contextual.definition_and_grad(z, labels, **settings)
    assert float(value) == pytest.approx(float(defined), rel=1e-11)
    np.testing.assert_allclose(gradients["z"], engine["z"], atol=1e-10)


def test_named_parts():
    z, labels = batch(2)
    tensor = contextual(z, labels)
    expected = parts(z, labels, 4, 0.05, 0.75, 0.6, 0.25)
    for name, part in zip(("contextual", "contrastive", "regulariser"), expected, strict=True):
        assert float(tensor.terms[name]) == pytest.approx(part, rel=1e-11)


def test_slope_scales_the_contextual_gradient_and_not_the_value():
    z, labels = batch(3)
    settings = dict(contextual_weight=1.0, regulariser_weight=0.0)
    value, gradients = contextual.value_and_grad(z, labels, slope=1.0, **settings)
    same_value, tenfold = contextual.value_and_grad(z, labels, **settings)
    assert float(value) == float(same_value)
    np.testing.assert_allclose(10 * gradients["z"], tenfold["z"], atol=1e-13)


def test_descent_on_the_contextual_part_mends_the_neighbourhoods():
    z, labels = batch(4)
    settings = dict(contextual_weight=1.0, regulariser_weight=0.0)
    before = float(contextual(z, labels, **settings).data)
    for _ in range(200):
        z = z - 0.1 * contextual.value_and_grad(z, labels, **settings)[1]["z"]
    assert float(contextual(z, labels, **settings).data) < 0.3 * before


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"neighbours": 13}, "neighbours: got 13, expected at most the 12 rows"),
        (
            {"contextual_weight": 0.95},
            r"contextual_weight: got 0.95 \+ 0.1 with regulariser_weight, expected at most 1",
        ),
    ],
)
def test_misuse(settings, message):
    with pytest.raises(ValueError, match=f"^contextual: {message}"):
        contextual(*batch(), **settings)


@pytest.mark.parametrize("labels", [np.zeros(6, dtype=int), np.arange(6), np.array([0, 0, 1, 1, 2, 2])])
@pytest.mark.parametrize("epsilon", [0.0, 0.05])
def test_duplicates_and_zero_rows_are_finite_in_float32(labels, epsilon):
    z = np.random.default_rng(5).standard_normal((6, 4)).astype(np.float32)
    z[1], z[2], z[3] = z[0], 2 * z[0], 0
    for neighbours in (2, 3, 4):
        value, gradients = contextual.value_and_grad(z, labels, neighbours=neighbours, epsilon=epsilon)
        assert np.isfinite(value) and np.isfinite(gradients["z"]).all() and not gradients["z"][3].any()


@pytest.mark.parametrize("margin", [1.0, 1.5])
def test_a_row_is_no_positive_of_itself(margin):
    """At margin 1 rounding would decide whether the pairs i = j count."""
    z, labels = batch(7)
    expected = parts(z, labels, 4, 0.05, margin, 0.6, 0.25)[1]
    for dtype in (np.float32, np.float64):
        terms = contextual(z.astype(dtype), labels, positive_margin=margin).terms
        assert float(terms["contrastive"]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.crosscheck
def test_against_torch():
    """The same parts with a custom step of slope 10, as the official code builds them."""
    torch = pytest.importorskip("torch")

    class Step(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            return (x >= 0).to(x.dtype)

        @staticmethod
        def backward(context, g):
            return 10 * g

    z, labels = batch(6)
    t, y = torch.tensor(z, requires_grad=True), torch.tensor(labels[:, None] == labels).double()
    u = torch.nn.functional.normalize(t, dim=1)
    s = u @ u.T
    d = 2 - 2 * s
    ranked = d.detach().sort(1).values
    a, c = (Step.apply(ranked[:, k - 1 : k] + 0.05 - d) for k in (4, 2))
    inside = torch.einsum("im,jm->ij", a, a) / a.sum(1, keepdim=True).detach()
    outside = torch.einsum("im,jm->ij", 1 - a, 1 - a) / (1 - a).sum(1, keepdim=True).detach()
    w, r = a * (inside + outside) / 2, c * c.T
    j = r @ w / r.sum(1, keepdim=True)
    miss = (y - (j + j.T) / 2) * (1 - torch.eye(12, dtype=torch.float64))
    short, long = ((0.75 - s) * y).relu(), ((s - 0.6) * (1 - y)).relu()
    contrastive = sum(part.sum() / max(1, int((part > 0).sum())) for part in (short, long))
    value = 0.4 * miss.square().mean() + 0.1 * (s.mean() - 0.25).square() + 0.5 * contrastive
    value.backward()
    ours, gradients = contextual.value_and_grad(z, labels)
    assert float(ours) == pytest.approx(value.item(), rel=1e-11)
    np.testing.assert_allclose(gradients["z"], t.grad.numpy(), atol=1e-11)
