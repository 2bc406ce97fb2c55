from math import sqrt

import numpy as np
import pytest

from mini_repr.losses.pairs.vicreg import vicreg


def loops(
    a,
    b,
    invariance_weight,
    variance_weight,
    covariance_weight,
    target_std,
    eps,
    invariance,
    variance_views,
    unbiased,
):
    """The equations, one pair of dimensions at a time."""
    rows, width = len(a), len(a[0])

    def covariance(x, k, m):
        mean_k, mean_m = (sum(float(row[c]) for row in x) / rows for c in (k, m))
        products = ((float(row[k]) - mean_k) * (float(row[m]) - mean_m) for row in x)
        return sum(products) / (rows - 1 if unbiased else rows)

    def variance_term(x):
        return sum(max(0.0, target_std - sqrt(covariance(x, k, k) + eps)) for k in range(width)) / width

    def covariance_term(x):
        return sum(covariance(x, k, m) ** 2 for k in range(width) for m in range(width) if k != m) / width

    distances = sum((float(p) - float(q)) ** 2 for x, y in zip(a, b, strict=True) for p, q in zip(x, y, strict=True))
    near = distances / rows / (width if invariance == "elements" else 1)
    variance = (variance_term(a) + variance_term(b)) / (2 if variance_views == "mean" else 1)
    return (
        invariance_weight * near
        + variance_weight * variance
        + covariance_weight * (covariance_term(a) + covariance_term(b))
    )


@pytest.mark.parametrize("variant", [None, *vicreg.variants])
@pytest.mark.parametrize("scale", [0.3, 3.0])
def test_few_rows_go_through_the_gram_matrix(variant, scale):
    """N = 5 rows of D = 12: value and gradients come from N x N products, the definition from the D x D matrix."""
    settings = {} if variant is None else vicreg.variants[variant].settings
    a, b = scale * np.random.default_rng(0).standard_normal((2, 5, 12))
    value, hand = vicreg.value_and_grad(a, b, **settings)
    expected, engine = vicreg.definition_and_grad(a, b, **settings)
    assert float(value) == pytest.approx(float(expected), rel=1e-12)
    for name in "ab":
        np.testing.assert_allclose(hand[name], engine[name], atol=1e-12 * max(1, float(expected)))


def test_terms_add_up_and_carry_their_weights():
    a, b = 0.5 * np.random.default_rng(1).standard_normal((2, 6, 4))
    output = vicreg(a, b)
    assert float(output.data) == pytest.approx(sum(float(x) for x in output.terms.values()), rel=1e-14)
    for name in ("invariance", "variance", "covariance"):
        others = {f"{n}_weight": 0.0 for n in output.terms if n != name}
        assert float(vicreg(a, b, **others).data) == pytest.approx(float(output.terms[name]), rel=1e-14)


def test_official_code_halves_the_variance_term_alone():
    a, b = 0.5 * np.random.default_rng(2).standard_normal((2, 6, 4))
    paper, code = vicreg(a, b).terms, vicreg(a, b, variance_views="mean").terms
    assert float(code["variance"]) == pytest.approx(float(paper["variance"]) / 2, rel=1e-14)
    assert code["invariance"] == paper["invariance"] and code["covariance"] == paper["covariance"]


def test_collapsed_views_have_no_gradient():
    a = np.full((4, 3), 0.5)
    value, gradients = vicreg.value_and_grad(a, a.copy())
    assert np.isfinite(value) and not gradients["a"].any() and not gradients["b"].any()


def test_deviations_above_the_target_do_not_matter():
    x = 10 * np.random.default_rng(3).standard_normal((6, 3))
    assert float(vicreg(x, x).terms["variance"]) == 0.0


def test_one_dimension_has_no_covariance():
    a, b = np.random.default_rng(4).standard_normal((2, 6, 1))
    assert float(vicreg(a, b).terms["covariance"]) == 0.0


@pytest.mark.crosscheck
@pytest.mark.parametrize("shape", [(9, 5), (5, 12)])
@pytest.mark.parametrize("variant", [None, *vicreg.variants])
def test_against_torch(variant, shape):
    torch = pytest.importorskip("torch")
    settings = {} if variant is None else vicreg.variants[variant].settings
    a, b = 0.8 * np.random.default_rng(5).standard_normal((2, *shape))
    value, gradients = vicreg.value_and_grad(a, b, **settings)

    given = [torch.tensor(x, requires_grad=True) for x in (a, b)]
    unbiased = settings.get("unbiased", True)
    near = torch.nn.functional.mse_loss(*given) * (shape[1] if "invariance" in settings else 1)
    deviations = [torch.sqrt(x.var(0, unbiased=unbiased) + 1e-4) for x in given]
    variance = sum(torch.nn.functional.relu(1 - s).mean() for s in deviations)
    if "variance_views" in settings:
        variance = variance / 2
    matrices = [torch.cov(x.T, correction=int(unbiased)) for x in given]
    covariance = sum((m.pow(2).sum() - m.diagonal().pow(2).sum()) / shape[1] for m in matrices)
    expected = 25 * near + 25 * variance + covariance
    expected.backward()
    assert float(value) == pytest.approx(expected.item(), rel=1e-12)
    for name, tensor in zip("ab", given, strict=True):
        np.testing.assert_allclose(gradients[name], tensor.grad.numpy(), rtol=1e-9, atol=1e-11)
