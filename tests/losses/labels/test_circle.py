from math import exp, log, log1p, sqrt

import numpy as np
import pytest

from mini_repr.autograd import unit_rows
from mini_repr.losses.labels.circle import circle


def loops(z, labels, margin, scale, over, weighted, normalize, reduction):
    """One anchor, then one pair at a time."""
    rows = []
    for x in z:
        norm = sqrt(sum(float(c) ** 2 for c in x)) if normalize else 1.0
        rows.append([float(c) / norm for c in x])
    n = range(len(rows))

    def of_positive(s):
        return exp(-scale * (max(1 + margin - s, 0.0) if weighted else 1.0) * (s - 1 + margin))

    def of_negative(s):
        return exp(scale * (max(s + margin, 0.0) if weighted else 1.0) * (s - margin))

    per_row, all_positive, all_negative = [], 0.0, 0.0
    for i in n:
        positive, negative = [], []
        for j in n:
            s = sum(p * q for p, q in zip(rows[i], rows[j], strict=True))
            if labels[i] != labels[j]:
                negative.append(of_negative(s))
            elif i != j:
                positive.append(of_positive(s))
        per_row.append(log1p(sum(negative) * sum(positive)) if positive else None)
        all_positive += sum(positive) / 2
        all_negative += sum(negative) / 2
    if over == "batch":
        per_row = [log1p(all_positive * all_negative)] * len(rows)
    if reduction == "none":
        return np.asarray([cost or 0.0 for cost in per_row])
    costs = [cost for cost in per_row if cost is not None]
    return sum(costs) / (len(costs) if reduction == "mean" else 1)


def rows_with_singletons(seed=0):
    """Classes of 3, 2, 1 and 1 rows."""
    return np.random.default_rng(seed).standard_normal((7, 4)), np.array([3, 8, 3, -2, 8, 3, 11])


SETTINGS = pytest.mark.parametrize(
    "settings",
    [
        {},
        {"over": "batch"},
        {"weighted": False},
        {"weighted": False, "over": "batch"},
        {"reduction": "sum"},
        {"over": "batch", "reduction": "sum"},
    ],
    ids=str,
)


@SETTINGS
@pytest.mark.parametrize("tile", [1, 2, 3, None])
def test_uneven_classes(settings, tile):
    z, labels = rows_with_singletons()
    value, gradients = circle.value_and_grad(z, labels, scale=10.0, tile=tile, **settings)
    defined, engine = circle.definition_and_grad(z, labels, scale=10.0, **settings)
    complete = dict(margin=0.4, scale=10.0, over="anchor", weighted=True, normalize=True, reduction="mean") | settings
    assert float(value) == pytest.approx(float(defined), rel=1e-12)
    assert float(value) == pytest.approx(loops(z, labels, **complete), rel=1e-12)
    np.testing.assert_allclose(gradients["z"], engine["z"], atol=1e-12)


def test_row_alone_in_its_class_is_a_negative_only():
    z, labels = rows_with_singletons()
    rows = circle(z, labels, reduction="none").data
    assert rows[3] == rows[6] == 0 and (rows[[0, 1, 2, 4, 5]] > 0).all()
    assert float(circle(z, labels).data) == pytest.approx(rows.sum() / 5, rel=1e-13)
    assert circle.value_and_grad(z, labels)[1]["z"][3].any()


@pytest.mark.parametrize("over", ["anchor", "batch"])
def test_large_scale_is_the_hardest_triplet(over):
    """Unit weights: l / scale -> [max s_n - min s_p + m']_+, m' = 1 - 2 margin (Sun et al. 2020, section 2)."""
    z, labels = rows_with_singletons(3)
    u = unit_rows.on_arrays(z)[0]
    s = u @ u.T
    own = np.eye(7, dtype=bool)
    positive, negative = (labels[:, None] == labels) & ~own, labels[:, None] != labels
    farthest = np.where(positive, s, np.inf).min(axis=1)
    nearest = np.where(negative, s, -np.inf).max(axis=1)
    if over == "anchor":
        anchors = positive.any(axis=1)
        expected = np.maximum(nearest - farthest + 0.2, 0)[anchors].mean()
    else:
        expected = max(nearest.max() - farthest.min() + 0.2, 0)
    value = circle(z, labels, margin=0.4, scale=1e5, weighted=False, over=over).data / 1e5
    assert float(value) == pytest.approx(expected, abs=1e-4)


def test_one_positive_each_is_softmax_over_the_negatives():
    """Unit weights, classes of two: -log(e^{g (s_p - m')} / (e^{g (s_p - m')} + sum_n e^{g s_n})), as NormFace's."""
    z = np.random.default_rng(4).standard_normal((8, 5))
    labels = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    u = unit_rows.on_arrays(z)[0]
    expected = 0.0
    for i in range(8):
        own = u[i] @ u[i ^ 1] - 0.3
        negatives = sum(exp(6 * (u[i] @ u[j])) for j in range(8) if j not in (i, i ^ 1))
        expected -= log(exp(6 * own) / (exp(6 * own) + negatives)) / 8
    value = circle(z, labels, margin=0.35, scale=6.0, weighted=False).data
    assert float(value) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("weighted, least, most", [(True, 0.0, 0.01), (False, 0.05, 0.2)])
def test_weights_fade_the_gradient_at_the_optimum(weighted, least, most):
    """With margin 0 and an orthogonal negative the pull on s_p is proportional to 1 - s_p (section 3.1)."""

    def pull(angle):
        z = np.array([[1.0, 0, 0], [np.cos(angle), np.sin(angle), 0], [0, 0, 1.0]])
        labels = np.array([0, 0, 1])
        gradient = circle.value_and_grad(z, labels, scale=1.0, margin=0.0, weighted=weighted)[1]["z"]
        return np.linalg.norm(gradient[1, :2])

    assert least <= pull(0.05) / pull(0.8) < most


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"labels": np.arange(3)}, "labels: got no two equal, expected"),
        ({"labels": np.zeros(3, dtype=int)}, "labels: got all equal, expected"),
    ],
)
def test_misuse(arguments, message):
    with pytest.raises(ValueError, match=rf"^circle: {message}"):
        circle(np.eye(3), **arguments)


def test_one_logarithm_for_all_is_every_row_s():
    z, labels = rows_with_singletons(8)
    rows = circle(z, labels, over="batch", reduction="none").data
    assert rows.shape == (7,) and len(set(rows.tolist())) == 1
    assert rows[0] == pytest.approx(float(circle(z, labels, over="batch").data), rel=1e-14)


@SETTINGS
def test_zero_row_duplicates_and_large_scale_in_float32(settings):
    z, labels = rows_with_singletons(5)
    z[2], z[1] = 0, z[0]
    single = z.astype(np.float32)
    value, gradients = circle.value_and_grad(single, labels, scale=256.0, margin=0.25, **settings)
    exact, _ = circle.value_and_grad(z, labels, scale=256.0, margin=0.25, **settings)
    assert float(value) == pytest.approx(float(exact), rel=1e-4)
    assert np.isfinite(gradients["z"]).all() and not gradients["z"][2].any()


@pytest.mark.crosscheck
@pytest.mark.parametrize("over", ["anchor", "batch"])
def test_against_torch(over):
    torch = pytest.importorskip("torch")
    z, labels = rows_with_singletons(6)
    t = torch.tensor(z, requires_grad=True)
    u = torch.nn.functional.normalize(t, dim=1)
    s = u @ u.T
    own = torch.eye(7, dtype=torch.bool)
    positive = (torch.tensor(labels)[:, None] == torch.tensor(labels)) & ~own
    negative = ~positive & ~own
    if over == "batch":
        positive, negative = positive.triu(), negative.triu()
    logit_p = -80 * (1.4 - s.detach()).clamp_min(0) * (s - 0.6)
    logit_n = 80 * (s.detach() + 0.4).clamp_min(0) * (s - 0.4)
    if over == "batch":
        value = torch.nn.functional.softplus(logit_n[negative].logsumexp(0) + logit_p[positive].logsumexp(0))
    else:
        costs = [
            torch.nn.functional.softplus(logit_n[i][negative[i]].logsumexp(0) + logit_p[i][positive[i]].logsumexp(0))
            for i in range(7)
            if positive[i].any()
        ]
        value = torch.stack(costs).mean()
    value.backward()
    ours, gradients = circle.value_and_grad(z, labels, over=over)
    assert float(ours) == pytest.approx(value.item(), rel=1e-12)
    np.testing.assert_allclose(gradients["z"], t.grad.numpy(), atol=1e-11)


@pytest.mark.crosscheck
def test_against_pytorch_metric_learning():
    torch = pytest.importorskip("torch")
    library = pytest.importorskip("pytorch_metric_learning.losses")
    z, labels = rows_with_singletons(7)
    t = torch.tensor(z, requires_grad=True)
    value = library.CircleLoss(m=0.4, gamma=80)(t, torch.tensor(labels))
    value.backward()
    ours, gradients = circle.value_and_grad(z, labels)
    assert float(ours) == pytest.approx(value.item(), rel=1e-6)
    np.testing.assert_allclose(gradients["z"], t.grad.numpy(), rtol=1e-5, atol=1e-6)
