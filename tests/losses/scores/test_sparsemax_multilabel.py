import numpy as np
import pytest
from scipy.optimize import brentq, minimize

from mini_repr.losses.scores.sparsemax import sparsemax
from mini_repr.losses.scores.sparsemax_multilabel import sparsemax_multilabel


def loops(scores, targets, reduction):
    """The paper's form, with the threshold found as a root: sum of max(z - tau, 0) is 1."""
    per_row = []
    for row, weights in zip(scores, targets, strict=True):
        z = [float(s) for s in row]
        q = [float(w) / sum(map(float, weights)) for w in weights]
        tau = brentq(lambda t, z=z: sum(max(s - t, 0.0) for s in z) - 1, min(z) - 1, max(z), xtol=1e-15, rtol=1e-15)
        fit = sum(share * s for share, s in zip(q, z, strict=True))
        on_support = sum(s * s - tau * tau for s in z if s > tau)
        per_row.append(-fit + 0.5 * on_support + 0.5 * sum(share**2 for share in q))
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](per_row)


def test_is_the_fenchel_young_loss_solved_as_a_quadratic_program():
    """f(z) + |q|²/2 - q·z with f(z) = max p·z - |p|²/2 by a general solver that knows the constraints only."""
    rng = np.random.default_rng(0)
    for _ in range(6):
        z, q = rng.standard_normal(5), rng.dirichlet(np.ones(5))
        solved = minimize(
            lambda p, z=z: 0.5 * (p * p).sum() - (p * z).sum(),
            np.full(5, 0.2),
            bounds=[(0, 1)] * 5,
            constraints={"type": "eq", "fun": lambda p: p.sum() - 1},
            method="SLSQP",
            options={"ftol": 1e-14},
        )
        value, gradients = sparsemax_multilabel.value_and_grad(z[None], q[None])
        assert float(value) == pytest.approx(-solved.fun + 0.5 * (q * q).sum() - (q * z).sum(), abs=1e-9)
        np.testing.assert_allclose(gradients["scores"][0], solved.x - q, atol=1e-6)


def test_one_label_a_row_gives_sparsemax():
    rng = np.random.default_rng(1)
    scores, labels = 2 * rng.standard_normal((9, 5)), rng.integers(0, 5, 9)
    one, one_gradients = sparsemax.value_and_grad(scores, labels)
    several, gradients = sparsemax_multilabel.value_and_grad(scores, 3.0 * np.eye(5)[labels])
    assert float(several) == pytest.approx(float(one), rel=1e-14)
    np.testing.assert_allclose(gradients["scores"], one_gradients["scores"], atol=1e-15)


def test_any_distribution_is_reached():
    """Scores equal to a distribution project on it: loss and gradient are 0, whichever labels have no share."""
    rng = np.random.default_rng(2)
    q = rng.dirichlet(np.full(6, 0.3), 20) * (rng.random((20, 6)) < 0.8)
    q[:, 0] += 0.1
    q /= q.sum(axis=1, keepdims=True)
    value, gradients = sparsemax_multilabel.value_and_grad(q + rng.standard_normal((20, 1)), q)
    assert float(value) == pytest.approx(0, abs=1e-25)
    np.testing.assert_allclose(gradients["scores"], 0, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_round_off_never_makes_it_negative(dtype):
    rng = np.random.default_rng(3)
    scores = (rng.standard_normal((2000, 6)) * rng.choice([1e-3, 1.0, 1e4], (2000, 1))).astype(dtype)
    targets = rng.dirichlet(np.ones(6), 2000).astype(dtype)
    scores[::2] = targets[::2] + 3
    rows = sparsemax_multilabel(scores, targets, reduction="none").data
    assert (rows >= 0).all() and np.isfinite(rows).all()


@pytest.mark.parametrize(
    "row, came",
    [([0.0, 0.0, 0.0], "a row of zeros"), ([1.0, -0.5, 0.0], "a negative number"), ([1, 0, 1], "dtype int")],
)
def test_targets_that_are_no_proportions_are_refused(row, came):
    with pytest.raises(ValueError, match=f"^sparsemax_multilabel: targets: got {came}"):
        sparsemax_multilabel(np.ones((2, 3)), np.array([[1, 1, 0], row], dtype=np.asarray(row).dtype))


@pytest.mark.crosscheck
def test_equals_torch():
    """Autograd through the Fenchel-Young form, the maximiser found by bisection and held constant (Danskin)."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(4)
    scores, marks = rng.standard_normal((7, 6)), (rng.random((7, 6)) < 0.5).astype(float)
    marks[:, 1] = 1
    ours, gradients = sparsemax_multilabel.value_and_grad(scores, marks)
    z = torch.tensor(scores, requires_grad=True)
    low, high = z.detach().min(1, keepdim=True)[0] - 1, z.detach().max(1, keepdim=True)[0]
    for _ in range(100):
        middle = (low + high) / 2
        above = (z.detach() - middle).clamp(min=0).sum(1, keepdim=True) > 1
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    p = (z.detach() - low).clamp(min=0)
    q = torch.tensor(marks / marks.sum(1, keepdims=True))
    rows = (p * z).sum(1) - 0.5 * (p * p).sum(1) + 0.5 * (q * q).sum(1) - (q * z).sum(1)
    rows.mean().backward()
    assert float(ours) == pytest.approx(rows.mean().item(), rel=1e-12)
    np.testing.assert_allclose(gradients["scores"], z.grad.numpy(), atol=1e-13)
