import numpy as np
import pytest
from scipy.optimize import brentq, minimize

from mini_repr.autograd import Tensor, gradcheck, no_grad, sparsemax


def project(row):
    """The nearest point of the simplex, by the root of its threshold."""
    tau = brentq(lambda t: np.maximum(row - t, 0).sum() - 1, row.min() - 2, row.max(), xtol=1e-15, rtol=1e-15)
    return np.maximum(row - tau, 0)


@pytest.mark.parametrize("scale", [1e-3, 0.3, 1.0, 10.0])
@pytest.mark.parametrize("shape", [(1,), (6,), (4, 9), (2, 3, 5), (50, 1), (40, 2)])
def test_is_the_projection_on_the_simplex(shape, scale):
    x = scale * np.random.default_rng(0).standard_normal(shape)
    p = sparsemax(x).data
    assert p.shape == shape and (p >= 0).all()
    np.testing.assert_allclose(p.sum(axis=-1), 1, rtol=1e-14)
    rows = [project(row) for row in x.reshape(-1, shape[-1])]
    np.testing.assert_allclose(p.reshape(-1, shape[-1]), rows, atol=1e-13)


def test_solves_the_quadratic_program():
    """Against a general solver that knows the constraints only."""
    for x in np.random.default_rng(1).standard_normal((5, 4)):
        solved = minimize(
            lambda p, x=x: ((p - x) ** 2).sum(),
            np.full(4, 0.25),
            bounds=[(0, 1)] * 4,
            constraints={"type": "eq", "fun": lambda p: p.sum() - 1},
            method="SLSQP",
            options={"ftol": 1e-14},
        )
        np.testing.assert_allclose(sparsemax(x).data, solved.x, atol=1e-6)


def test_gradient_equals_differences():
    rng = np.random.default_rng(2)
    x, weights = rng.standard_normal((2, 6, 5))
    t = Tensor(x, requires_grad=True)
    (sparsemax(t) * weights).sum().backward()
    gradcheck(lambda x: (sparsemax(x).data * weights).sum(), [x], [t.grad], rng, step=1e-5)
    np.testing.assert_allclose(t.grad.sum(axis=-1), 0, atol=1e-14)
    assert not t.grad[sparsemax(x).data == 0].any()


def test_gradient_equals_the_complex_step():
    rng = np.random.default_rng(3)
    x, weights, direction = rng.standard_normal((3, 6, 5))
    t = Tensor(x, requires_grad=True)
    (sparsemax(t) * weights).sum().backward()
    with no_grad():
        stepped = (sparsemax(x + 1e-30j * direction).data * weights).sum()
    assert stepped.imag / 1e-30 == pytest.approx((t.grad * direction).sum(), rel=1e-12)
    assert stepped.real == pytest.approx((sparsemax(x).data * weights).sum(), rel=1e-14)


@pytest.mark.parametrize(
    "x, p",
    [
        ([0.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]),
        ([2.0, 2.0, 0.0], [0.5, 0.5, 0.0]),
        ([1.0, 0.0, 0.0], [1.0, 0.0, 0.0]),  # the others lie at the threshold: outside the support
        ([1.5, 0.5, 0.0], [1.0, 0.0, 0.0]),
        ([1e8, 0.0, -1e8], [1.0, 0.0, 0.0]),
        ([0.6, 0.2, 0.2], [0.6, 0.2, 0.2]),  # a point of the simplex stays
    ],
)
def test_ties_and_thresholds(x, p):
    t = Tensor(np.array(x), requires_grad=True)
    output = sparsemax(t)
    np.testing.assert_allclose(output.data, p, atol=1e-15)
    output.backward(np.arange(1.0, len(p) + 1))
    inside = np.array(p) > 0
    g = np.arange(1.0, len(p) + 1)
    np.testing.assert_allclose(t.grad, np.where(inside, g - g[inside].mean(), 0), atol=1e-14)


def test_ties_at_round_off_stay_equal():
    """Thirds do not add up exactly; equal elements must come out equal, and as a distribution."""
    for size in range(2, 40):
        for value in (0.1, 1 / 3, 123.456):
            p = sparsemax(np.full(size, value)).data
            assert (p == p[0]).all() and p.sum() == pytest.approx(1, rel=1e-14)


def test_float32_stays_float32():
    x = np.random.default_rng(4).standard_normal((5, 7)).astype(np.float32)
    t = Tensor(x, requires_grad=True)
    output = sparsemax(t)
    output.backward(x)
    assert output.dtype == np.float32 and t.grad.dtype == np.float32
    np.testing.assert_allclose(output.data, sparsemax(x.astype(np.float64)).data, atol=1e-6)
