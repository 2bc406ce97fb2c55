from math import exp, log, sqrt

import numpy as np
import pytest

from mini_repr.losses.embeddings.uniformity import uniformity
from mini_repr.losses.pairs.align_uniform import align_uniform


def loops(a, b, alpha, t, alignment_weight, uniformity_weight, normalize):
    """The equations, one pair at a time."""

    def row(x):
        norm = sqrt(sum(float(c) ** 2 for c in x)) if normalize else 1.0
        return [float(c) / norm for c in x]

    def distance(x, y):
        return sqrt(sum((p - q) ** 2 for p, q in zip(x, y, strict=True)))

    def spread(rows):
        pairs = [(x, y) for i, x in enumerate(rows) for y in rows[i + 1 :]]
        return log(sum(exp(-t * distance(x, y) ** 2) for x, y in pairs) / len(pairs))

    u, v = [row(x) for x in a], [row(x) for x in b]
    alignment = sum(distance(x, y) ** alpha for x, y in zip(u, v, strict=True)) / len(u)
    return alignment_weight * alignment + uniformity_weight * (spread(u) + spread(v)) / 2


def test_terms_add_up_and_are_the_parts():
    a, b = np.random.default_rng(0).standard_normal((2, 6, 4))
    output = align_uniform(a, b, alignment_weight=0.7, uniformity_weight=0.3)
    assert float(output.data) == pytest.approx(sum(float(x) for x in output.terms.values()), rel=1e-14)
    half = (float(uniformity(a).data) + float(uniformity(b).data)) / 2
    assert float(output.terms["uniformity"]) == pytest.approx(0.3 * half, rel=1e-13)
    alone = align_uniform(a, b, alignment_weight=0.7, uniformity_weight=0.0)
    assert float(alone.data) == float(output.terms["alignment"])


@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.5, 2.0, 3.0])
def test_partners_that_coincide_do_not_pull(alpha):
    a, b = np.random.default_rng(1).standard_normal((2, 5, 3))
    b[2] = a[2]
    settings = {"alpha": alpha, "uniformity_weight": 0.0}
    value, gradients = align_uniform.value_and_grad(a, b, **settings)
    assert np.isfinite(value) and not gradients["a"][2].any() and not gradients["b"][2].any()
    assert np.isfinite(gradients["a"]).all() and gradients["a"][0].any()


def test_zero_row_stays_at_the_origin_with_zero_gradient():
    a = np.array([[0.0, 0.0], [1.0, 0.0]])
    b = np.array([[0.0, 2.0], [3.0, 0.0]])
    output = align_uniform(a, b)
    assert float(output.terms["alignment"]) == pytest.approx(0.5)  # |0 - v|² = 1, |u - u|² = 0
    assert float(output.terms["uniformity"]) == pytest.approx((-2 * 1 - 2 * 2) / 2)
    _, gradients = align_uniform.value_and_grad(a, b)
    assert not gradients["a"][0].any() and np.isfinite(gradients["b"]).all()


def test_gradients_are_orthogonal_to_the_rows():
    a, b = np.random.default_rng(2).standard_normal((2, 6, 4))
    _, gradients = align_uniform.value_and_grad(a, b, alpha=1.5)
    np.testing.assert_allclose((a * gradients["a"]).sum(axis=1), 0, atol=1e-14)
    np.testing.assert_allclose((b * gradients["b"]).sum(axis=1), 0, atol=1e-14)


@pytest.mark.crosscheck
@pytest.mark.parametrize("variant", [None, *align_uniform.variants])
def test_against_torch(variant):
    torch = pytest.importorskip("torch")
    settings = {} if variant is None else align_uniform.variants[variant].settings
    a, b = np.random.default_rng(3).standard_normal((2, 9, 5))
    value, gradients = align_uniform.value_and_grad(a, b, **settings)

    given = [torch.tensor(x, requires_grad=True) for x in (a, b)]
    views = given
    if settings.get("normalize", True):
        views = [torch.nn.functional.normalize(x) for x in given]
    spread = sum(torch.log(torch.exp(-2 * torch.nn.functional.pdist(x) ** 2).mean()) for x in views) / 2
    near = torch.nn.functional.pairwise_distance(*views, eps=0.0) ** settings.get("alpha", 2.0)
    expected = near.mean() + settings.get("uniformity_weight", 1.0) * spread
    expected.backward()
    assert float(value) == pytest.approx(expected.item(), rel=1e-12)
    for name, tensor in zip("ab", given, strict=True):
        np.testing.assert_allclose(gradients[name], tensor.grad.numpy(), rtol=1e-9, atol=1e-12)
