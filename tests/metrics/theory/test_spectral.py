"""The spectral loss of linear encoders: its closed form against descent, collapse, suppression and layers."""

from itertools import pairwise

import numpy as np
import pytest

from mini_repr.metrics.theory import balanced_layers, spectral_minimiser
from mini_repr.metrics.theory.spectral import spectral_loss


def moments(v, s):
    """M and M⁺ of independent features of variance v whose views have noise s."""
    return np.diag(np.add(v, s)), np.diag(np.asarray(v, dtype=float))


def descended(layers, second, positive, lr=0.02, steps=3000):
    """Layers [W_1, ..., W_L] after gradient descent on the spectral loss."""
    for _ in range(steps):
        product = np.linalg.multi_dot([*layers[::-1], np.eye(len(second))])
        gradient = -4 * product @ positive + 4 * (product @ second @ product.T) @ product @ second
        grown = []
        for k, w in enumerate(layers):
            above = np.linalg.multi_dot([*layers[:k:-1], np.eye(len(w))]) if k + 1 < len(layers) else np.eye(len(w))
            below = np.linalg.multi_dot([*layers[:k][::-1], np.eye(len(second))]) if k else np.eye(len(second))
            grown.append(w - lr * above.T @ gradient @ below.T)
        layers = grown
    return layers


@pytest.mark.parametrize("width", [1, 2, 5])
def test_no_encoder_has_a_lower_loss(width):
    rng = np.random.default_rng(0)
    root, other = rng.normal(size=(2, 5, 5))
    second, positive = root @ root.T, other + other.T
    found = spectral_minimiser(second, positive, width)
    values, vectors = np.linalg.eigh(found.gram)
    encoder = (vectors * np.sqrt(np.maximum(values, 0))).T[-width:]
    assert spectral_loss(encoder, second, positive) == pytest.approx(found.least)
    for scale in (1e-3, 0.1, 1.0):
        for _ in range(20):
            moved = encoder + scale * rng.normal(size=encoder.shape)
            assert spectral_loss(moved, second, positive) >= found.least


def test_the_strongest_features_are_kept_and_views_decide_which():
    v, s = [1.0, 0.5, 2.0, 0.8], [0.1, 0.1, 3.0, 0.0]
    found = spectral_minimiser(*moments(v, s), width=2)
    np.testing.assert_allclose(found.strengths, sorted(np.divide(v, np.add(v, s)), reverse=True))
    np.testing.assert_allclose(np.flatnonzero(np.diag(found.gram) > 1e-12), [0, 3])
    np.testing.assert_allclose(np.diag(found.gram)[0], 1.0 / 1.1**2)
    # A view that disrupts feature 3 moves it behind feature 1; enough width keeps all.
    disrupted = spectral_minimiser(*moments(v, [0.1, 0.1, 3.0, 4.0]), width=2)
    np.testing.assert_allclose(np.flatnonzero(np.diag(disrupted.gram) > 1e-12), [0, 1])
    assert (np.diag(spectral_minimiser(*moments(v, s), width=4).gram) > 0.05).all()


def feature_model():
    """(M, M⁺ supervised, M⁺ unsupervised) of x = class e1 + subclass e2, to which views add noise in e3."""
    signs = np.array([(y, sub) for y in (-1, 1) for sub in (-1, 1)], dtype=float)
    second = np.diag([1.0, 1.0, 0.5])
    means = np.array([[y, signs[signs[:, 0] == y, 1].mean(), 0.0] for y in (-1.0, 1.0)])
    return second, means.T @ means / 2, np.diag([1.0, 1.0, 0.0])


def test_supervision_collapses_classes_and_the_joint_loss_does_not():
    second, supervised, unsupervised = feature_model()
    collapsed = spectral_minimiser(second, supervised, 2).gram
    np.testing.assert_allclose(collapsed, np.diag([1.0, 0.0, 0.0]), atol=1e-15)
    assert spectral_minimiser(second, unsupervised, 2).gram[1, 1] == pytest.approx(1)
    joint = spectral_minimiser(second, 0.9 * supervised + 0.1 * unsupervised, 2).gram
    assert joint[1, 1] == pytest.approx(0.1) and joint[0, 0] == pytest.approx(1)


def test_on_few_rows_the_minimum_of_least_norm_collapses_others_do_not():
    """Fewer rows than columns: encoders of the same training loss differ, and one of them tells subclasses apart."""
    rng = np.random.default_rng(1)
    labels, sub = np.repeat([0, 1], 4), np.tile([0, 1], 4)
    x = np.stack([2.0 * labels - 1, 2.0 * sub - 1], axis=1) @ np.eye(2, 12) + 0.3 * rng.normal(size=(8, 12))
    second = x.T @ x / 8
    means = np.stack([x[labels == c].mean(axis=0) for c in (0, 1)])
    positive = means.T @ means / 2
    found = spectral_minimiser(second, positive, 2)
    encoder = np.linalg.cholesky(found.gram + 1e-14 * np.eye(12)).T
    outside = np.linalg.svd(x)[2][8:]  # directions that no training row has
    assert np.abs(outside @ found.gram @ outside.T).max() < 1e-10
    other = np.concatenate([encoder, 3 * outside])
    assert spectral_loss(other, second, positive) == pytest.approx(found.least, abs=1e-6)


def test_descent_finds_the_closed_form_and_keeps_layers_balanced():
    v, s, rng = np.array([1.0, 0.7, 0.4]), np.array([0.1, 0.5, 0.2]), np.random.default_rng(2)
    second, positive = moments(v, s)
    gram = spectral_minimiser(second, positive, 3).gram
    np.testing.assert_allclose(np.diag(gram), v / (v + s) ** 2, rtol=1e-12)
    for count in (2, 3):
        turns = [np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(count + 1)]
        start = [0.4 * turns[k + 1] @ turns[k].T for k in range(count)]
        layers = descended(start, second, positive)
        product = np.linalg.multi_dot(layers[::-1])
        np.testing.assert_allclose(product.T @ product, gram, atol=1e-6)
        balance = [b.T @ b - a @ a.T for a, b in pairwise(layers)]
        assert np.abs(balance).max() < 0.01
        found = balanced_layers(gram, count)
        np.testing.assert_allclose(layers[0].T @ layers[0], found.first, atol=0.01)
        assert found.spread_before == pytest.approx(found.spread_after ** (1 / count))


def test_one_layer_is_its_own_first_and_scaling_all_features_changes_no_spread():
    gram = np.diag([4.0, 1.0, 0.0])
    one = balanced_layers(gram, 1)
    np.testing.assert_allclose(one.first, gram, atol=1e-15)
    assert one.spread_before == one.spread_after == pytest.approx(2)
    assert balanced_layers(9 * gram, 2)[1:] == pytest.approx(balanced_layers(gram, 2)[1:])
    assert balanced_layers(gram, 2).spread_before == pytest.approx(2**0.5)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: spectral_minimiser(np.diag([1.0, -1.0]), np.eye(2)), "second: got an eigenvalue of -1"),
        (
            lambda: spectral_minimiser(np.eye(2), np.triu(np.ones((2, 2)))),
            "positive: got a matrix that is not symmetric",
        ),
        (lambda: balanced_layers(np.zeros((2, 2))), "gram: got eigenvalues 0 to 0"),
    ],
)
def test_matrices_that_are_no_moments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
