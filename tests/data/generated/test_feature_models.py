"""Generators that give arrays: each has the property that its rows are for, within what its size lets one see."""

import numpy as np
import pytest

from mini_repr.data import digits
from mini_repr.data.generated.bars import SECTORS, bar_images, bars
from mini_repr.data.generated.bit_digits import bit_digits, redrawn_bits
from mini_repr.data.generated.corrupted_neuron import corrupted_neuron
from mini_repr.data.generated.discrete_joint import OWN_CLASS, discrete_joint
from mini_repr.data.generated.linear_tasks import linear_tasks, task_rows
from mini_repr.data.generated.lorentz_pairs import METRIC, lorentz_pairs, matrix_element, minkowski, random_observer
from mini_repr.data.generated.two_parts import two_parts


def rng(seed=0):
    return np.random.default_rng(seed)


MADE = {
    "bit_digits": lambda r: bit_digits(digits().test, 4, 2, r),
    "discrete_joint": lambda r: discrete_joint(10, 12, 3, r),
    "two_parts": lambda r: two_parts(20, 0.5, r),
    "linear_tasks": lambda r: linear_tasks(8, 6, 3, 2, r),
    "corrupted_neuron": lambda r: corrupted_neuron(50, 4, 0.1, r),
    "lorentz_pairs": lambda r: lorentz_pairs(10, r),
    "bars": lambda r: bars(5, r),
}


@pytest.mark.parametrize("name", MADE)
def test_same_seed_same_bits(name):
    first, again, other = MADE[name](rng()), MADE[name](rng()), MADE[name](rng(1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize(
    "make, part",
    [
        (lambda: bit_digits(digits().test, -1, 1, rng()), "bits -1 and repeat 1"),
        (lambda: bit_digits(digits().test, 1, 0, rng()), "repeat 0"),
        (lambda: discrete_joint(2, 60, 3, rng()), "3 classes of 2 images"),
        (lambda: two_parts(5, -1.0, rng()), "dependence -1"),
        (lambda: two_parts(5, 1.0, rng(), shared=21), "21 shared directions"),
        (lambda: linear_tasks(8, 6, 7, 2, rng()), "rank 7 in width 6"),
        (lambda: linear_tasks(8, 6, 3, 9, rng()), "9 relevant of 8"),
        (lambda: corrupted_neuron(5, 4, 1.5, rng()), "share is 1.5"),
        (lambda: corrupted_neuron(5, 4, 0.1, rng(), law="cauchy"), "law is 'cauchy', expected gaussian or exponential"),
        (lambda: bars(5, rng(), size=4), "size is 4"),
    ],
)
def test_what_does_not_fit_is_refused(make, part):
    with pytest.raises(ValueError, match=part):
        make()


def test_bits_stand_beside_the_pixels_and_leave_them_alone():
    part = digits().train
    drawn = bit_digits(part, 8, 4, rng())
    assert drawn.rows.shape == (1437, 64 + 32) and drawn.rows.dtype == np.float32
    assert np.array_equal(drawn.rows[:, :64], part.images.reshape(1437, -1))
    assert np.array_equal(drawn.rows[:, 64:].reshape(1437, 8, 4), np.repeat(drawn.bits[:, :, None], 4, axis=2))
    assert abs(drawn.bits.mean() - 0.5) < 4 * 0.5 / np.sqrt(drawn.bits.size)
    # Independent of the digit: no class's share of ones leaves four deviations.
    shares = np.array([drawn.bits[drawn.labels == c].mean() for c in range(10)])
    assert np.abs(shares - 0.5).max() < 4 * 0.5 / np.sqrt(8 * 130)
    for keep in (0.0, 0.5, 1.0):
        view = redrawn_bits(drawn, 4, keep, rng(1))
        assert np.array_equal(view[:, :64], drawn.rows[:, :64])
        stayed = (view[:, 64::4] == drawn.bits).mean()
        assert abs(stayed - (1 + keep) / 2) < 4 * 0.5 / np.sqrt(drawn.bits.size)


def test_the_joint_is_that_of_two_views_of_one_image():
    drawn = discrete_joint(30, 60, 3, rng())
    assert drawn.joint.sum() == pytest.approx(1) and np.allclose(drawn.joint, drawn.joint.T)
    assert np.linalg.eigvalsh(drawn.joint).min() > -1e-15, "a sum of outer products"
    assert np.allclose(drawn.views.sum(axis=1), 1) and drawn.views.min() > 0
    own = drawn.image_classes[:, None] == drawn.view_classes
    assert np.allclose((drawn.views * own).sum(axis=1), OWN_CLASS + (1 - OWN_CLASS) / 3)
    # By simulation: views of images drawn evenly.
    r = rng(1)
    images = r.integers(30, size=40000)
    first, second = ((r.random((40000, 1)) > drawn.views[images].cumsum(axis=1)).sum(axis=1) for _ in range(2))
    counts = np.zeros((60, 60))
    np.add.at(counts, (first, second), 1 / 40000)
    assert np.abs(counts - drawn.joint).max() < 5 * np.sqrt(drawn.joint.max() / 40000)
    information = (drawn.joint * np.log(drawn.joint / np.outer(drawn.joint.sum(1), drawn.joint.sum(0)))).sum()
    assert 0.5 < information < np.log(30)


@pytest.mark.parametrize("dependence", [0.0, 1.0])
def test_two_parts_depend_on_each_other_as_asked(dependence):
    drawn = two_parts(20000, dependence, rng())
    within = [x - np.stack([x[drawn.labels == c].mean(0) for c in range(5)])[drawn.labels] for x in drawn[:2]]
    values = np.linalg.svd(within[0].T @ within[1] / 20000, compute_uv=False)
    # Ten directions of covariance ``dependence``; sampling alone gives singular values of about this size.
    chance = (np.sqrt(50) + np.sqrt(20)) / np.sqrt(20000) * np.sqrt(1 + dependence**2)
    assert np.all(np.abs(values[:10] - dependence) < 1.5 * chance) and values[10:].max() < 1.5 * chance
    if not dependence:  # then what the second part says of the first is about the class alone: rank 4 once centred
        between = np.linalg.svd(np.cov(drawn.x1.T, drawn.x2.T)[:50, 50:], compute_uv=False)
        assert between[3] > 10 * between[4]


def test_linear_tasks_share_a_basis_and_few_make_the_target():
    world = linear_tasks(40, 30, 6, 4, rng())
    assert np.allclose(world.basis.T @ world.basis, np.eye(6)) and np.allclose(np.linalg.norm(world.weights, axis=0), 1)
    assert np.count_nonzero(world.relevance) == 4 and set(world.relevance) == {-1.0, 0.0, 1.0}
    assert np.allclose(world.weights @ world.relevance, world.target)
    x, y = task_rows(world, world.target, 4000, 0.5, rng(1))
    found, rest = np.linalg.lstsq(x, y)[:2]
    assert np.allclose(found, world.basis @ world.target, atol=5 * 0.5 / np.sqrt(4000))
    assert rest[0] / 4000 == pytest.approx(0.25, rel=0.1)


@pytest.mark.parametrize("law, mean", [("gaussian", 0.0), ("exponential", 0.5)])
@pytest.mark.parametrize("attack", ["zero", "triple"])
def test_the_adversary_changes_the_worst_labels_and_no_others(law, mean, attack):
    drawn = corrupted_neuron(5000, 20, 0.1, rng(), law, attack)
    reach = drawn.x @ drawn.weights
    assert drawn.changed.sum() == 500 and np.linalg.norm(drawn.weights) == pytest.approx(1)
    assert abs(drawn.x.mean() - mean) < 5 / np.sqrt(drawn.x.size)
    clean = np.maximum(reach, 0)
    assert np.array_equal(drawn.y[~drawn.changed], clean[~drawn.changed])
    assert np.array_equal(drawn.y[drawn.changed], (0 if attack == "zero" else 3) * clean[drawn.changed])
    if attack == "zero":
        assert reach[drawn.changed].min() >= reach[~drawn.changed].max()
    untouched = corrupted_neuron(100, 20, 0.0, rng(), law, attack)
    assert not untouched.changed.any() and np.array_equal(untouched.y, np.maximum(untouched.x @ untouched.weights, 0))


def test_no_observer_alters_the_matrix_element():
    drawn = lorentz_pairs(200, rng())
    for seed in range(5):
        g = random_observer(rng(seed))
        assert np.allclose(g.T @ METRIC @ g, METRIC)
        assert np.allclose(matrix_element(drawn.vectors @ g.T), drawn.targets)
    p1, p2, p3, p4 = drawn.vectors.swapaxes(0, 1)
    a, b = minkowski(p1, p3) - minkowski(p1, p1), minkowski(p2, p4) - minkowski(p2, p2)
    by_products = minkowski(p1, p2) * minkowski(p3, p4) - minkowski(p1, p3) * b - a * minkowski(p2, p4) + 4 * a * b
    assert np.allclose(drawn.targets, 4 * by_products)


def test_bars_lie_on_a_closed_curve():
    drawn = bars(400, rng())
    assert drawn.images.min() >= 0 and drawn.images.max() <= 1
    order = np.argsort(drawn.angles)
    closed = drawn.images[[*order, order[0]]].reshape(401, -1)
    steps = np.linalg.norm(np.diff(closed, axis=0), axis=1)
    across = np.linalg.norm(closed[0] - closed[200])
    assert steps.max() < across / 2, "neighbours by angle are neighbours, from the last to the first too"
    # The axis of a bar is the leading eigenvector of its ink's second moment.
    y, x = np.mgrid[:16, :16] - 7.5
    for image, angle in zip(drawn.images[:50, 0], drawn.angles, strict=False):
        moment = np.array([[(image * u * v).sum() for u in (x, y)] for v in (x, y)])
        axis = np.linalg.eigh(moment)[1][:, -1]
        assert abs(axis @ [np.cos(angle), np.sin(angle)]) > 0.99
    data = bar_images(count=400)
    assert np.bincount(data.train.labels, minlength=SECTORS).min() > 20
