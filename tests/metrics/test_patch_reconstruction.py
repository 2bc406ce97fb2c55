"""Patch reconstruction: against least squares and projections whose loss is known."""

import numpy as np
import pytest
from device_double import DOUBLE

from mini_repr.metrics import patch_reconstruction_loss

TRAIN, TEST, PATCHES, WIDTH = 400, 60, 3, 4
LINEAR = {"layers": 1, "lr": 0.02, "steps": 400}


def patches(seed=0):
    return np.random.default_rng(seed).standard_normal((TRAIN + TEST, PATCHES, WIDTH))


def loss_of(x, c, **settings):
    return patch_reconstruction_loss(x[:TRAIN], c[:TRAIN], x[TRAIN:], c[TRAIN:], **settings)


def standardised(x):
    train = x[:TRAIN].reshape(-1, x.shape[2])
    return (x - train.mean(axis=0)) / train.std(axis=0)


def test_an_invertible_projection_loses_nothing():
    x = patches()
    mixed = x @ (np.eye(WIDTH) + 0.3 * np.random.default_rng(1).standard_normal((WIDTH, WIDTH))) + 5
    found = loss_of(x, mixed, **LINEAR)
    assert found.shape == (TEST, PATCHES) and found.max() < 1e-3


def test_a_linear_network_is_least_squares():
    rng = np.random.default_rng(2)
    x = patches() @ rng.standard_normal((WIDTH, WIDTH)) + 3
    c = x @ rng.standard_normal((WIDTH, 2)) + 0.5 * rng.standard_normal((len(x), PATCHES, 2))
    target, given = standardised(x), standardised(c)
    fitted = np.linalg.lstsq(given[:TRAIN].reshape(-1, 2), target[:TRAIN].reshape(-1, WIDTH), rcond=None)[0]
    expected = ((given[TRAIN:] @ fitted - target[TRAIN:]) ** 2).mean(axis=2)
    found = loss_of(x, c, **LINEAR)
    assert expected.mean() > 0.1
    np.testing.assert_allclose(found, expected, rtol=0.05, atol=0.02)


@pytest.mark.parametrize("settings", [LINEAR, {"steps": 400, "hidden": 32, "lr": 3e-3}])
def test_a_dropped_subspace_is_lost_and_no_more(settings):
    x = patches()
    found = loss_of(x, x[:, :, :3], **settings)
    expected = standardised(x)[TRAIN:, :, 3] ** 2 / WIDTH
    assert abs(found.mean() - expected.mean()) < 0.02
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.98


def test_a_destroyed_patch_is_lost_there_alone():
    x = patches()
    c = x.copy()
    c[:, 1] = 0
    found = loss_of(x, c, **LINEAR).mean(axis=0)
    assert found[1] == pytest.approx(1, abs=0.15)
    assert max(found[0], found[2]) < 0.01


def test_merged_tokens_give_back_what_they_hold():
    """Two patches side by side are all there; their sum tells half the variance of each."""
    x = patches()[:, :2]
    sides = loss_of(x, x.reshape(len(x), 1, -1), **LINEAR)
    assert sides.shape == (TEST, 2) and sides.max() < 0.02
    summed = loss_of(x, x.sum(axis=1, keepdims=True), **LINEAR)
    expected = ((x[TRAIN:, 0] - x[TRAIN:, 1]) ** 2).mean(axis=1) / 4
    assert abs(summed.mean() - expected.mean()) < 0.05
    assert min(np.corrcoef(side, expected)[0, 1] for side in summed.T) > 0.95


def test_hidden_layers_undo_what_a_linear_network_cannot():
    angle = patches()[:, :, :1]
    circle = np.concatenate([np.sin(2 * angle), np.cos(2 * angle)], axis=2)
    assert loss_of(circle, angle, **LINEAR).mean() > 0.7
    assert loss_of(circle, angle, hidden=32, lr=1e-2, steps=400).mean() < 0.05


def test_units_do_not_count_and_a_constant_dimension_is_free():
    x, c = patches(), patches()[:, :, :2]
    plain = loss_of(x, c, **LINEAR)
    np.testing.assert_allclose(loss_of(100 * x - 7, 3 * c + 2, **LINEAR), plain, rtol=1e-6, atol=1e-9)
    wide = np.concatenate([x, np.full((*x.shape[:2], WIDTH), 0.1)], axis=2)
    wide[TRAIN:, :, WIDTH:] = 0.2
    np.testing.assert_allclose(loss_of(wide, c, **LINEAR), plain / 2, rtol=0.1, atol=0.02)


def test_test_items_do_not_train():
    x = patches()
    other = x.copy()
    other[-1] += 10
    np.testing.assert_array_equal(
        loss_of(x, x[:, :, :2], steps=20)[:-1], loss_of(other, other[:, :, :2], steps=20)[:-1]
    )


def test_the_seed_decides():
    x = patches().astype("float32")
    found = [loss_of(x, x[:, :, :2], steps=20, seed=seed) for seed in (3, 3, 4)]
    assert found[0].dtype == "float32"
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()


@pytest.mark.parametrize("tokens", [PATCHES, 1])
def test_runs_where_the_patches_live(tokens):
    x = patches()
    c = x[:, :tokens]
    split = x[:TRAIN], c[:TRAIN], x[TRAIN:], c[TRAIN:]
    on_device = patch_reconstruction_loss(*map(DOUBLE.asarray, split), steps=5)
    np.testing.assert_allclose(DOUBLE.to_numpy(on_device), patch_reconstruction_loss(*split, steps=5), rtol=1e-9)


X = patches()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"train_patches": X[0]}, r"train_patches: got shape \(3, 4\), expected an array of shape \(K, P, D\)"),
        ({"test_patches": [[1.0]]}, "test_patches: got list, expected an array"),
        ({"train_projected": X * np.nan}, "train_projected: got a NaN"),
        ({"test_patches": X.astype(int)}, "test_patches: got dtype int64, expected float32 or float64"),
        (
            {"test_projected": X.astype("float32")},
            "test_projected: got dtype float32, expected float64, as train_patches has",
        ),
        (
            {"test_patches": X[:, :2]},
            r"test_patches: got shape .460, 2, 4., expected shape .N, P=3 as in train_patches, D=4",
        ),
        (
            {"test_projected": X[:, :, :2]},
            r"test_projected: got shape .460, 3, 2., expected shape .N=460 as in test_patches, M=3 as in train_pr",
        ),
        (
            {"train_projected": X[1:]},
            r"train_projected: got shape .459, 3, 4., expected shape .K=460 as in train_patches",
        ),
        ({"layers": 0}, "layers: got 0, expected a whole number from 1"),
        ({"steps": 0}, "steps: got 0, expected a whole number from 1"),
        ({"lr": 0.0}, "lr: got 0, expected a number"),
    ],
)
def test_bad_arguments(change, message):
    names = ("train_patches", "train_projected", "test_patches", "test_projected")
    with pytest.raises(ValueError, match=f"^patch_reconstruction_loss: {message}"):
        patch_reconstruction_loss(**(dict.fromkeys(names, X) | change))
