"""Orbit distances, exact invariance whatever the weights, and a network that has learnt a frame."""

import numpy as np
import pytest

from mini_repr.autograd import Tensor
from mini_repr.data.generated.lorentz_pairs import METRIC, lorentz_pairs, random_observer
from mini_repr.data.readers.npz import read_arrays
from mini_repr.posthoc.estimator import load_fitted
from mini_repr.posthoc.orbit import GROUPS, OrbitSymmetrised, Symmetrised, moved_back, orbit_distance


def element(group, rng):
    """A matrix of the group."""
    if group == "lorentz":
        return random_observer(rng)
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def moved(x, h):
    """h x_i of all vectors of rows (N, n d)."""
    return (x.reshape(len(x), -1, len(h)) @ h.T).reshape(x.shape)


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("distance", ["absolute", "square"])
def test_the_distance_is_0_in_the_group_alone_and_does_not_change_along_it(group, distance):
    rng = np.random.default_rng(0)
    size = len(GROUPS[group].metric)
    inside = np.stack([element(group, rng) for _ in range(5)])
    assert float(orbit_distance(Tensor(inside), group, distance).data) < 1e-12
    g, h = rng.normal(size=(5, size, size)), element(group, rng)
    there, here = (float(orbit_distance(Tensor(m), group, distance).data) for m in (h @ g, g))
    assert there == pytest.approx(here) and here > 0.1
    zeros = float(orbit_distance(Tensor(np.zeros((1, size, size))), group, distance).data)
    assert zeros == {"lorentz": 0.25, "so2": 0.75}[group]
    mirrored = float(orbit_distance(Tensor(np.diag([1.0, *[-1.0] * (size - 1)])[None]), group, "absolute").data)
    assert mirrored == {"lorentz": 0.0, "so2": 0.5}[group]  # O(1, 3) has mirrors, SO(2) has none


def test_the_gradient_of_the_distance_is_that_of_the_text():
    g = Tensor(np.random.default_rng(1).normal(size=(1, 4, 4)), True)
    orbit_distance(g, "lorentz").backward()
    signs = np.sign(g.data[0].T @ METRIC @ g.data[0] - METRIC) / 16
    np.testing.assert_allclose(g.grad[0], METRIC @ g.data[0] @ (signs + signs.T), atol=1e-14)


@pytest.mark.parametrize("group", GROUPS)
def test_an_untrained_generator_turns_with_its_input_and_the_answer_does_not_change(group):
    rng = np.random.default_rng(2)
    size = len(GROUPS[group].metric)
    net = Symmetrised(group, 3, 2, 8, rng, np.float64)
    x, noise, h = rng.normal(size=(6, 3, size)), rng.normal(size=(6, 1)), element(group, rng)
    g = net.generator(Tensor(x), noise).data
    np.testing.assert_allclose(net.generator(Tensor(x @ h.T), noise).data, h @ g, atol=1e-10)
    np.testing.assert_allclose(net(x @ h.T, noise)[0].data, net(x, noise)[0].data, atol=1e-9)
    assert np.abs(net(x, noise + 1)[0].data - net(x, noise)[0].data).max() > 1e-3
    frame = element(group, rng)[None]
    expected = x[:1] @ np.linalg.inv(frame[0]).T
    np.testing.assert_allclose(moved_back(Tensor(x[:1]), Tensor(frame), group).data, expected, atol=1e-12)


def test_a_frame_is_learnt_and_rotated_rows_are_told_apart():
    """Triangles of two shapes at any angle; training rows all stand upright."""
    rng = np.random.default_rng(3)
    labels = np.arange(200) % 2
    corners = np.array([[0, 0, 2, 0, 0, 1], [0, 0, 2, 0, 0, -1]], dtype=float)  # mirror images
    x = corners[labels] + 0.1 * rng.normal(size=(200, 6))
    fitted = OrbitSymmetrised("so2", steps=200, hidden=16, lr=1e-2).fit(x, labels)
    turned = np.concatenate([moved(row[None], element("so2", rng)) for row in x])
    assert (fitted.predict(turned).argmax(axis=1) == labels).mean() > 0.95
    np.testing.assert_allclose(fitted.predict(turned), fitted.predict(x), atol=1e-3)
    np.testing.assert_allclose(fitted.transform(turned), fitted.transform(x), atol=1e-4)
    assert fitted.distance_ < 0.2
    loose = OrbitSymmetrised("so2", steps=200, hidden=16, lr=1e-2, orbit=0.0).fit(x, labels)
    assert loose.distance_ > 3 * fitted.distance_


def test_numbers_are_learnt_too_and_a_file_answers_the_same(tmp_path):
    vectors, targets = lorentz_pairs(300, np.random.default_rng(4))
    x, h = vectors.reshape(300, 16), random_observer(np.random.default_rng(5))
    fitted = OrbitSymmetrised("lorentz", steps=60, hidden=16, distance="square").fit(x, targets)
    found = fitted.predict(x)
    assert found.shape == (300,)
    np.testing.assert_allclose(fitted.predict(moved(x, h)), found, rtol=1e-2, atol=1e-3 * targets.std())
    fitted.save(tmp_path / "orbit.npz")
    again = load_fitted(read_arrays(tmp_path / "orbit.npz"), "orbit.npz")
    np.testing.assert_array_equal(again.predict(x), found)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda x, y: OrbitSymmetrised("lorentz").fit(x, y), "orbit: z: got rows of 6 numbers, expected vectors of 4"),
        (lambda x, y: OrbitSymmetrised("o3").fit(x, y), "group: got 'o3', expected one of so2, lorentz"),
        (lambda x, y: OrbitSymmetrised().fit(x, y[:-1]), "orbit: targets: got int64 of shape"),
        (lambda x, y: OrbitSymmetrised().fit(x, y - 1), "orbit: targets: got int64 of shape"),
        (lambda x, y: OrbitSymmetrised().fit(x, y / 0.0), "orbit: targets: got float64 of shape"),
        (lambda x, y: OrbitSymmetrised().predict(x), "got rows before fit"),
        (lambda x, y: OrbitSymmetrised(steps=1).fit(x, y).predict(x[:, :4]), "orbit: z: got shape"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_mistakes_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make(np.random.default_rng(6).normal(size=(20, 6)), np.arange(20) % 2)
