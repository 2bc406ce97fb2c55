"""A weight of a few singular directions and a few channels: how it starts, its gradient, what it refuses."""

import numpy as np
import pytest

from mini_repr.autograd import Tensor, gradcheck
from mini_repr.nn import LostLinear, TextTransformer, xavier_uniform
from mini_repr.nn.lost import composed_weight

SHAPE = (7, 5)


def made(rank, channels, share=0.5, **settings):
    rng = np.random.default_rng(3)
    return LostLinear(*SHAPE, rng, rank=rank, channels=channels, share=share, dtype=np.float64, **settings)


def drawn():
    """The dense weight that ``made`` cuts up."""
    return xavier_uniform(np.random.default_rng(3), SHAPE, np.float64)


def test_the_parts_are_the_leading_directions_and_the_longest_rows_of_the_rest():
    dense, layer = drawn(), made(2, 3)
    u, s, v = np.linalg.svd(dense, full_matrices=False)
    product = sum(s[i] * np.outer(u[:, i], v[i]) for i in range(2))
    np.testing.assert_allclose(layer.left.data @ layer.right.data, product, atol=1e-14)
    np.testing.assert_allclose(layer.left.data.T @ layer.left.data, layer.right.data @ layer.right.data.T, atol=1e-14)
    rest = dense - product
    lengths = np.linalg.norm(rest, axis=1)
    assert sorted(layer.chosen) == sorted(sorted(range(7), key=lambda i: -lengths[i])[:3])
    np.testing.assert_allclose(layer.rows.data, rest[layer.chosen], atol=1e-14)
    # A channel of the rest is orthogonal to the product, so its length is what the product leaves of W0's.
    np.testing.assert_allclose(lengths**2, (dense**2).sum(axis=1) - (product**2).sum(axis=1), atol=1e-14)


def test_it_can_start_as_half_the_dense_weight_or_as_its_best_approximation():
    dense = drawn()
    np.testing.assert_allclose(2 * made(2, 7).weight.data, dense, atol=1e-14)
    np.testing.assert_allclose(made(5, 0, share=1.0).weight.data, dense, atol=1e-14)
    full_rank = made(5, 2)
    np.testing.assert_allclose(full_rank.rows.data, 0, atol=1e-14)


def test_the_map_is_that_of_the_equation_and_the_gradient_that_of_the_text():
    layer, x = made(2, 3, share=0.7), np.random.default_rng(0).normal(size=(4, 6, 7))
    a, b, s, chosen = layer.left.data, layer.right.data, layer.rows.data, layer.chosen
    layer.bias.data += 0.5
    expected = 0.7 * (x @ a) @ b + 0.3 * x[..., chosen] @ s + 0.5
    np.testing.assert_allclose(layer(Tensor(x)).data, expected, atol=1e-14)
    target = np.random.default_rng(1).normal(size=SHAPE)

    def value(*arrays):
        return float((composed_weight.on_arrays(*arrays, chosen=chosen, share=0.7)[0] * target).sum())

    (layer.weight * target).sum().backward()
    gradients = [p.grad for p in (layer.left, layer.right, layer.rows)]
    np.testing.assert_allclose(gradients[0], 0.7 * target @ b.T, atol=1e-14)
    np.testing.assert_allclose(gradients[2], 0.3 * target[chosen], atol=1e-14)
    gradcheck(value, [a, b, s], gradients, np.random.default_rng(2))


def test_the_weights_are_as_many_as_the_text_says_and_rows_that_are_not_chosen_follow_the_product_alone():
    layer = made(2, 3, bias=False)
    assert layer.parameter_count() == 2 * (7 + 5) + 3 * 5
    layer.left.data[...] = 0
    others = np.setdiff1d(np.arange(7), layer.chosen)
    assert not layer.weight.data[others].any() and layer.weight.data[layer.chosen].any(axis=1).all()


def test_a_text_transformer_of_them_has_fewer_weights_and_loads_them_again():
    def encoder(seed, **settings):
        sizes = {"buckets": 16, "width": 8, "depth": 2, "heads": 2}
        return TextTransformer(np.random.default_rng(seed), np.float64, **sizes, **settings)

    few, dense = encoder(0, rank=2, channels=1), encoder(0)
    maps = 2 * sum(2 * (i + o) + o for i, o in ((8, 24), (8, 8), (8, 16), (16, 8)))
    biases = 2 * (24 + 8 + 16 + 8)
    rest = dense.parameter_count() - 2 * (8 * 24 + 8 * 8 + 8 * 16 + 16 * 8) - biases
    assert few.parameter_count() == rest + maps + biases
    inputs = few.tokenise(["a small dog", "one"])
    other = encoder(1, rank=2, channels=1)
    other.load_state_dict(few.state_dict())
    np.testing.assert_array_equal(other(*inputs).pooled.data, few(*inputs).pooled.data)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: made(6, 1), "LostLinear: rank: got 6, expected at most 5"),
        (lambda: made(0, 1), "rank: got 0, expected a whole number >= 1"),
        (lambda: made(2, 8), "LostLinear: channels: got 8, expected 0 to 7, the inputs"),
        (lambda: made(2, 1)(np.ones((2, 5))), "LostLinear: x: got shape"),
        (lambda: TextTransformer(np.random.default_rng(0), channels=2), "channels: got some without a rank"),
        (lambda: TextTransformer(np.random.default_rng(0), rank=2, start="zero"), "start: got zero with a rank"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
