from math import exp, log

import numpy as np
import pytest

from mini_repr.losses.scores.pro import pro


def loops(scores, similarity, temperature):
    terms = []
    for s_k, y_k in zip(scores, similarity, strict=True):
        lower = [(y_k - y, s) for s, y in zip(scores, similarity, strict=True) if y_k - y > 1e-8]
        if lower:
            own = exp(max(w for w, _ in lower) * s_k / temperature)
            terms.append(-log(own / (own + sum(exp(w * s / temperature) for w, s in lower))))
    return sum(terms) / len(terms) if terms else 0.0


def test_scores_of_any_size_are_finite_and_equal_similarities_do_not_pull():
    scores, similarity = np.array([1e3, -1e3, 0.5, 0.2], dtype=np.float32), np.float32([0.0, 5.0, 5.0, 5.0])
    value, gradients = pro.value_and_grad(scores, similarity)
    assert np.isfinite(value) and value > 0 and gradients["scores"][0] > 0 > gradients["scores"][1]
    _, gradients = pro.value_and_grad(scores, 0 * similarity)
    assert not gradients["scores"].any()


@pytest.mark.crosscheck
def test_equals_the_official_code():
    """The lines of TencentCloudADP/youtu-embedding, training/CoDiEmb/train/loss.py, PROLoss."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    scores, similarity = rng.standard_normal(9), rng.integers(0, 4, 9).astype(float)
    x, y = torch.tensor(scores, requires_grad=True), torch.tensor(similarity)
    order = torch.argsort(y, descending=True)
    y_sorted, x_sorted = y[order], (x / 0.05)[order]
    count, total = 0, 0.0
    for k in range(len(y) - 1):
        mask = (y_sorted[k] - y_sorted[k + 1 :]) > 1e-8
        if mask.any():
            weights = y_sorted[k] - y_sorted[k + 1 :][mask]
            logits = torch.cat([(x_sorted[k] * weights.max()).unsqueeze(0), x_sorted[k + 1 :][mask] * weights])
            total = total + torch.log_softmax(logits, dim=0)[0]
            count += 1
    theirs = -total / count
    theirs.backward()
    value, gradients = pro.value_and_grad(scores, similarity)
    assert float(value) == pytest.approx(theirs.item(), rel=1e-12)
    np.testing.assert_allclose(gradients["scores"], x.grad.numpy(), atol=1e-12)
