from math import exp, log, sqrt

import numpy as np
import pytest

from mini_repr.losses.embeddings.dispersive import dispersive
from mini_repr.losses.embeddings.uniformity import uniformity


def loops(z, form, temperature, margin, per_dimension, self_pairs, eps):
    """The equations, one pair of rows (or of dimensions) at a time."""
    rows, width = len(z), len(z[0])
    if form == "covariance":
        columns = []
        for k in range(width):
            column = [float(row[k]) for row in z]
            mean = sum(column) / rows
            deviation = sqrt(sum((c - mean) ** 2 for c in column) / rows + eps)
            columns.append([(c - mean) / deviation for c in column])
        products = [sum(p * q for p, q in zip(x, y, strict=True)) for x in columns for y in columns if x is not y]
        return sum((p / rows) ** 2 for p in products)

    def distance(x, y):
        if form == "cosine":
            norms = sqrt(sum(float(c) ** 2 for c in x)) * sqrt(sum(float(c) ** 2 for c in y))
            return -sum(float(p) * float(q) for p, q in zip(x, y, strict=True)) / norms
        square = sum((float(p) - float(q)) ** 2 for p, q in zip(x, y, strict=True))
        return square / width if per_dimension else square

    distances = [distance(x, y) for i, x in enumerate(z) for j, y in enumerate(z) if self_pairs or i != j]
    if form == "hinge":
        return sum(max(0.0, margin - d) ** 2 for d in distances) / len(distances)
    return log(sum(exp(-d / temperature) for d in distances) / len(distances))


@pytest.mark.parametrize("self_pairs", [True, False])
@pytest.mark.parametrize("per_dimension", [True, False])
@pytest.mark.parametrize("tile", [1, 3, None])
def test_hinge_with_most_pairs_inside_the_margin(self_pairs, per_dimension, tile):
    z = 0.3 * np.random.default_rng(0).standard_normal((8, 4))
    settings = {"form": "hinge", "self_pairs": self_pairs, "per_dimension": per_dimension}
    value, hand = dispersive.value_and_grad(z, tile=tile, **settings)
    expected, engine = dispersive.definition_and_grad(z, **settings)
    assert float(value) == pytest.approx(float(expected), rel=1e-12)
    assert engine["z"].any(axis=1).all()
    np.testing.assert_allclose(hand["z"], engine["z"], atol=1e-13)


def test_covariance_of_few_rows_goes_through_the_gram_matrix():
    z = np.random.default_rng(1).standard_normal((5, 12))
    value, hand = dispersive.value_and_grad(z, form="covariance")
    expected, engine = dispersive.definition_and_grad(z, form="covariance")
    assert float(value) == pytest.approx(float(expected), rel=1e-12)
    np.testing.assert_allclose(hand["z"], engine["z"], atol=1e-11)


def test_l2_form_is_uniformity_of_the_rows_as_they_are():
    z = np.random.default_rng(2).standard_normal((7, 3))
    same = uniformity(z, t=2.0, self_pairs=True, normalize=False)
    assert float(dispersive(z).data) == pytest.approx(float(same.data), rel=1e-14)


def test_cosine_form_is_uniformity_up_to_a_constant():
    """|u - v|² = 2 - 2 cos on unit rows, so cos/t = 1/t - |u - v|²/(2t)."""
    z = np.random.default_rng(3).standard_normal((7, 3))
    same = uniformity(z, t=1.0, self_pairs=True)
    assert float(dispersive(z, form="cosine").data) == pytest.approx(float(same.data) + 2, rel=1e-12)


@pytest.mark.parametrize("form", ["l2", "cosine", "hinge", "covariance"])
@pytest.mark.parametrize("self_pairs", [True, False])
def test_collapsed_rows_have_a_finite_value_and_no_gradient(form, self_pairs):
    for z in (np.full((4, 3), 0.5), np.zeros((4, 3))):
        value, gradients = dispersive.value_and_grad(z, form=form, self_pairs=self_pairs)
        assert np.isfinite(value)
        np.testing.assert_allclose(gradients["z"], 0, atol=1e-12)


def test_zero_row_has_cosine_0_to_itself_too():
    z = np.array([[0.0, 0.0], [2.0, 0.0]])
    value, gradients = dispersive.value_and_grad(z, form="cosine")
    assert float(value) == pytest.approx(log((3 + exp(2)) / 4), rel=1e-14)
    assert not gradients["z"].any()


def test_rows_far_apart_give_no_minus_infinity():
    value, gradients = dispersive.value_and_grad(1e3 * np.eye(3), self_pairs=False)
    assert float(value) == pytest.approx(-4e6, rel=1e-12)
    assert np.isfinite(gradients["z"]).all() and gradients["z"].any()
    value, gradients = dispersive.value_and_grad(1e3 * np.eye(3))
    assert float(value) == pytest.approx(-log(3), rel=1e-12) and not gradients["z"].any()


@pytest.mark.crosscheck
@pytest.mark.parametrize("variant", [None, *dispersive.variants])
def test_against_torch(variant):
    torch = pytest.importorskip("torch")
    settings = {} if variant is None else dispersive.variants[variant].settings
    z = 0.6 * np.random.default_rng(4).standard_normal((9, 5))
    value, gradients = dispersive.value_and_grad(z, **settings)

    given = torch.tensor(z, requires_grad=True)
    form = settings.get("form", "l2")
    rows = torch.nn.functional.normalize(given) if form == "cosine" else given
    squares = torch.nn.functional.pdist(rows) ** 2
    if settings.get("self_pairs", True):
        squares = torch.cat((squares, squares, torch.zeros(9, dtype=squares.dtype)))
    if form == "covariance":
        white = torch.nn.functional.batch_norm(given, None, None, training=True, eps=1e-5)
        expected = (white.T @ white / 9).fill_diagonal_(0).pow(2).sum()
    elif form == "hinge":
        expected = torch.nn.functional.relu(1 - squares).pow(2).mean()
    elif form == "cosine":
        expected = torch.log(torch.exp((1 - squares / 2) / 0.5).mean())
    else:
        divisor = 5 if "per_dimension" in settings else settings.get("temperature", 0.5)
        expected = torch.log(torch.exp(-squares / divisor).mean())
    expected.backward()
    assert float(value) == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(gradients["z"], given.grad.numpy(), rtol=1e-9, atol=1e-12)
