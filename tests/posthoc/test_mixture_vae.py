"""Charts: exact inverses, a circle that takes two of them, tangent steps that no parametrisation changes."""

import numpy as np
import pytest

from mini_repr.autograd import Tensor
from mini_repr.posthoc.mixture_vae import Chart, MixtureVAE, energy, flat_pieces


def circle(count, noise=0.03, seed=0):
    rng = np.random.default_rng(seed)
    angles = rng.uniform(0, 2 * np.pi, count)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) + noise * rng.normal(size=(count, 2))


def drawn_chart(width=5, dimension=2, seed=1):
    """With networks of full size."""
    rng = np.random.default_rng(seed)
    frame = 2.0 * np.linalg.qr(rng.normal(size=(width, width)))[0]
    chart = Chart(rng.normal(size=width), frame, dimension, 2, 8, rng, np.float64)
    for p in chart.parameters():
        p.data += 0.3 * rng.normal(size=p.shape)
    return chart


@pytest.fixture(scope="module")
def fitted():
    return MixtureVAE(2, hidden=16, couplings=2, steps=180, lr=5e-3).fit(circle(600))


def test_encoder_and_decoder_are_inverse_and_the_jacobian_is_the_derivative():
    chart, z = drawn_chart(), np.random.default_rng(2).normal(size=(7, 2))
    np.testing.assert_allclose(chart.encode(chart.decode(z).data).data, z, atol=1e-10)
    step = 1e-6 * np.eye(2)
    ahead, behind = (np.stack([chart.decode(z[:1] + s * e).data[0] for e in step], axis=1) for s in (1, -1))
    np.testing.assert_allclose(chart.jacobian(z[:1]), (ahead - behind) / 2e-6, atol=1e-7)


def test_a_chart_starts_as_a_flat_piece_of_the_rows_near_it():
    x = circle(600, noise=0.0)
    centres, frames = flat_pieces(x, 2, 1, np.random.default_rng(0))
    assert (centres[0] * centres[1]).sum() < 0  # on opposite sides
    chart = Chart(centres[0], frames[0], 1, 2, 8, np.random.default_rng(1), np.float64)
    ends = chart.decode(np.array([[-1.0], [0.0], [1.0]])).data
    np.testing.assert_allclose(ends[1], centres[0])
    assert abs((ends[2] - ends[0]) @ centres[0]) < 0.2  # across the direction to the middle
    assert np.linalg.norm(ends[2] - ends[0]) == pytest.approx(2, abs=0.2)


def test_the_energy_is_flat_then_falls_to_a_twentieth_then_is_steep():
    z = np.array([[0.0, 0.79], [0.9, 0.0], [1.0, 0.0], [1.01, -1.01]])
    expected = [0, -np.log(1 - 4.75 * 0.1), -np.log(0.05), 2 * (1 - np.log(0.05))]
    np.testing.assert_allclose(energy(Tensor(z)).data, expected, atol=1e-12)


def test_two_charts_cover_a_circle(fitted):
    clean = circle(200, noise=0.0, seed=3)
    near = np.linalg.norm(fitted.transform(clean) - clean, axis=1)
    assert near.max() < 0.25 and near.mean() < 0.04
    beta = fitted.responsibilities(clean)
    np.testing.assert_allclose(beta.sum(axis=1), 1, atol=1e-5)
    assert fitted.shares_.min() > 0.25
    drawn = fitted.sample(200, np.random.default_rng(4))
    assert np.abs(np.linalg.norm(drawn, axis=1) - 1).mean() < 0.05


def test_descent_falls_stays_on_the_manifold_and_finds_the_nearest_point(fitted):
    def apart(x):
        away = x - [0.0, -1.0]
        return float(away @ away), 2 * away

    for start in ([1.0, 0.1], [0.05, 1.0]):
        found = fitted.descend(apart, np.array(start), steps=40)
        assert (np.diff(found.values) <= 0.001 * np.abs(found.values[:-1]) + 1e-9).all()
        assert np.linalg.norm(found.x) == pytest.approx(1, abs=0.15)
        assert found.values[-1] < 0.01
    flat = fitted.descend(lambda x: (0.0, np.zeros(2)), np.array([1.0, 0.0]), steps=3)
    np.testing.assert_allclose(flat.x, fitted.transform(np.array([[1.0, 0.0]]))[0], atol=1e-3)


def test_a_riemannian_step_is_tangent_and_no_stretching_of_the_codes_changes_it():
    chart, rng = drawn_chart(), np.random.default_rng(5)
    code, slope = rng.normal(size=(1, 2)), rng.normal(size=5)
    jacobian = chart.jacobian(code)
    other = jacobian @ rng.normal(size=(2, 2))  # of codes that a linear map has changed
    step, same = (j @ np.linalg.solve(j.T @ j, j.T @ slope) for j in (jacobian, other))
    np.testing.assert_allclose(step, same, atol=1e-10)
    np.testing.assert_allclose(jacobian.T @ (slope - step), 0, atol=1e-10)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda z: MixtureVAE(0).fit(z), "charts: got 0"),
        (lambda z: MixtureVAE().fit(z[:, :1]), "mixture_vae: z: got 1 columns, expected 2 or more"),
        (lambda z: MixtureVAE(30).fit(z), "mixture_vae: charts: got 30, expected fewer than the 30 rows"),
        (lambda z: MixtureVAE().transform(z), "got rows before fit"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make(circle(30))
