import numpy as np
import pytest
from scipy.optimize import brentq

from mini_repr.losses.scores.sparsemax import sparsemax


def loops(scores, labels, reduction):
    """The paper's form, with the threshold found as a root: sum of max(z - tau, 0) is 1."""
    per_row = []
    for row, label in zip(scores, labels, strict=True):
        z = [float(s) for s in row]
        tau = brentq(lambda t, z=z: sum(max(s - t, 0.0) for s in z) - 1, min(z) - 1, max(z), xtol=1e-15, rtol=1e-15)
        on_support = sum(s * s - tau * tau for s in z if s > tau)
        per_row.append(-z[label] + 0.5 * on_support + 0.5)
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](per_row)


@pytest.mark.parametrize("margin", np.linspace(-3, 3, 25))
def test_two_classes_give_the_modified_huber_loss(margin):
    value, gradients = sparsemax.value_and_grad(np.array([[0.3 + margin, 0.3]]), np.array([0]))
    huber = 0.0 if margin >= 1 else (1 - margin) ** 2 / 4 if margin > -1 else -margin
    slope = 0.0 if margin >= 1 else -(1 - margin) / 2 if margin > -1 else -1.0
    assert float(value) == pytest.approx(huber, abs=1e-14)
    np.testing.assert_allclose(gradients["scores"], [[slope, -slope]], atol=1e-14)


def test_zero_exactly_when_the_margin_is_one():
    rng = np.random.default_rng(0)
    for gap in (1.0, 1.0 + 1e-6, 1.0 - 1e-6, 3.0):
        scores = rng.standard_normal((20, 5))
        scores[:, 2] = scores[:, [0, 1, 3, 4]].max(axis=1) + gap
        rows = sparsemax(scores, np.full(20, 2), reduction="none").data
        if gap >= 1:
            np.testing.assert_allclose(rows, 0, atol=1e-25)
        else:
            assert (rows > 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_round_off_never_makes_it_negative(dtype):
    rng = np.random.default_rng(1)
    scores = (rng.standard_normal((2000, 6)) * rng.choice([1e-3, 1.0, 1e4], (2000, 1))).astype(dtype)
    scores[::2, 3] = scores[::2].max(axis=1) + 1
    value = sparsemax(scores, rng.integers(0, 6, 2000), reduction="none").data
    assert (value >= 0).all() and np.isfinite(value).all()


def test_gradient_of_each_row_sums_to_zero_and_is_sparse():
    rng = np.random.default_rng(2)
    _, gradients = sparsemax.value_and_grad(3 * rng.standard_normal((8, 10)), np.arange(8))
    np.testing.assert_allclose(gradients["scores"].sum(axis=1), 0, atol=1e-15)
    assert (gradients["scores"] == 0).mean() > 0.5


@pytest.mark.parametrize("scores", [[[0.0, 0.0, 0.0]], [[1.0, 1.0, 0.0]], [[0.5, 0.0, -0.5]], [[1.0, 0.0, 0.0]]])
@pytest.mark.parametrize("label", [0, 1, 2])
def test_ties_and_elements_at_the_threshold(scores, label):
    scores = np.array(scores)
    value, gradients = sparsemax.value_and_grad(scores, np.array([label]))
    defined, engine = sparsemax.definition_and_grad(scores, np.array([label]))
    assert float(value) == pytest.approx(float(defined), abs=1e-15)
    np.testing.assert_allclose(gradients["scores"], engine["scores"], atol=1e-15)


@pytest.mark.crosscheck
def test_equals_torch():
    """Autograd through the Fenchel-Young form max_p p·z - |p|²/2 + 1/2 - z_y, the maximiser held constant (Danskin)."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    scores, labels = rng.standard_normal((7, 6)), np.arange(7) % 6
    ours, gradients = sparsemax.value_and_grad(scores, labels)
    z = torch.tensor(scores, requires_grad=True)
    low, high = z.detach().min(1, keepdim=True)[0] - 1, z.detach().max(1, keepdim=True)[0]
    for _ in range(100):  # bisection for the threshold
        middle = (low + high) / 2
        above = (z.detach() - middle).clamp(min=0).sum(1, keepdim=True) > 1
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    p = (z.detach() - low).clamp(min=0)
    rows = (p * z).sum(1) - 0.5 * (p * p).sum(1) + 0.5 - z[torch.arange(7), torch.tensor(labels)]
    rows.mean().backward()
    assert float(ours) == pytest.approx(rows.mean().item(), rel=1e-12)
    np.testing.assert_allclose(gradients["scores"], z.grad.numpy(), atol=1e-13)
