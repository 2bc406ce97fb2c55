"""Noises are moved apart in what they would become, and nowhere else."""

import numpy as np

from mini_repr.methods.diverse_noise import diversified

SEEN = np.arange(12) < 5  # what the network makes of noise depends on these numbers alone


def clean_of(z):
    rows = np.where(SEEN, z, 0) + 2 * np.eye(12)[0]
    return rows.astype(z.dtype)


def spread(z):
    u = clean_of(z) / np.linalg.norm(clean_of(z), axis=1, keepdims=True)
    return 1 - float((u @ u.T)[~np.eye(len(z), dtype=bool)].mean())


def test_what_they_would_become_lies_farther_apart_and_the_first_noise_is_left_as_it_was():
    noise = np.random.default_rng(0).standard_normal((6, 12)).astype(np.float32)
    before = noise.copy()
    moved = diversified(noise, clean_of, steps=20)
    np.testing.assert_array_equal(noise, before)
    assert moved.dtype == np.float32 and spread(moved) > spread(noise) + 0.03
    np.testing.assert_array_equal(moved[:, ~SEEN], noise[:, ~SEEN])
    np.testing.assert_array_equal(moved, diversified(noise, clean_of, steps=20))
    np.testing.assert_array_equal(diversified(noise, clean_of, steps=0), noise)


def test_without_the_pull_they_move_farther():
    noise = np.random.default_rng(1).standard_normal((6, 12)).astype(np.float32)
    held, free = (diversified(noise, clean_of, steps=30, gamma=g) for g in (None, 1e9))
    assert np.abs(free - noise).mean() > np.abs(held - noise).mean()
