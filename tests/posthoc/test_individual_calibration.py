"""Tuning that keeps rows near those learnt without labels: each part of the loss, and what they do together."""

import numpy as np
import pytest

from mini_repr.losses.scores.cross_entropy import cross_entropy
from mini_repr.nn import ImageMLP, Linear
from mini_repr.posthoc.individual_calibration import mixed_loss, tune_calibrated

RNG = np.random.default_rng(0)
LABELS = np.arange(60) % 3
IMAGES = (RNG.normal(size=(3, 1, 4, 4))[LABELS] * 2 + RNG.normal(size=(60, 1, 4, 4))).astype(np.float32)


def encoder():
    return ImageMLP((1, 4, 4), np.random.default_rng(1), width=6, hidden=16, depth=2)


def moved(made):
    """How far rows went, as a share of the mean square."""
    old = encoder().eval()(IMAGES).pooled.data
    return float(((made.encoder(IMAGES).pooled.data - old) ** 2).sum() / (old**2).sum())


def test_mixup_by_hand_and_without():
    net, head = encoder().eval(), Linear(6, 3, np.random.default_rng(2))
    found = mixed_loss(net, head, IMAGES[:5], LABELS[:5], 1.0, np.random.default_rng(3))
    rng = np.random.default_rng(3)
    share, other = rng.beta(1.0, 1.0), rng.permutation(5)
    scores = head(net((share * IMAGES[:5] + (1 - share) * IMAGES[:5][other]).astype(np.float32)).pooled).data
    each = [-np.log(np.exp(s) / np.exp(s).sum()) for s in scores.astype(np.float64)]
    costs = [share * e[i] + (1 - share) * e[j] for e, i, j in zip(each, LABELS[:5], LABELS[other], strict=True)]
    expected = np.mean(costs)
    assert float(found.data) == pytest.approx(expected, rel=1e-5)
    plain = mixed_loss(net, head, IMAGES[:5], LABELS[:5], 0.0, rng)
    assert float(plain.data) == pytest.approx(float(cross_entropy(head(net(IMAGES[:5]).pooled), LABELS[:5]).data))


def test_a_larger_distance_weight_keeps_rows_nearer_and_labels_are_learnt():
    found = {}
    for weight in (0.0, 1.0, 100.0):
        made = tune_calibrated(encoder(), IMAGES, LABELS, distance=weight, mixup=0.0, epochs=15, lr=1e-2, batch_size=16)
        found[weight] = moved(made)
        assert (made.scores(IMAGES).argmax(axis=1) == LABELS).mean() > 0.8
    assert found[0.0] > 2 * found[1.0] > 4 * found[100.0]


def test_samples_teach_the_head_alone():
    rows = encoder().eval()(IMAGES).pooled.data
    wrong = (LABELS + 1) % 3
    settings = {"mixup": 0.0, "distance": 1e4, "epochs": 25, "lr": 1e-2, "batch_size": 16}
    alone = tune_calibrated(encoder(), IMAGES, wrong, **settings)
    many = np.tile(rows, (3, 1)), np.tile(LABELS, 3)
    settings["epochs"] = 120  # of one step each
    taught = tune_calibrated(encoder(), IMAGES[:6], wrong[:6], *many, **settings)
    assert (alone.scores(IMAGES).argmax(axis=1) == wrong).mean() > 0.8
    assert (taught.scores(IMAGES).argmax(axis=1) == LABELS).mean() > 0.6
    again = tune_calibrated(encoder(), IMAGES[:6], wrong[:6], *many, **settings)
    np.testing.assert_array_equal(again.scores(IMAGES), taught.scores(IMAGES))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"samples": np.ones((3, 6), np.float32)}, "samples: got some without sample_labels"),
        ({"distance": -1.0}, "tune_calibrated: distance: got -1"),
        ({"labels": LABELS[:-1]}, "tune_calibrated: labels: got shape"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        tune_calibrated(encoder(), **{"images": IMAGES, "labels": LABELS, **arguments})


def test_samples_of_another_width_are_refused():
    with pytest.raises(ValueError, match="samples: got rows of 5 numbers, expected 6, the encoder's"):
        tune_calibrated(encoder(), IMAGES, LABELS, np.ones((4, 5), np.float32), np.arange(4))
