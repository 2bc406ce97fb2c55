from math import sqrt

import numpy as np
import pytest

from mini_repr.losses.pairs.barlow_twins import barlow_twins


def loops(a, b, redundancy_weight, scale_loss, eps, unbiased):
    """The equations, one pair of dimensions at a time."""
    rows, width = len(a), len(a[0])

    def standardised(x, k):
        column = [float(row[k]) for row in x]
        mean = sum(column) / rows
        variance = sum((c - mean) ** 2 for c in column) / (rows - 1 if unbiased else rows)
        return [(c - mean) / sqrt(variance + eps) for c in column]

    total = 0.0
    for k in range(width):
        for m in range(width):
            c = sum(p * q for p, q in zip(standardised(a, k), standardised(b, m), strict=True)) / rows
            total += (1 - c) ** 2 if k == m else redundancy_weight * c**2
    return scale_loss * total


@pytest.mark.parametrize("variant", [None, *barlow_twins.variants])
def test_few_rows_go_through_the_gram_matrices(variant):
    """N = 5 rows of D = 12: value and gradients come from N x N products, the definition from the D x D matrix."""
    settings = {} if variant is None else barlow_twins.variants[variant].settings
    a, b = np.random.default_rng(0).standard_normal((2, 5, 12))
    value, hand = barlow_twins.value_and_grad(a, b, **settings)
    expected, engine = barlow_twins.definition_and_grad(a, b, **settings)
    assert float(value) == pytest.approx(float(expected), rel=1e-12)
    for name in "ab":
        np.testing.assert_allclose(hand[name], engine[name], atol=1e-11)


def test_terms_add_up():
    a, b = np.random.default_rng(1).standard_normal((2, 6, 4))
    output = barlow_twins(a, b, redundancy_weight=0.3, scale_loss=0.5)
    assert float(output.data) == pytest.approx(sum(float(x) for x in output.terms.values()), rel=1e-14)
    assert float(barlow_twins(a, b, redundancy_weight=0.0, scale_loss=0.5).data) == float(output.terms["invariance"])


def test_scaling_a_column_changes_nothing():
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((2, 6, 4))
    before = float(barlow_twins(a, b, eps=0.0).data)
    after = float(barlow_twins(a * rng.uniform(0.1, 10, 4) + 3, b, eps=0.0).data)
    assert after == pytest.approx(before, rel=1e-12)


def test_unbiased_standardisation_keeps_the_diagonal_below_1():
    a = np.random.default_rng(3).standard_normal((5, 3))
    output = barlow_twins(a, a, unbiased=True, eps=0.0, redundancy_weight=0.0)
    assert float(output.data) == pytest.approx(3 * (1 / 5) ** 2, rel=1e-12)


def test_constant_column_has_no_correlation_and_no_gradient():
    a, b = np.random.default_rng(4).standard_normal((2, 6, 3))
    a[:, 1] = 0.25
    output = barlow_twins(a, b, redundancy_weight=0.0)
    rest = barlow_twins(a[:, [0, 2]], b[:, [0, 2]], redundancy_weight=0.0)
    assert float(output.data) == pytest.approx(float(rest.data) + 1, rel=1e-12)
    _, gradients = barlow_twins.value_and_grad(a, b, redundancy_weight=0.0)
    assert np.isfinite(gradients["a"]).all() and not gradients["b"][:, 1].any()
    with pytest.raises(ValueError, match=r"^barlow_twins: a: got a constant column with eps 0, expected"):
        barlow_twins(a, b, eps=0.0)
    with pytest.raises(ValueError, match=r"^barlow_twins: b: got a constant column"):
        barlow_twins(b, a, eps=0.0)


def test_one_dimension_has_no_redundancy():
    a, b = np.random.default_rng(5).standard_normal((2, 6, 1))
    assert float(barlow_twins(a, b).terms["redundancy"]) == 0.0


@pytest.mark.crosscheck
@pytest.mark.parametrize("shape", [(9, 5), (5, 12)])
@pytest.mark.parametrize("variant", [None, *barlow_twins.variants])
def test_against_torch(variant, shape):
    torch = pytest.importorskip("torch")
    settings = {} if variant is None else barlow_twins.variants[variant].settings
    a, b = np.random.default_rng(6).standard_normal((2, *shape))
    value, gradients = barlow_twins.value_and_grad(a, b, **settings)

    given = [torch.tensor(x, requires_grad=True) for x in (a, b)]
    if "eps" in settings:  # 0, which batch_norm refuses
        views = [(x - x.mean(0)) / x.std(0, correction=int("unbiased" in settings)) for x in given]
    else:
        views = [torch.nn.functional.batch_norm(x, None, None, training=True) for x in given]
    c = views[0].T @ views[1] / shape[0]
    weights = torch.full_like(c, 0.0051).fill_diagonal_(1.0)
    expected = settings.get("scale_loss", 1.0) * (weights * (c - torch.eye(shape[1], dtype=c.dtype)) ** 2).sum()
    expected.backward()
    assert float(value) == pytest.approx(expected.item(), rel=1e-12)
    for name, tensor in zip("ab", given, strict=True):
        np.testing.assert_allclose(gradients[name], tensor.grad.numpy(), rtol=1e-9, atol=1e-11)
