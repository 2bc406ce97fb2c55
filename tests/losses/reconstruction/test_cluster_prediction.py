"""What cluster_prediction alone promises: naive loops, no cluster for a place, assignments that add up, torch."""

import math

import numpy as np
import pytest

from mini_repr.losses.reconstruction.cluster_prediction import cluster_prediction, sinkhorn
from mini_repr.metrics import position_information


def loops(prediction, assignment, mask, temperature, target_temperature, iterations, over="position"):
    images, positions, clusters = prediction.shape
    shared = np.exp(assignment / target_temperature)
    for _ in range(iterations):
        for k in range(clusters):
            sums = [sum(shared[b, p, k] for b in range(images)) for p in range(positions)]
            for p in range(positions):
                shared[:, p, k] /= sums[p] if over == "position" else sum(sums)
        for b in range(images):
            for p in range(positions):
                shared[b, p] /= sum(shared[b, p])
    total = 0.0
    for b, p in zip(*np.nonzero(mask), strict=True):
        y = prediction[b, p] / temperature
        log_sum = math.log(sum(math.exp(one) for one in y))
        total -= sum(shared[b, p, k] * (y[k] - log_sum) for k in range(clusters))
    return total / mask.sum()


def drawn(seed=0, images=6, positions=4, clusters=3):
    rng = np.random.default_rng(seed)
    prediction, assignment = rng.standard_normal((2, images, positions, clusters)) / 4
    return prediction, assignment, rng.random((images, positions)) < 0.6


def test_against_loops():
    y, t, mask = drawn()
    value, gradients = cluster_prediction.value_and_grad(y, t, mask)
    assert float(value) == pytest.approx(loops(y, t, mask, 0.12, 0.06, 3), rel=1e-12)
    assert not gradients["prediction"][~mask].any()
    np.testing.assert_allclose(gradients["prediction"].sum(axis=-1), 0, atol=1e-12)


def test_what_a_place_prefers_falls_out_at_that_place_and_not_over_all():
    """Any constant of a position and a cluster goes with the first division over images."""
    y, t, mask = drawn(1)
    preference = np.random.default_rng(2).standard_normal((1, 4, 3)) / 4
    for over, same in (("position", True), ("all", False)):
        values = [float(cluster_prediction(y, one, mask, over=over).data) for one in (t, t + preference)]
        assert (abs(values[0] - values[1]) < 1e-12) is same


def test_assignments_add_up_and_say_nothing_of_the_place():
    rng = np.random.default_rng(3)
    t = (rng.standard_normal((48, 6, 4)) + 2 * rng.standard_normal((1, 6, 4))) / 2
    for over in ("position", "all"):
        shared = sinkhorn(t, 200, over)
        np.testing.assert_allclose(shared.sum(axis=-1), 1, atol=1e-12)
        columns = shared.sum(axis=0) if over == "position" else shared.mean(axis=1).sum(axis=0)
        np.testing.assert_allclose(columns, 48 / 4, rtol=1e-6)
    assert position_information(np.eye(4)[np.arange(24).reshape(6, 4) % 4]) == pytest.approx(math.log(4))
    same = np.eye(4)[np.tile(np.arange(4)[:, None], (1, 6))]
    assert position_information(same) == pytest.approx(0, abs=1e-12)


def test_far_logits_neither_overflow_nor_vanish():
    y, t, mask = drawn(4)
    t[0] -= 500
    value = cluster_prediction(np.float32(y), np.float32(100 * t), mask).data
    assert np.isfinite(value)


@pytest.mark.crosscheck
@pytest.mark.parametrize("over", ["position", "all"])
@pytest.mark.parametrize("eps, tolerance", [(0.0, 1e-12), (1e-8, 1e-5)])
def test_against_torch_as_the_official_code_has_it(over, eps, tolerance):
    """It adds 1e-8 to every sum, which a row that no cluster prefers feels."""
    torch = pytest.importorskip("torch")
    y, t, mask = drawn(5)
    full = torch.tensor(y, requires_grad=True)
    m = torch.tensor(t / 0.06)
    m = m.transpose(0, 1) if over == "position" else m.flatten(0, 1)
    m = (m + 50 - m.max(dim=-2, keepdim=True).values).exp()
    for _ in range(3):
        m = m / (m.sum(dim=-2, keepdim=True) + eps)
        m = m / (m.sum(dim=-1, keepdim=True) + eps)
    target = m.transpose(0, 1) if over == "position" else m.reshape(full.shape)
    each = -(target * torch.log_softmax(full / 0.12, dim=-1)).sum(-1)
    expected = each[torch.tensor(mask)].mean()
    expected.backward()
    value, gradients = cluster_prediction.value_and_grad(y, t, mask, over=over)
    assert float(value) == pytest.approx(expected.item(), rel=tolerance)
    np.testing.assert_allclose(gradients["prediction"], full.grad.numpy(), atol=tolerance)
