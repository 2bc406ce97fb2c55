from math import sqrt

import numpy as np
import pytest

from mini_repr.autograd import Tensor
from mini_repr.losses.embeddings.flops import flops, soft_threshold


def loops(z, form, normalize):
    total = 0.0
    norms = [sqrt(sum(float(c) ** 2 for c in row)) if normalize else 1.0 for row in z]
    for j in range(len(z[0])):
        mean = sum(abs(float(row[j])) / norm for row, norm in zip(z, norms, strict=True)) / len(z)
        total += mean**2 if form == "flops" else mean
    return total


def test_the_slope_is_steepest_where_a_dimension_is_used_most():
    z = np.tile([1.0, 2.0, 3.0, 4.0], (8, 1))
    _, gradients = flops.value_and_grad(z)
    assert (np.diff(gradients["z"][0]) > 0).all()
    _, gradients = flops.value_and_grad(z, form="l1")
    np.testing.assert_allclose(gradients["z"], 1 / 8)


def test_zeros_stay_zeros():
    z = np.random.default_rng(1).standard_normal((5, 4))
    z[:, 2], z[3] = 0, 0
    for normalize in (False, True):
        _, gradients = flops.value_and_grad(z, normalize=normalize)
        assert np.isfinite(gradients["z"]).all()
        assert not gradients["z"][:, 2].any() and not gradients["z"][3].any()
    value, gradients = flops.value_and_grad(np.zeros((3, 2)), normalize=True)
    assert float(value) == 0 and not gradients["z"].any()


def test_bounded_by_the_l1_norm():
    """(sum_j m_j)² / D <= sum_j m_j² <= (sum_j m_j)²: the left where dimensions are used equally."""
    z = np.random.default_rng(2).standard_normal((9, 6))
    value, lasso = (float(flops(z, form=form).data) for form in ("flops", "l1"))
    assert lasso**2 / 6 <= value <= lasso**2


def test_soft_threshold_gives_exact_zeros_and_a_gradient_elsewhere():
    x = Tensor(np.array([-2.0, -0.5, 0.0, 0.4, 3.0]), requires_grad=True)
    y = soft_threshold(x, 0.5)
    np.testing.assert_array_equal(y.data, [-1.5, 0, 0, 0, 2.5])
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [1, 0, 0, 0, 1])


@pytest.mark.crosscheck
@pytest.mark.parametrize("form", ["flops", "l1"])
@pytest.mark.parametrize("normalize", [True, False])
def test_equals_torch(form, normalize):
    torch = pytest.importorskip("torch")
    z = np.random.default_rng(3).standard_normal((7, 5))
    t = torch.tensor(z, requires_grad=True)
    u = torch.nn.functional.normalize(t, dim=1) if normalize else t
    expected = u.abs().mean(0).pow(2).sum() if form == "flops" else u.abs().sum(1).mean()
    expected.backward()
    value, gradients = flops.value_and_grad(z, form=form, normalize=normalize)
    assert float(value) == pytest.approx(expected.item(), rel=1e-13)
    np.testing.assert_allclose(gradients["z"], t.grad.numpy(), atol=1e-14)
