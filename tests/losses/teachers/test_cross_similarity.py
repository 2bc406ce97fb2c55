from math import exp, log1p, sqrt

import numpy as np
import pytest

from mini_repr.autograd import Tensor
from mini_repr.losses.teachers.cross_similarity import cross_similarity
from mini_repr.losses.teachers.negative_cosine import negative_cosine


def loops(p1, p2, z1, z2, form, threshold, weight, reduction):
    def dot(x, y):
        return sum(float(a) * float(b) for a, b in zip(x, y, strict=True))

    def cosine(x, y):
        return dot(x, y) / sqrt(dot(x, x) * dot(y, y))

    def direction(p, z, i):
        costs = []
        for j in range(len(z)):
            if form == "cosine" and j != i and cosine(p[i], z[j]) >= threshold:
                costs.append(2 - 2 * cosine(p[i], z[j]))
            if form == "sigmoid" and j != i and 1 / (1 + exp(-dot(p[i], z[j]))) >= threshold:
                costs.append(log1p(exp(-dot(p[i], z[j]))))
        return 2 - 2 * cosine(p[i], z[i]) + (weight * sum(costs) / len(costs) if costs else 0.0)

    per_row = [direction(p1, z2, i) + direction(p2, z1, i) for i in range(len(p1))]
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](per_row)


def views_of(seed=0):
    return np.random.default_rng(seed).standard_normal((4, 7, 3))


@pytest.mark.parametrize("settings", [{"weight": 0.0}, {"threshold": 1.0}])
def test_without_similar_pairs_it_is_byol(settings):
    value, gradients = cross_similarity.value_and_grad(*views_of(), **settings)
    expected, others = negative_cosine.value_and_grad(*views_of(), form="squared", views="sum")
    assert float(value) == pytest.approx(float(expected), rel=1e-13)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, others[name], atol=1e-13)


@pytest.mark.parametrize("form", ["cosine", "sigmoid"])
def test_terms_make_the_loss(form):
    loss = cross_similarity(*views_of(), form=form, threshold=0.6, weight=0.3)
    terms = {name: float(x) for name, x in loss.terms.items()}
    assert float(loss.data) == pytest.approx(terms["byol"] + 0.3 * terms["similar"], rel=1e-13)
    assert 0 < terms["share"] < 1


def test_a_similar_row_is_approached():
    p1, p2, z1, z2 = views_of()
    z2[1] = p1[0] + 0.3 * z2[1]
    p = Tensor(p1, requires_grad=True)
    cosines = []
    for weight in (0.0, 1.0):
        p.grad = None
        cross_similarity(p, p2, z1, z2, weight=weight, threshold=0.9).backward()
        moved = p1[0] - 0.01 * p.grad[0]
        cosines.append(moved @ z2[1] / np.linalg.norm(moved) / np.linalg.norm(z2[1]))
    assert cosines[1] > cosines[0]


def test_targets_receive_no_gradient():
    p1, p2, z1, z2 = (Tensor(x, requires_grad=True) for x in views_of())
    for evaluate in (cross_similarity, cross_similarity.definition):
        evaluate(p1, p2, z1, z2, form="sigmoid").backward()
    assert z1.grad is None and z2.grad is None and p1.grad.any() and p2.grad.any()


def test_collapsed_rows_are_all_similar():
    row = np.ones((4, 5, 3))
    loss = cross_similarity(*row, threshold=0.9)
    assert float(loss.terms["share"]) == 1.0 and float(loss.data) == pytest.approx(0, abs=1e-14)


def test_zero_rows_are_finite():
    views = views_of()
    views[:, 2] = 0
    assert cross_similarity(*views, reduction="none", threshold=1.0).data[2] == 4.0
    for form in ("cosine", "sigmoid"):
        _, gradients = cross_similarity.value_and_grad(*views, form=form, threshold=0.0)
        assert all(np.isfinite(g).all() for g in gradients.values())
        assert form == "sigmoid" or not any(g[2].any() for g in gradients.values())


def test_large_dot_products_do_not_overflow_in_float32():
    views = (100 * views_of()).astype(np.float32)
    value, gradients = cross_similarity.value_and_grad(*views, form="sigmoid", threshold=0.0)
    assert np.isfinite(value) and all(np.isfinite(g).all() for g in gradients.values())


@pytest.mark.crosscheck
@pytest.mark.parametrize("form", ["cosine", "sigmoid"])
def test_equals_torch(form):
    torch = pytest.importorskip("torch")
    n = torch.nn.functional.normalize
    ours, gradients = cross_similarity.value_and_grad(*views_of(), form=form, threshold=0.7)
    p1, p2, z1, z2 = (torch.tensor(x, requires_grad=True) for x in views_of())

    def direction(p, z):
        cosine, products = n(p) @ n(z).T, p @ z.T
        score = (cosine if form == "cosine" else products.sigmoid()).detach().clone().fill_diagonal_(-1)
        similar = (score >= 0.7).double()
        cost = 2 - 2 * cosine if form == "cosine" else -products.sigmoid().log()
        return (2 - 2 * cosine.diagonal() + (similar * cost).sum(1) / similar.sum(1).clamp(min=1)).mean()

    value = direction(p1, z2.detach()) + direction(p2, z1.detach())
    value.backward()
    assert float(ours) == pytest.approx(value.item(), rel=1e-12)
    np.testing.assert_allclose(gradients["p1"], p1.grad.numpy(), atol=1e-13)
    np.testing.assert_allclose(gradients["p2"], p2.grad.numpy(), atol=1e-13)
