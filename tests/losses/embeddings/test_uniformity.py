import tracemalloc
from math import exp, log, sqrt

import numpy as np
import pytest

from mini_repr.losses.embeddings.uniformity import uniformity
from mini_repr.metrics.uniformity import uniformity as metric


def loops(z, t, self_pairs, normalize):
    """The equation, one ordered pair at a time."""

    def row(x):
        norm = sqrt(sum(float(c) ** 2 for c in x)) if normalize else 1.0
        return [float(c) / norm for c in x]

    rows = [row(x) for x in z]
    potentials = [
        exp(-t * sum((p - q) ** 2 for p, q in zip(x, y, strict=True)))
        for i, x in enumerate(rows)
        for j, y in enumerate(rows)
        if self_pairs or i != j
    ]
    return log(sum(potentials) / len(potentials))


def test_is_the_metric_of_the_same_name():
    z = np.random.default_rng(0).standard_normal((40, 6))
    assert float(uniformity(z).data) == pytest.approx(metric(z), rel=1e-12)


def test_rows_far_apart_give_no_minus_infinity():
    z = 1e3 * np.eye(3)
    value, gradients = uniformity.value_and_grad(z, normalize=False)
    assert float(value) == pytest.approx(-2 * 2e6, rel=1e-12)
    assert np.isfinite(gradients["z"]).all() and gradients["z"].any()
    value, gradients = uniformity.value_and_grad(z, normalize=False, self_pairs=True)
    assert float(value) == pytest.approx(-log(3), rel=1e-12) and not gradients["z"].any()


def test_duplicates_do_not_push_each_other():
    z = np.array([[1.0, 0.0], [1.0, 0.0]])
    value, gradients = uniformity.value_and_grad(z)
    assert float(value) == 0.0 and not gradients["z"].any()


def test_close_rows_far_from_the_origin_keep_their_distance_in_float32():
    z = np.array([[1000.0, 0.0], [1000.0, 0.5]])
    value, gradients = uniformity.value_and_grad(z.astype(np.float32), normalize=False)
    assert float(value) == pytest.approx(-0.5, rel=1e-6)
    np.testing.assert_allclose(gradients["z"], [[0, 2], [0, -2]], rtol=1e-5, atol=1e-6)


def test_zero_row_is_at_distance_1_and_has_zero_gradient():
    value, gradients = uniformity.value_and_grad(np.array([[0.0, 0.0], [3.0, 4.0]]))
    assert float(value) == pytest.approx(-2.0, rel=1e-14)
    assert np.isfinite(gradients["z"]).all() and not gradients["z"][0].any()


def test_gradient_is_orthogonal_to_normalised_rows_and_free_of_net_force():
    z = np.random.default_rng(1).standard_normal((7, 4))
    gradient = uniformity.value_and_grad(z)[1]["z"]
    np.testing.assert_allclose((z * gradient).sum(axis=1), 0, atol=1e-14)
    gradient = uniformity.value_and_grad(z, normalize=False)[1]["z"]
    np.testing.assert_allclose(gradient.sum(axis=0), 0, atol=1e-14)


def test_memory_is_that_of_tiles():
    z = np.random.default_rng(3).standard_normal((2000, 4))
    tracemalloc.start()
    uniformity.value_and_grad(z, tile=32)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.2 * 2000 * 2000 * 8


@pytest.mark.crosscheck
@pytest.mark.parametrize("variant", [None, *uniformity.variants])
def test_against_torch(variant):
    torch = pytest.importorskip("torch")
    settings = {} if variant is None else uniformity.variants[variant].settings
    z = np.random.default_rng(2).standard_normal((9, 5))
    value, gradients = uniformity.value_and_grad(z, **settings)

    given = torch.tensor(z, requires_grad=True)
    rows = torch.nn.functional.normalize(given) if settings.get("normalize", True) else given
    squares = torch.nn.functional.pdist(rows) ** 2
    if "self_pairs" in settings:
        squares = torch.cat((squares, squares, torch.zeros(9, dtype=squares.dtype)))
    expected = torch.log(torch.exp(-2 * squares).mean())
    expected.backward()
    assert float(value) == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(gradients["z"], given.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_far_rows_keep_the_gradient_in_float32():
    """Squared distances of 10^6: e^(L - log-sum) has no digits left there, e^(L - top) / total has."""
    z = (np.random.default_rng(8).standard_normal((12, 4)) * 1024).astype(np.float32)
    _, gradients = uniformity.value_and_grad(z, normalize=False)
    _, defined = uniformity.definition_and_grad(z.astype(np.float64), normalize=False)
    largest = np.abs(defined["z"]).max()
    np.testing.assert_allclose(gradients["z"], defined["z"], atol=1e-4 * largest)
