import numpy as np
import pytest

from mini_repr.losses.pairs.corinfomax import corinfomax


def loops(
    a,
    b,
    covariance_a,
    covariance_b,
    mean_a,
    mean_b,
    covariance_weight,
    invariance_weight,
    decay,
    mean_decay,
    eps,
    normalize,
):
    if normalize:
        a, b = (np.array([row / np.linalg.norm(row) for row in x]) for x in (a, b))
    count, width = a.shape
    volumes = 0.0
    for x, covariance, mean in ((a, covariance_a, mean_a), (b, covariance_b, mean_b)):
        m = [
            mean_decay * (0.0 if mean is None else mean[k]) + (1 - mean_decay) * sum(x[:, k]) / count
            for k in range(width)
        ]
        r = np.zeros((width, width))
        for k in range(width):
            for j in range(width):
                before = float(k == j) if covariance is None else covariance[k, j]
                now = sum((row[k] - m[k]) * (row[j] - m[j]) for row in x) / count
                r[k, j] = decay * before + (1 - decay) * now + eps * (k == j)
        volumes += np.log(abs(np.linalg.det(r)))
    distances = sum((a[i, k] - b[i, k]) ** 2 for i in range(count) for k in range(width)) / (count * width)
    return invariance_weight * distances - covariance_weight * volumes / width


def test_a_direction_without_spread_costs_the_most():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((64, 4))
    flat = a.copy()
    flat[:, 3] = 0.5
    settings = {"decay": 0.0, "mean_decay": 0.0}
    costs = [float(corinfomax(x, x, **settings).data) for x in (a, flat)]
    assert costs[1] - costs[0] == pytest.approx(2 * 0.2 / 4 * -np.log(1e-6), abs=0.1)
    _, gradients = corinfomax.value_and_grad(a, 0 * a, invariance_weight=0.0, **settings)
    np.testing.assert_allclose(gradients["a"].mean(axis=0), 0, atol=1e-14)  # a common shift costs nothing


def test_many_dimensions_and_few_rows_in_float32_are_finite():
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, 8, 64)).astype(np.float32)
    value, gradients = corinfomax.value_and_grad(a, b, decay=0.0)
    exact, expected = corinfomax.value_and_grad(a.astype(np.float64), b.astype(np.float64), decay=0.0)
    assert float(value) == pytest.approx(float(exact), rel=1e-6)
    np.testing.assert_allclose(gradients["a"], expected["a"], rtol=1e-4, atol=1e-6 * np.abs(expected["a"]).max())


@pytest.mark.crosscheck
def test_equals_the_official_code_over_two_batches():
    """The lines of serdarozsoy/corinfomax-ssl (and of UNSEE): means and covariances of one batch reach the next."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    identity = torch.eye(5, dtype=torch.float64)
    covariances, means = [identity, identity], [torch.zeros(5, dtype=torch.float64)] * 2
    state = {}
    for _ in range(2):
        batch = rng.standard_normal((2, 9, 5))
        views = [torch.tensor(x, requires_grad=True) for x in batch]
        covered = 0
        for k, z in enumerate(views):
            means[k] = 0.01 * means[k] + 0.99 * torch.mean(z, 0)
            centred = z - means[k]
            covariances[k] = 0.01 * covariances[k] + 0.99 * (centred.T @ centred) / len(z)
            covered = covered - torch.logdet(covariances[k] + 1e-6 * identity) / 5
        total = 0.2 * covered + 2000 * torch.nn.functional.mse_loss(*views)
        total.backward()
        value, gradients = corinfomax.value_and_grad(*batch, **state)
        assert float(value) == pytest.approx(total.item(), rel=1e-12)
        for name, z in zip("ab", views, strict=True):
            np.testing.assert_allclose(gradients[name], z.grad.numpy(), rtol=1e-9, atol=1e-12)
        covariances, means = [r.detach() for r in covariances], [m.detach() for m in means]
        state = {f"covariance_{n}": r.numpy() for n, r in zip("ab", covariances, strict=True)}
        state |= {f"mean_{n}": m.numpy() for n, m in zip("ab", means, strict=True)}
