import numpy as np
import pytest
from device_double import DOUBLE

from mini_repr.autograd import Tensor
from mini_repr.optim.multi_objective import for_two_losses, min_norm_weight


def gradients(seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal((2, 4, 3)).astype(dtype)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("scale", [1.0, 0.05])
def test_no_weight_on_a_grid_gives_a_shorter_vector(seed, scale):
    g1, g2 = gradients(seed)
    g1 *= scale
    weight = float(min_norm_weight(g1, g2))
    assert weight == pytest.approx(min_norm_weight.definition(g1, g2), abs=1e-12)
    lengths = [((a * g1 + (1 - a) * g2) ** 2).sum() for a in np.linspace(0, 1, 1001)]
    shortest = ((weight * g1 + (1 - weight) * g2) ** 2).sum()
    assert 0 <= weight <= 1 and shortest <= min(lengths) + 1e-12


def test_the_step_serves_both_losses():
    for seed in range(8):
        g1, g2 = gradients(seed)
        a = min_norm_weight(g1, g2)
        g = a * g1 + (1 - a) * g2
        assert (g * g1).sum() >= (g * g).sum() - 1e-12 and (g * g2).sum() >= (g * g).sum() - 1e-12


def test_equal_opposite_orthogonal_and_short_gradients():
    g1, _ = gradients()
    assert min_norm_weight(g1, g1) == 0.5
    assert min_norm_weight(g1, -g1) == pytest.approx(0.5)
    one, other = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    assert min_norm_weight(one, other) == 0.5
    assert min_norm_weight(0.1 * g1, g1) == 1 and min_norm_weight(g1, 0.1 * g1) == 0
    assert min_norm_weight(g1.astype(np.float32), 2 * g1.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("asarray", [np.asarray, DOUBLE.asarray], ids=["host", "device"])
def test_rows_for_two_losses_receive_the_shortest_vector_and_heads_their_own(asarray):
    g1, g2 = (asarray(g) for g in gradients())
    rows, heads = Tensor(asarray(np.ones((4, 3))), True), [Tensor(asarray(np.ones((4, 3))), True) for _ in range(2)]
    weight = asarray(np.zeros(()))
    sides = for_two_losses(rows, weight=weight)
    sum((side * head * g).sum() for side, head, g in zip(sides, heads, (g1, g2), strict=True)).backward()
    a = DOUBLE.to_numpy(min_norm_weight(g1, g2))
    host = [DOUBLE.to_numpy(g) for g in (g1, g2)]
    np.testing.assert_allclose(DOUBLE.to_numpy(rows.grad), a * host[0] + (1 - a) * host[1], rtol=1e-12)
    assert DOUBLE.to_numpy(weight) == pytest.approx(a)
    for head, own in zip(heads, host, strict=True):
        np.testing.assert_array_equal(DOUBLE.to_numpy(head.grad), own)


@pytest.mark.parametrize("used", [0, 1])
def test_one_loss_alone_is_followed(used):
    rows, weight = Tensor(np.ones((2, 2)), True), np.zeros(())
    (3 * for_two_losses(rows, weight=weight)[used]).sum().backward()
    np.testing.assert_array_equal(rows.grad, np.full((2, 2), 3.0))
    assert weight == 1 - used


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("scale", [1.0, 0.05, 20.0])
def test_equals_the_public_solver(seed, scale):
    """_min_norm_element_from2 of isl-org/MultiObjectiveOptimization, whose ends are 0.001 and 0.999."""
    g1, g2 = gradients(seed)
    g1 *= scale
    v11, v12, v22 = (g1 * g1).sum(), (g1 * g2).sum(), (g2 * g2).sum()
    if v12 >= v11:
        expected = 0.999
    elif v12 >= v22:
        expected = 0.001
    else:
        expected = -1.0 * ((v12 - v22) / (v11 + v22 - 2 * v12))
    found = float(min_norm_weight(g1, g2))
    assert found == pytest.approx({0.001: 0, 0.999: 1}.get(expected, expected), abs=1e-12)
