"""Forgetting without labels: the two losses, their gradients, and a class that goes."""

import math
from copy import deepcopy

import numpy as np
import pytest

from mini_repr.autograd import Tensor
from mini_repr.nn import MLP
from mini_repr.posthoc.unlearning.laf import (
    alignment_loss,
    fit_autoencoder,
    forget_without_labels,
    leaving_loss,
    rows_before,
)


class Fixed:
    """An autoencoder that rebuilds every row as a constant: d = |e|² for zeros."""

    def distance(self, rows, noise):
        return (rows**2).sum(axis=1)


def test_the_leaving_loss_by_hand_and_its_gradient():
    rng = np.random.default_rng(0)
    remain, forget = rng.normal(size=(5, 3)), rng.normal(size=(4, 3))
    e, f = Tensor(remain, True), Tensor(forget, True)
    loss = leaving_loss(e, f, Fixed(), Fixed(), None, None)
    loss.backward()

    def reach(rows):
        return [math.exp(d / (1 + d)) for d in (rows**2).sum(axis=1)]

    assert float(loss.data) == pytest.approx(sum(reach(remain)) - sum(reach(forget)))
    assert all(1 <= s < math.e for s in reach(1e3 * remain) + reach(0 * remain))
    for tensor, rows, sign in ((e, remain, 1), (f, forget, -1)):
        slope = sign * np.array(reach(rows)) / (1 + (rows**2).sum(axis=1)) ** 2
        np.testing.assert_allclose(tensor.grad, slope[:, None] * 2 * rows, rtol=1e-12)
    swapped = leaving_loss(Tensor(forget), Tensor(remain), Fixed(), Fixed(), None, None)
    assert float(swapped.data) == pytest.approx(-float(loss.data))


def test_the_alignment_loss_by_hand_and_its_gradient():
    rng = np.random.default_rng(1)
    rows = [rng.normal(size=shape) for shape in ((5, 3), (5, 3), (4, 3), (4, 3))]
    e, f = Tensor(rows[0], True), Tensor(rows[2], True)
    loss = alignment_loss(e, rows[1], f, rows[3], 2.0)
    loss.backward()

    def cosine(a, b):
        return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)

    c, gone = 1 - cosine(*rows[:2]), 1 - cosine(*rows[2:])
    total = np.exp(gone / 2).sum()
    assert float(loss.data) == pytest.approx(sum(math.log(math.exp(v) / total) for v in c))
    u, old = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in rows[:2])
    expected = -(old - cosine(*rows[:2])[:, None] * u) / np.linalg.norm(rows[0], axis=1, keepdims=True)
    np.testing.assert_allclose(e.grad, expected, rtol=1e-10)
    np.testing.assert_allclose((e.grad * rows[0]).sum(axis=1), 0, atol=1e-14)
    u, old = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in rows[2:])
    slope = -(old - cosine(*rows[2:])[:, None] * u) / np.linalg.norm(rows[2], axis=1, keepdims=True)
    weights = -5 / 2 * np.exp(gone / 2) / total
    np.testing.assert_allclose(f.grad, weights[:, None] * slope, rtol=1e-10)


def test_rows_that_did_not_move_give_minus_n_log_m():
    rows = np.random.default_rng(2).normal(size=(4, 3))
    loss = alignment_loss(Tensor(rows), rows, Tensor(rows[:3]), rows[:3], 5.0)
    assert float(loss.data) == pytest.approx(-4 * math.log(3))


def test_an_autoencoder_rebuilds_its_own_rows_better_than_others():
    rng = np.random.default_rng(3)
    own = (rng.normal(size=(200, 2)) @ rng.normal(size=(2, 6)) * 5).astype(np.float32)
    made = fit_autoencoder(own, rng, 300, 0.01)
    noise = np.zeros((200, made.latent), np.float32)
    near = float(made.distance(Tensor(own), noise).data.mean())
    other = rng.permuted(own, axis=0)
    assert near < 0.2 * float(made.distance(Tensor(other), noise).data.mean())


def test_one_group_leaves_and_the_others_stay():
    """Without labels: rows of three groups, one to forget."""
    rng = np.random.default_rng(4)
    centres = 3 * rng.normal(size=(3, 8))
    groups = np.arange(180) % 3
    x = (centres[groups] + rng.normal(size=(180, 8))).astype(np.float32)
    extractor = MLP((8, 32, 16), np.random.default_rng(5))
    before = deepcopy(extractor)
    rates = {"lr_leave": 2e-3, "lr_align": 4e-3}
    forget_without_labels(
        extractor, x[groups == 0], x[groups > 0], autoencoder_steps=150, epochs=10, batch_size=20, **rates
    )

    def moved(part):
        a, b = rows_before(extractor, part), rows_before(before, part)
        return 1 - (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)

    assert moved(x[groups == 0]).mean() > 0.2 > 5 * moved(x[groups > 0]).mean()


def test_mistakes_are_named():
    x = np.ones((4, 3), np.float32)
    with pytest.raises(ValueError, match="forget_without_labels: temperature: got 0"):
        forget_without_labels(MLP((3, 2), np.random.default_rng(0)), x, x, temperature=0)
    with pytest.raises(ValueError, match="forget_without_labels: remain: got shape"):
        forget_without_labels(MLP((3, 2), np.random.default_rng(0)), x, x[:, :2])
