"""Rotary positions: against complex numbers, their gradient, and that products depend on distances alone."""

import numpy as np
import pytest

from mini_repr.autograd import Tensor, gradcheck
from mini_repr.nn import TextTransformer
from mini_repr.nn.rotary import rotary_angles, rotated


def turned(x, cos, sin, heads):
    """Each pair of columns as a complex number times e^(i angle), one at a time."""
    result = np.array(x)
    batch, length, width = x.shape
    coordinates, half = cos.shape[2:]
    for b, t, h, c, k in np.ndindex(batch, length, heads, coordinates, half):
        first = h * (width // heads) + c * 2 * half + k
        point = complex(x[b, t, first], x[b, t, first + half]) * complex(cos[b, t, c, k], sin[b, t, c, k])
        result[b, t, first], result[b, t, first + half] = point.real, point.imag
    return result


def angles(*coordinates, size=8):
    return rotary_angles([np.asarray(one) for one in coordinates], size, np.float64)


@pytest.mark.parametrize("coordinates", [1, 2])
def test_rows_equal_complex_numbers(coordinates):
    rng = np.random.default_rng(0)
    places = rng.integers(0, 9, size=(coordinates, 2, 5))
    x, given = rng.standard_normal((2, 5, 16)), angles(*places)
    np.testing.assert_allclose(rotated(x, *given, heads=2).data, turned(x, *given, heads=2), rtol=1e-12)


def test_the_gradient_is_turned_back():
    rng = np.random.default_rng(0)
    given = angles(*rng.integers(0, 9, size=(2, 2, 3)))
    x, g = rng.standard_normal((2, 2, 3, 16))
    tensor = Tensor(x, requires_grad=True)
    rotated(tensor, *given, heads=2).backward(g)
    gradcheck(lambda x: float((turned(x, *given, heads=2) * g).sum()), [x], [tensor.grad], rng)


def test_lengths_stay_and_place_0_turns_nothing():
    x = np.random.default_rng(0).standard_normal((1, 4, 8))
    out = rotated(x, *angles([[0, 3, 5, 100]]), heads=1).data
    np.testing.assert_allclose(np.linalg.norm(out, axis=2), np.linalg.norm(x, axis=2))
    np.testing.assert_array_equal(out[:, 0], x[:, 0])


def test_products_depend_on_differences_of_both_coordinates():
    q, k = np.random.default_rng(0).standard_normal((2, 1, 1, 8))

    def product(own, other):
        turned_q, turned_k = (rotated(x, *angles(*at), heads=1).data for x, at in ((q, own), (k, other)))
        return float((turned_q * turned_k).sum())

    before = product(([[2]], [[1]]), ([[5]], [[3]]))
    assert product(([[9]], [[1]]), ([[12]], [[3]])) == pytest.approx(before)
    assert product(([[2]], [[7]]), ([[5]], [[9]])) == pytest.approx(before)
    assert abs(product(([[2]], [[1]]), ([[6]], [[3]])) - before) > 1e-3
    assert abs(product(([[2]], [[1]]), ([[5]], [[4]])) - before) > 1e-3


def test_they_are_those_of_public_code():
    """The form of Hugging Face's LLaMA: cat(freqs, freqs), x cos + rotate_half(x) sin."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x, places = rng.standard_normal((2, 5, 8)), rng.integers(0, 30, size=(2, 5))
    inverse = 1.0 / 10000 ** (torch.arange(0, 8, 2, dtype=torch.float64) / 8)
    freqs = torch.tensor(places)[..., None] * inverse
    full = torch.cat((freqs, freqs), dim=-1)
    tx = torch.tensor(x)
    half = torch.cat((-tx[..., 4:], tx[..., :4]), dim=-1)
    expected = tx * full.cos() + half * full.sin()
    np.testing.assert_allclose(rotated(x, *angles(places), heads=1).data, expected, rtol=1e-12)


def encoder(**settings):
    settings = {"buckets": 32, "max_tokens": 9, "width": 16, "depth": 2, "heads": 2, **settings}
    made = TextTransformer(np.random.default_rng(0), np.float64, **settings)
    made.words.weight.data = np.random.default_rng(1).standard_normal(made.words.weight.shape)
    return made


def test_texts_may_begin_anywhere():
    made = encoder(positions="rotary")
    ids, mask = np.array([[3, 5, 7]]), np.ones((1, 3), bool)
    first = made(ids, mask, places=np.array([[0, 1, 2]])).tokens.data
    np.testing.assert_allclose(made(ids, mask, places=np.array([[4, 5, 6]])).tokens.data, first, rtol=1e-9)
    assert np.abs(made(ids, mask, places=np.array([[0, 2, 1]])).tokens.data - first).max() > 1e-3


def test_copies_of_one_word_are_told_apart_by_their_number():
    made, mask = encoder(positions="rotary_2d"), np.ones((1, 3), bool)
    ids, places = np.array([[3, 5, 5]]), np.array([[0, 1, 1]])
    same = made(ids, mask, places=places).tokens.data
    np.testing.assert_allclose(same[:, 1], same[:, 2], rtol=1e-12)
    apart = made(ids, mask, places=places, copies=np.array([[0, 1, 2]])).tokens.data
    assert np.abs(apart[:, 1] - apart[:, 2]).max() > 1e-3


@pytest.mark.parametrize(
    "settings, says",
    [
        ({"positions": "rotary_2d", "width": 12}, "got rotary_2d with 6 columns a head, expected a multiple of 4"),
        ({"positions": "rotary", "prompt": 2}, "prompt: got one with rotary, expected 0"),
    ],
)
def test_what_cannot_be_turned_is_refused(settings, says):
    with pytest.raises(ValueError, match=f"TextTransformer: .*{says}"):
        encoder(**settings)


def test_angles_need_pairs_of_columns():
    with pytest.raises(ValueError, match="rotary_angles: size: got 6 columns of a head, expected a multiple of 4"):
        angles([[0]], [[0]], size=6)


def test_words_cannot_be_dropped_between_blocks():
    made = encoder(positions="rotary")
    ids, mask = np.array([[3, 5, 7]]), np.ones((1, 3), bool)
    with pytest.raises(ValueError, match="kept: got depth 2, rotary positions, expected"):
        made.forward_dropping(ids, mask, np.array([[0]]))


def test_every_parameter_is_trained():
    made = encoder(positions="rotary_2d")
    assert made.positions is None and "positions" not in made.state_dict()
    (made(np.array([[3, 5, 7]]), np.ones((1, 3), bool)).pooled * Tensor(np.arange(16.0))).sum().backward()
    assert all(p.grad is not None for p in made.parameters())
