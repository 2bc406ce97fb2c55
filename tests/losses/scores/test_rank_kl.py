from math import exp, log

import numpy as np
import pytest
from scipy.stats import rankdata

from mini_repr.losses.scores.rank_kl import rank_kl


def loops(scores, similarity, temperature, reduction):
    n = len(scores)
    asked = [(sum(x < y for x in similarity) + (sum(x == y for x in similarity) - 1) / 2) / (n - 1) for y in similarity]
    total_t, total_p = (sum(exp(x / temperature) for x in row) for row in (asked, scores))
    value = 0.0
    for r, s in zip(asked, scores, strict=True):
        t, p = exp(r / temperature) / total_t, exp(s / temperature) / total_p
        value += t * log(t / p)
    return value / n if reduction == "mean" else value


def test_equal_similarities_share_their_ranks():
    scores = np.array([0.9, 0.1, 0.3, 0.4])
    _, gradients = rank_kl.value_and_grad(scores, np.array([3.0, 1.0, 1.0, 1.0]))
    _, again = rank_kl.value_and_grad(scores, np.array([5.0, 0.0, 0.0, 0.0]))
    np.testing.assert_array_equal(gradients["scores"], again["scores"])
    value, _ = rank_kl.value_and_grad(np.array([1.0, 0.5, 0.5, 0.0]), np.array([3.0, 1.0, 1.0, -1.0]))
    assert float(value) == pytest.approx(0, abs=1e-14)  # evenly spaced, the two in the middle equal


@pytest.mark.crosscheck
def test_equals_the_official_code():
    """The lines of TencentCloudADP/youtu-embedding, training/CoDiEmb/train/loss.py, RankKLDivergenceLoss."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    scores, similarity = rng.standard_normal(9), rng.integers(0, 4, 9).astype(float)
    x = torch.tensor(scores, requires_grad=True)
    ranks = torch.from_numpy(rankdata(-similarity, method="average") - 1)
    truth = torch.softmax((8 - ranks) / 8 / 0.05, dim=0)
    theirs = torch.nn.functional.kl_div(torch.log_softmax(x / 0.05, dim=0), truth, reduction="batchmean")
    theirs.backward()
    value, gradients = rank_kl.value_and_grad(scores, similarity)
    assert float(value) == pytest.approx(theirs.item(), rel=1e-12)
    np.testing.assert_allclose(gradients["scores"], x.grad.numpy(), atol=1e-13)
