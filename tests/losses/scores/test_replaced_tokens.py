from math import exp, log

import numpy as np
import pytest

from mini_repr.losses.scores.replaced_tokens import replaced_tokens


def loops(scores, replaced, mask):
    costs = []
    for row, changed, words in zip(scores, replaced, mask, strict=True):
        for z, is_replaced, is_word in zip(row, changed, words, strict=True):
            if is_word:
                p = 1 / (1 + exp(-z))
                costs.append(-log(p if is_replaced else 1 - p))
    return sum(costs) / len(costs)


def test_padding_costs_nothing_and_large_scores_are_finite():
    scores = np.array([[1e4, -3.0, 7.0], [-1e4, 0.0, np.float64(2.0)]])
    replaced, mask = np.array([[False, True, True], [True, False, False]]), np.array([[True, True, False]] * 2)
    value, gradients = replaced_tokens.value_and_grad(scores, replaced, mask)
    other, _ = replaced_tokens.value_and_grad(np.where(mask, scores, 55.0), replaced & mask, mask)
    assert float(value) == float(other) and np.isfinite(value)
    assert not gradients["scores"][~mask].any() and gradients["scores"][0, 0] == 0.25


@pytest.mark.crosscheck
def test_equals_torch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    scores, replaced, mask = rng.standard_normal((3, 5)), rng.random((3, 5)) < 0.4, rng.random((3, 5)) < 0.7
    z = torch.tensor(scores, requires_grad=True)
    costs = torch.nn.functional.binary_cross_entropy_with_logits(
        z, torch.tensor(replaced).double(), weight=torch.tensor(mask).double(), reduction="sum"
    )
    (costs / int(mask.sum())).backward()
    value, gradients = replaced_tokens.value_and_grad(scores, replaced, mask)
    assert float(value) == pytest.approx(costs.item() / mask.sum(), rel=1e-13)
    np.testing.assert_allclose(gradients["scores"], z.grad.numpy(), atol=1e-15)
