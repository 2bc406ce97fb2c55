"""What patch_discrimination alone promises: naive loops, shifts that fall out, collapse that does not pay, torch."""

import math

import numpy as np
import pytest

from mini_repr.losses.reconstruction.patch_discrimination import patch_discrimination


def loops(prediction, target, temperature, standardise, eps):
    costs = []
    for y, x in zip(prediction, target, strict=True):
        if standardise:
            y = (y - y.mean(axis=0)) / (y.std(axis=0, ddof=1) + eps)
        for j in range(len(y)):
            cosines = [y[j] @ x[k] / math.sqrt(y[j] @ y[j]) / math.sqrt(x[k] @ x[k]) for k in range(len(x))]
            costs.append(math.log(sum(math.exp(c / temperature) for c in cosines)) - cosines[j] / temperature)
    return 2 * temperature * sum(costs) / len(costs)


def drawn(seed=0, batch=3, patches=5, width=4):
    return np.random.default_rng(seed).standard_normal((2, batch, patches, width))


@pytest.mark.parametrize("standardise", [True, False])
def test_against_loops(standardise):
    y, x = drawn()
    value, _ = patch_discrimination.value_and_grad(y, x, temperature=0.3, standardise=standardise)
    assert float(value) == pytest.approx(loops(y, x, 0.3, standardise, 1e-4), rel=1e-12)


def test_what_all_patches_of_an_image_share_counts_for_nothing():
    y, x = drawn(1)
    value, gradients = patch_discrimination.value_and_grad(y, x)
    shifted, _ = patch_discrimination.value_and_grad(y + np.random.default_rng(2).standard_normal((3, 1, 4)), x)
    assert float(shifted) == pytest.approx(float(value), rel=1e-12)
    np.testing.assert_allclose(gradients["prediction"].sum(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose((gradients["target"] * x).sum(axis=-1), 0, atol=1e-12)


def test_latents_that_are_all_alike_cannot_be_told_apart():
    y, x = drawn(3)
    alike = np.repeat(x[:, :1], 5, axis=1)
    value, gradients = patch_discrimination.value_and_grad(y, alike)
    assert float(value) == pytest.approx(0.4 * math.log(5), rel=1e-12)
    np.testing.assert_allclose(gradients["prediction"], 0, atol=1e-12)
    assert patch_discrimination.value_and_grad(x, x)[0] < value


def test_a_dimension_that_does_not_vary_has_a_finite_gradient():
    y, x = drawn(4)
    y[:, :, 1] = 7.0
    value, gradients = patch_discrimination.value_and_grad(y, x)
    assert np.isfinite(value) and np.isfinite(gradients["prediction"]).all()


def test_the_temperature_does_not_scale_the_gradient():
    """Near temperature infinity P is uniform and dc = 2 (1/M - I)/(B M), whatever the temperature."""
    y, x = drawn(5)
    found = [patch_discrimination.value_and_grad(y, x, temperature=t)[1]["prediction"] for t in (1e4, 1e5)]
    np.testing.assert_allclose(*found, rtol=1e-3)


def test_a_single_patch_is_refused():
    y, x = drawn(6, patches=1)
    with pytest.raises(ValueError, match=r"patch_discrimination: prediction: got shape \(3, 1, 4\)"):
        patch_discrimination.value_and_grad(y, x)


@pytest.mark.crosscheck
def test_against_torch_as_the_official_code_has_it():
    torch = pytest.importorskip("torch")
    y, x = drawn(7)
    full = torch.tensor(y, requires_grad=True)
    rows = (full - full.mean(1, keepdims=True)) / (full.std(1, keepdims=True) + 1e-4)
    normal = torch.nn.functional.normalize
    scores = torch.einsum("npd,nqd->npq", normal(rows, dim=-1), normal(torch.tensor(x), dim=-1)) / 0.2
    labels = torch.arange(5)[None].repeat(3, 1)
    expected = torch.nn.functional.cross_entropy(scores.flatten(0, 1), labels.flatten(0, 1)) * 0.4
    expected.backward()
    value, gradients = patch_discrimination.value_and_grad(y, x)
    assert float(value) == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(gradients["prediction"], full.grad.numpy(), atol=1e-12)
