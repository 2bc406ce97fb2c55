from math import sqrt

import numpy as np
import pytest

from mini_repr.autograd import Tensor
from mini_repr.losses.teachers.negative_cosine import negative_cosine


def loops(p1, p2, z1, z2, form, views, reduction):
    def distance(p, z):
        dot = sum(float(a) * float(b) for a, b in zip(p, z, strict=True))
        cosine = dot / sqrt(sum(float(a) ** 2 for a in p)) / sqrt(sum(float(b) ** 2 for b in z))
        return -cosine if form == "cosine" else 2 - 2 * cosine

    per_row = []
    for i in range(len(p1)):
        both = distance(p1[i], z2[i]) + distance(p2[i], z1[i])
        per_row.append(both / 2 if views == "mean" else both)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](per_row)


def views_of(seed=0):
    return np.random.default_rng(seed).standard_normal((4, 5, 3))


def test_targets_receive_no_gradient():
    p1, p2, z1, z2 = (Tensor(x, requires_grad=True) for x in views_of())
    for evaluate in (negative_cosine, negative_cosine.definition):
        evaluate(p1, p2, z1, z2).backward()
    assert z1.grad is None and z2.grad is None
    assert p1.grad.any() and p2.grad.any()
    _, gradients = negative_cosine.value_and_grad(*views_of())
    assert list(gradients) == ["p1", "p2"]


def test_byol_is_four_times_the_gradient_of_simsiam():
    value, gradients = negative_cosine.value_and_grad(*views_of())
    byol, larger = negative_cosine.value_and_grad(*views_of(), form="squared", views="sum")
    assert float(byol) == pytest.approx(4 + 4 * float(value), rel=1e-13)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(larger[name], 4 * gradient, rtol=1e-13)


def test_one_direction_is_its_pair_given_twice():
    p, _, z, _ = views_of()
    t = Tensor(p, requires_grad=True)
    loss = negative_cosine(t, t, z, z)
    loss.backward()
    u, v = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (p, z))
    assert float(loss.data) == pytest.approx(-(u * v).sum(axis=1).mean(), rel=1e-13)
    expected = -(v - u * (u * v).sum(axis=1, keepdims=True)) / np.linalg.norm(p, axis=1, keepdims=True) / 5
    np.testing.assert_allclose(t.grad, expected, atol=1e-15)


def test_exchanging_the_views_changes_nothing():
    p1, p2, z1, z2 = views_of()
    assert float(negative_cosine(p2, p1, z2, z1).data) == float(negative_cosine(p1, p2, z1, z2).data)


def test_terms_are_the_two_directions():
    loss = negative_cosine(*views_of())
    assert float(loss.data) == pytest.approx(sum(float(x) for x in loss.terms.values()) / 2, rel=1e-13)
    assert set(loss.terms) == {"p1_to_z2", "p2_to_z1"}


@pytest.mark.parametrize("form, cost", [("cosine", 0.0), ("squared", 2.0)])
def test_zero_rows_have_cosine_zero_and_no_gradient(form, cost):
    p1, p2, z1, z2 = views_of()
    p1[2] = p2[2] = z1[3] = z2[3] = 0
    rows = negative_cosine(p1, p2, z1, z2, form=form, reduction="none").data
    assert rows[2] == rows[3] == cost
    _, gradients = negative_cosine.value_and_grad(p1, p2, z1, z2, form=form)
    for gradient in gradients.values():
        assert not gradient[2:4].any() and np.isfinite(gradient).all()


@pytest.mark.crosscheck
@pytest.mark.parametrize("byol", [False, True])
def test_equals_torch(byol):
    torch = pytest.importorskip("torch")
    settings = dict(form="squared", views="sum") if byol else {}
    ours, gradients = negative_cosine.value_and_grad(*views_of(), **settings)
    p1, p2, z1, z2 = (torch.tensor(x, requires_grad=True) for x in views_of())
    if byol:
        n = torch.nn.functional.normalize
        value = ((n(p1) - n(z2.detach())) ** 2).sum(1).mean() + ((n(p2) - n(z1.detach())) ** 2).sum(1).mean()
    else:
        cosine = torch.nn.functional.cosine_similarity
        value = -(cosine(p1, z2.detach()).mean() + cosine(p2, z1.detach()).mean()) / 2
    value.backward()
    assert float(ours) == pytest.approx(value.item(), rel=1e-12)
    np.testing.assert_allclose(gradients["p1"], p1.grad.numpy(), atol=1e-13)
    np.testing.assert_allclose(gradients["p2"], p2.grad.numpy(), atol=1e-13)
