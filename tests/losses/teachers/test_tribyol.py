from math import sqrt

import numpy as np
import pytest

from mini_repr.autograd import Tensor
from mini_repr.losses.teachers.negative_cosine import negative_cosine
from mini_repr.losses.teachers.tribyol import tribyol


def loops(p1, p2, p3, z1, z2, z3, z1_second, pairs, reduction):
    def distance(p, z):
        dot = sum(float(a) * float(b) for a, b in zip(p, z, strict=True))
        return 2 - 2 * dot / sqrt(sum(float(a) ** 2 for a in p)) / sqrt(sum(float(b) ** 2 for b in z))

    second = z1 if z1_second is None else z1_second
    per_row = []
    for i in range(len(p1)):
        if pairs == "one_way":
            per_row.append(distance(p1[i], z2[i]) + distance(p1[i], z3[i]))
            continue
        total = (distance(p1[i], z2[i]) + distance(p2[i], z1[i])) / 2
        total += (distance(p1[i], z3[i]) + distance(p3[i], second[i])) / 2
        if pairs == "all":
            total += (distance(p2[i], z3[i]) + distance(p3[i], z2[i])) / 2
        per_row.append(total)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](per_row)


def rows_of(count=6, seed=0):
    return np.random.default_rng(seed).standard_normal((count, 5, 3))


def test_each_pair_is_half_of_byol():
    p1, p2, p3, z1, z2, z3 = rows_of()
    byol = [
        float(negative_cosine(*pair, form="squared", views="sum").data) for pair in ((p1, p2, z1, z2), (p1, p3, z1, z3))
    ]
    assert float(tribyol(p1, p2, p3, z1, z2, z3).data) == pytest.approx(sum(byol) / 2, rel=1e-13)


def test_second_teacher_judges_the_third_view_only():
    *arrays, second = rows_of(7)
    _, one = tribyol.value_and_grad(*arrays)
    _, two = tribyol.value_and_grad(*arrays, z1_second=second)
    assert (one["p1"] == two["p1"]).all() and (one["p2"] == two["p2"]).all()
    assert np.abs(one["p3"] - two["p3"]).max() > 0.01
    _, same = tribyol.value_and_grad(*arrays, z1_second=arrays[3])
    assert (same["p3"] == one["p3"]).all()


def test_targets_receive_no_gradient():
    tensors = [Tensor(x, requires_grad=True) for x in rows_of(7)]
    for evaluate in (tribyol, tribyol.definition):
        evaluate(*tensors, pairs="all").backward()
    assert all(t.grad.any() for t in tensors[:3]) and all(t.grad is None for t in tensors[3:])


def test_views_that_predict_nothing_get_zeros():
    _, gradients = tribyol.value_and_grad(*rows_of(), pairs="one_way")
    assert gradients["p1"].any() and not gradients["p2"].any() and not gradients["p3"].any()


def test_zero_rows_have_cosine_zero_and_no_gradient():
    arrays = rows_of()
    arrays[:, 2] = 0
    assert tribyol(*arrays, reduction="none").data[2] == 4.0
    _, gradients = tribyol.value_and_grad(*arrays)
    assert not any(g[2].any() for g in gradients.values())


def test_terms_add_up():
    loss = tribyol(*rows_of())
    assert float(loss.data) == pytest.approx(sum(float(x) for x in loss.terms.values()) / 2, rel=1e-13)
    assert list(loss.terms) == ["p1_to_z2", "p2_to_z1", "p1_to_z3", "p3_to_z1_second"]


def test_zero_rows_in_the_definition():
    arrays = rows_of()
    arrays[:, 2] = 0
    value, gradients = tribyol.value_and_grad(*arrays)
    defined, expected = tribyol.definition_and_grad(*arrays)
    assert float(value) == pytest.approx(float(defined), rel=1e-12)
    for name in gradients:
        np.testing.assert_allclose(gradients[name], expected[name], atol=1e-12)


@pytest.mark.crosscheck
def test_equals_torch():
    torch = pytest.importorskip("torch")
    n = torch.nn.functional.normalize
    ours, gradients = tribyol.value_and_grad(*rows_of(7))
    p1, p2, p3, *targets = (torch.tensor(x, requires_grad=True) for x in rows_of(7))
    z1, z2, z3, other = (n(z.detach()) for z in targets)
    value = (n(p1) - z2).square().sum(1) + (n(p2) - z1).square().sum(1)
    value = (value + (n(p1) - z3).square().sum(1) + (n(p3) - other).square().sum(1)).mean() / 2
    value.backward()
    assert float(ours) == pytest.approx(value.item(), rel=1e-12)
    for name, p in {"p1": p1, "p2": p2, "p3": p3}.items():
        np.testing.assert_allclose(gradients[name], p.grad.numpy(), atol=1e-13)
