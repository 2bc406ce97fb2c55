from math import sqrt

import numpy as np
import pytest

from mini_repr.losses.reconstruction.masked_regression import masked_regression


def loops(prediction, target, mask, norm, normalize_target, over, beta, ddof, eps):
    total, count = 0.0, 0
    for b in range(len(prediction)):
        for p in range(len(prediction[b])):
            if not (mask[b][p] or over == "all"):
                continue
            goal = [float(x) for x in target[b][p]]
            if normalize_target:
                mean = sum(goal) / len(goal)
                variance = sum((x - mean) ** 2 for x in goal) / (len(goal) - ddof)
                goal = [(x - mean) / sqrt(variance + eps) for x in goal]
            patch = 0.0
            for y, x in zip(prediction[b][p], goal, strict=True):
                size = abs(float(y) - x)
                if norm == "l2":
                    patch += size**2
                elif norm == "l1":
                    patch += size
                else:
                    patch += size**2 / (2 * beta) if size < beta else size - beta / 2
            total += patch / len(goal)
            count += 1
    return total / count


def patches(seed=0):
    rng = np.random.default_rng(seed)
    prediction, target = rng.standard_normal((2, 3, 4, 5))
    return prediction, target, rng.permutation(np.arange(12) < 7).reshape(3, 4)


EVERY_NORM = pytest.mark.parametrize("norm", ["l1", "l2", "smooth_l1"])


@EVERY_NORM
def test_visible_patches_have_neither_value_nor_gradient(norm):
    prediction, target, mask = patches()
    value, gradients = masked_regression.value_and_grad(prediction, target, mask, norm=norm)
    assert not gradients["prediction"][~mask].any()
    other = np.where(mask[..., None], prediction, 1e6)
    assert float(masked_regression(other, target, mask, norm=norm).data) == float(value)


def test_all_patches_ignore_the_mask():
    prediction, target, mask = patches()
    value = float(masked_regression(prediction, target, mask, over="all").data)
    assert value == float(masked_regression(prediction, target, np.ones_like(mask)).data)


def test_hidden_patches_weigh_the_same_whatever_their_sample():
    prediction, target, mask = patches()
    mask[0], mask[1], mask[2] = [True] * 4, [True, False, False, False], False
    value, gradients = masked_regression.value_and_grad(prediction, target, mask, normalize_target=False)
    costs = ((prediction - target) ** 2).mean(axis=2)
    assert float(value) == pytest.approx(costs[mask].sum() / 5, rel=1e-13)
    assert not gradients["prediction"][2].any()


def test_single_coloured_patch_becomes_zeros():
    prediction, target, mask = np.zeros((1, 2, 3)), np.full((1, 2, 3), 7.0), np.array([[True, True]])
    value, gradients = masked_regression.value_and_grad(prediction, target, mask)
    assert float(value) == 0 and not gradients["prediction"].any()


def test_zero_prediction_costs_the_normalised_variance():
    """(Q - 1)/Q var/(var + eps): 1 for the biased variance, (Q - 1)/Q for the unbiased one, less what eps takes."""
    _, target, mask = patches()
    zeros = np.zeros_like(target)
    assert float(masked_regression(zeros, target, mask, eps=1e-12).data) == pytest.approx(4 / 5, rel=1e-9)
    assert float(masked_regression(zeros, target, mask, eps=1e-12, ddof=0).data) == pytest.approx(1, rel=1e-9)


@EVERY_NORM
def test_at_the_kink_the_gradient_is_zero(norm):
    """A perfect prediction: the l1 norm's subgradient is 0 there, in page and definition."""
    _, target, mask = patches()
    value, gradients = masked_regression.value_and_grad(target.copy(), target, mask, norm=norm, normalize_target=False)
    _, engine = masked_regression.definition_and_grad(target.copy(), target, mask, norm=norm, normalize_target=False)
    assert float(value) == 0
    assert not gradients["prediction"].any() and not engine["prediction"].any()


def test_too_few_values_for_the_variance_are_refused():
    one = np.zeros((2, 3, 1))
    mask = np.ones((2, 3), dtype=bool)
    with pytest.raises(
        ValueError, match=r"^masked_regression: ddof: got 1, expected less than the 1 values of a patch"
    ):
        masked_regression(one, one, mask)
    assert float(masked_regression(one, one, mask, normalize_target=False).data) == 0


@pytest.mark.crosscheck
@EVERY_NORM
@pytest.mark.parametrize("normalize_target", [True, False])
def test_equals_torch(norm, normalize_target):
    torch = pytest.importorskip("torch")
    prediction, target, mask = patches()
    ours, gradients = masked_regression.value_and_grad(
        prediction, target, mask, norm=norm, normalize_target=normalize_target, beta=0.7
    )
    y, x, hidden = torch.tensor(prediction, requires_grad=True), torch.tensor(target), torch.tensor(mask)
    if normalize_target:
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + 1e-6).sqrt()
    f = torch.nn.functional
    cost = {
        "l1": lambda: f.l1_loss(y, x, reduction="none"),
        "l2": lambda: f.mse_loss(y, x, reduction="none"),
        "smooth_l1": lambda: f.smooth_l1_loss(y, x, reduction="none", beta=0.7),
    }[norm]()
    value = (cost.mean(-1) * hidden).sum() / hidden.sum()
    value.backward()
    assert float(ours) == pytest.approx(value.item(), rel=1e-13)
    np.testing.assert_allclose(gradients["prediction"], y.grad.numpy(), atol=1e-14)
