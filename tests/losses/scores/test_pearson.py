import numpy as np
import pytest

from mini_repr.losses.scores.pearson import pearson


def loops(scores, similarity):
    n = len(scores)
    mean_s, mean_y = sum(scores) / n, sum(similarity) / n
    product = sum((s - mean_s) * (y - mean_y) for s, y in zip(scores, similarity, strict=True))
    sizes = [sum((x - m) ** 2 for x in row) for row, m in ((scores, mean_s), (similarity, mean_y))]
    return 1 - product / (sizes[0] * sizes[1]) ** 0.5


@pytest.mark.parametrize("scores, similarity", [([0.1] * 3, [1.0, 2.0, 0.0]), ([0.3, 0.2, 0.7], [0.1] * 3)])
def test_what_is_constant_has_no_gradient(scores, similarity):
    for dtype in (np.float32, np.float64):
        value, gradients = pearson.value_and_grad(np.array(scores, dtype), np.array(similarity, dtype))
        assert not gradients["scores"].any() and float(value) == float(similarity[0] != similarity[1])


def test_gradient_keeps_mean_and_size_of_the_scores():
    rng = np.random.default_rng(0)
    scores, similarity = rng.standard_normal((2, 12))
    _, gradients = pearson.value_and_grad(scores, similarity)
    assert abs(gradients["scores"].sum()) < 1e-14 and abs(gradients["scores"] @ (scores - scores.mean())) < 1e-14


@pytest.mark.crosscheck
def test_equals_the_official_code():
    """The lines of TencentCloudADP/youtu-embedding, training/CoDiEmb/train/loss.py, PearsonCorrelationLoss."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    scores, similarity = rng.standard_normal((2, 9))
    x, y = torch.tensor(scores, requires_grad=True), torch.tensor(similarity)
    deviations = torch.sqrt(torch.var(x, unbiased=False)) * torch.sqrt(torch.var(y, unbiased=False))
    theirs = 1 - torch.mean((x - torch.mean(x)) * (y - torch.mean(y))) / deviations
    theirs.backward()
    value, gradients = pearson.value_and_grad(scores, similarity)
    assert float(value) == pytest.approx(theirs.item(), rel=1e-13)
    np.testing.assert_allclose(gradients["scores"], x.grad.numpy(), atol=1e-14)
