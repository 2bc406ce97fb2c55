"""Filter-normalised directions and surfaces: lengths, invariance under rescaled layers, weights restored."""

import numpy as np
import pytest

from mini_repr.autograd import Tensor, no_grad
from mini_repr.nn import MLP
from mini_repr.posthoc.loss_landscape import curve, filter_normalised, non_convex_share, surface

X, LABELS = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32), np.arange(30) % 3


def net_and_loss(scale=1.0):
    """A ReLU net without biases to speak of, whose hidden layer is ``scale`` times larger and the next one smaller."""
    net = MLP((5, 8, 3), np.random.default_rng(1))
    first, second = net.linears
    first.weight.data *= scale
    second.weight.data /= scale

    def loss():
        with no_grad():
            scores = net(Tensor(X)).data
        scores = scores - scores.max(axis=1, keepdims=True)
        return float((np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(30), LABELS]).mean())

    return net, loss


def test_filters_of_a_direction_are_as_long_as_the_weights():
    net, _ = net_and_loss()
    net.linears[0].weight.data[:, 2] = 0
    direction = filter_normalised(net.named_parameters(), np.random.default_rng(2))
    for name, parameter in net.named_parameters().items():
        if parameter.ndim == 1:
            np.testing.assert_array_equal(direction[name], 0)
        else:
            lengths = np.linalg.norm(direction[name], axis=0)
            np.testing.assert_allclose(lengths, np.linalg.norm(parameter.data, axis=0), rtol=1e-6)
            assert direction[name].dtype == parameter.dtype
    assert not direction["linears.0.weight"][:, 2].any()


def test_rescaled_layers_have_the_same_surface_only_with_normalised_filters():
    steps = np.linspace(-1, 1, 5)
    curves, raw = [], []
    for scale in (1.0, 8.0):
        net, loss = net_and_loss(scale)
        parameters = net.named_parameters()
        curves.append(curve(loss, parameters, filter_normalised(parameters, np.random.default_rng(3)), steps))
        rng = np.random.default_rng(3)
        plain = {n: rng.standard_normal(p.shape).astype(np.float32) for n, p in parameters.items()}
        raw.append(curve(loss, parameters, plain, steps))
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-5)
    assert np.abs(raw[0] - raw[1]).max() > 0.1 * raw[0].max()


def test_the_middle_is_the_trained_loss_and_weights_come_back():
    net, loss = net_and_loss()
    parameters = net.named_parameters()
    before = {name: p.data.copy() for name, p in parameters.items()}
    first, second = (filter_normalised(parameters, np.random.default_rng(seed)) for seed in (4, 5))
    found = surface(loss, parameters, first, second, (-0.5, 0.0, 0.5), (0.0, 1.0))
    assert found.shape == (3, 2) and found[1, 0] == loss()
    np.testing.assert_array_equal(found[:, 0], curve(loss, parameters, first, (-0.5, 0.0, 0.5)))

    def fails():
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        surface(fails, parameters, first, second, (0.3,), (0.3,))
    for name, p in parameters.items():
        np.testing.assert_array_equal(p.data, before[name])


def test_non_convex_points_by_hand():
    a, b = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9), indexing="ij")
    assert non_convex_share(a**2 + b**2) == 0
    assert non_convex_share(a**2 - b**2) == 1
    assert non_convex_share(a**2 + b**2 + 3 * a * b) == 1  # a saddle along the diagonal alone
    assert 0 < non_convex_share(a**4 - 0.5 * a**2 + b**2) < 1
