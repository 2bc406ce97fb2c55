import math

import numpy as np
import pytest

from mini_repr.metrics import curvature, dime, infonce_bound, lidar, matrix_entropy, prompt_entropy


def rows(n=30, d=6, seed=0, dtype="float64"):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(dtype)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("shape", [(30, 6), (6, 30), (1, 4)])
def test_entropy_follows_the_definition(alpha, shape):
    z = rows(*shape)
    assert matrix_entropy(z, alpha) == pytest.approx(matrix_entropy.definition(z, alpha), rel=1e-9, abs=1e-12)
    assert matrix_entropy(z * 1e200, alpha) == pytest.approx(matrix_entropy(z, alpha), rel=1e-9, abs=1e-12)


def test_entropy_of_known_spectra():
    orthonormal = np.linalg.qr(rows(8, 5))[0]
    for alpha in (0.5, 1.0, 2.0):
        assert matrix_entropy(orthonormal, alpha) == pytest.approx(math.log(5))
        assert matrix_entropy(orthonormal, alpha, normalize=True) == pytest.approx(1)
        assert matrix_entropy(np.tile(rows(1, 5), (8, 1)), alpha) == pytest.approx(0, abs=1e-9)
    assert matrix_entropy(rows(1, 5), normalize=True) == 0
    spectrum = np.diag(np.sqrt([0.5, 0.25, 0.25]))
    assert matrix_entropy(spectrum) == pytest.approx(1.5 * math.log(2))
    assert matrix_entropy(spectrum, 2.0) == pytest.approx(-math.log(0.375))
    # order 2 needs no spectrum: tr(K²)/tr(K)² is a ratio of sums of squares
    z = rows()
    gram = z @ z.T
    assert matrix_entropy(z, 2.0) == pytest.approx(-math.log((gram**2).sum() / np.trace(gram) ** 2))


def test_prompts_are_measured_without_their_padding():
    tokens, mask = rows(3 * 7, 4).reshape(3, 7, 4), np.arange(7) < np.array([[7], [3], [0]])
    expected = (matrix_entropy(tokens[0]) + matrix_entropy(tokens[1, :3])) / 2
    assert prompt_entropy(tokens, mask) == pytest.approx(expected)
    tokens[1, 3:] = 1e6
    assert prompt_entropy(tokens, mask) == pytest.approx(expected)
    assert prompt_entropy(tokens[:1]) == pytest.approx(matrix_entropy(tokens[0]))


def test_curvature_of_known_paths():
    line = np.arange(5.0)[:, None] * rows(1, 3)
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]], dtype=float)
    back = np.array([[0.0], [1.0], [0.0], [1.0]])
    assert curvature(line[None]) == pytest.approx(0, abs=1e-7)
    assert curvature(square[None]) == pytest.approx(math.pi / 2)
    assert curvature(back[None]) == pytest.approx(math.pi)
    hexagon = np.stack([np.cos(np.arange(7) * np.pi / 3), np.sin(np.arange(7) * np.pi / 3)], axis=1)
    assert curvature(hexagon[None].astype("float32")) == pytest.approx(math.pi / 3, rel=1e-5)
    assert curvature(np.stack([square, square]), np.arange(5) < np.array([[5], [2]])) == pytest.approx(math.pi / 2)
    paused = np.array([[0, 0], [1, 0], [1, 0], [1, 1]], dtype=float)
    assert curvature(paused[None]) == 0
    # Between states, as compute_curvature of OFSkean/information_flow has it on unit rows.
    assert curvature(hexagon[None], of="states") == pytest.approx(math.pi / 3)
    assert curvature(1 + line[None][:, 1:], of="states") < curvature(line[None][:, 1:] + rows(4, 3), of="states")
    unrelated = np.cumsum(rows(2000, 400), axis=0)
    assert curvature(unrelated[None]) == pytest.approx(math.pi / 2, abs=0.01)


def test_lidar_counts_the_directions_that_tell_samples_apart():
    rng = np.random.default_rng(0)
    signal = np.linalg.qr(rng.normal(size=(200, 3)) - 0)[0]
    signal = (signal - signal.mean(axis=0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(signal.T))).T
    sample = np.concatenate([signal, np.zeros((200, 2))], axis=1)
    jitter = np.concatenate([np.zeros((200, 3)), rng.normal(size=(200, 2))], axis=1)
    views = sample + jitter, sample - jitter
    assert lidar(*views) == pytest.approx(3, rel=1e-6)
    scale = np.diag([10.0, 1.0, 1.0, 5.0, 0.1])  # the rows' own rank sees the scale
    assert lidar(*(view @ scale for view in views), delta=1e-12) < 1.2  # without noise within, delta is the yardstick
    noise = 0.1 * rng.normal(size=(200, 5))
    noisy = [(view + sign * noise) @ scale for view, sign in zip(views, (1, -1), strict=True)]
    assert lidar(*noisy, delta=1e-12) == pytest.approx(lidar(views[0] + noise, views[1] - noise, delta=1e-12), rel=1e-6)


def test_lidar_of_more_than_two_views():
    views = [rows(40, 4), rows(40, 4, 1), rows(40, 4, 2)]
    expected = lidar.definition(*views[:2], more=views[2][None])
    assert lidar(*views[:2], more=views[2][None]) == pytest.approx(expected, rel=1e-9)
    assert expected != pytest.approx(lidar(*views[:2]), rel=1e-3)


def test_dime_of_paired_and_unpaired_views():
    a = rows(24, 3)
    paired = dime(a, a + 0.1 * rows(24, 3, 1))
    assert paired > 0.3
    assert abs(dime(a, rows(24, 3, 2))) < 0.1 * paired
    assert dime(a, np.tile(rows(1, 3), (24, 1))) == pytest.approx(0, abs=1e-9)
    assert dime(a, a, seed=1) == dime(a, a, seed=1)
    # orthonormal rows know each other already: A ∘ P B Pᵀ = I whatever P
    assert dime(np.eye(5), np.eye(5)) == pytest.approx(0, abs=1e-12)


def test_infonce_bound_between_chance_and_certainty():
    a = np.eye(8)
    assert infonce_bound(a, a, temperature=0.01) == pytest.approx(1)
    assert infonce_bound(a, np.tile(rows(1, 8), (8, 1))) == pytest.approx(0, abs=1e-12)
    assert infonce_bound(a, np.roll(a, 1, axis=0)) < 0


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: matrix_entropy(np.zeros((3, 2))), "matrix_entropy: z: got zeros only"),
        (lambda: matrix_entropy(rows(), 0.0), "matrix_entropy: alpha: got 0, expected a number"),
        (
            lambda: prompt_entropy(rows()),
            r"prompt_entropy: tokens: got shape \(30, 6\), expected an array of shape \(B, T, D\)",
        ),
        (
            lambda: prompt_entropy(rows(6, 2).reshape(2, 3, 2), np.ones((2, 3))),
            "prompt_entropy: mask: got dtype float64, expected booleans",
        ),
        (
            lambda: prompt_entropy(rows(6, 2).reshape(2, 3, 2), np.zeros((2, 3), bool)),
            "prompt_entropy: mask: got a mask that is False everywhere",
        ),
        (
            lambda: curvature(rows(4, 2).reshape(2, 2, 2)),
            r"curvature: tokens: got shape \(2, 2, 2\), expected shape \(B, T>=3, D\)",
        ),
        (lambda: curvature(np.full((1, 3, 2), np.nan)), "curvature: tokens: got a NaN"),
        (
            lambda: curvature(rows(8, 2).reshape(2, 4, 2), np.arange(4) < np.array([[2], [0]])),
            "curvature: mask: got no text of 3 or more tokens",
        ),
        (lambda: lidar(rows(), rows(29)), r"lidar: b: got shape \(29, 6\), expected shape \(N=30 as in a"),
        (lambda: lidar(rows(), rows(), delta=0.0), "lidar: delta: got 0, expected a number"),
        (lambda: lidar(rows(), -rows()), "lidar: a: got views of the same mean for every sample"),
        (lambda: dime(rows(), rows(29)), r"dime: b: got shape \(29, 6\), expected shape \(N=30 as in a"),
        (lambda: dime(rows(), rows(), permutations=0), "dime: permutations: got 0, expected a whole number from 1"),
        (lambda: infonce_bound(rows(1), rows(1)), r"infonce_bound: a: got shape \(1, 6\), expected shape \(N>=2, D\)"),
        (lambda: infonce_bound(rows(), rows(), 0.0), "infonce_bound: temperature: got 0, expected a number"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
