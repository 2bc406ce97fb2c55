"""Tokens of both towers: what maps give, how many numbers there are, and how one form contains the other."""

import numpy as np
import pytest

from mini_repr.data.generated.scenes import CAPTIONS
from mini_repr.nn.caption_towers import CaptionTowers
from mini_repr.nn.low_rank import LowRank
from mini_repr.nn.representation_tokens import OwnMaps, RepresentationTokens, SharedMaps

X = np.random.default_rng(0).random((2, 1, 16, 16))


@pytest.fixture(scope="module")
def towers():
    rng = np.random.default_rng(1)
    made = CaptionTowers((1, 16, 16), rng, CAPTIONS, np.float64, width=16, depth=3, heads=2, dimensions=8)
    for parameter in made.parameters():
        parameter.requires_grad = False
    return made.eval()


def awake(module, seed=2):
    rng = np.random.default_rng(seed)
    for parameter in module.parameters():
        parameter.data += 0.3 * rng.standard_normal(parameter.shape)
    return module


def both(space, towers):
    return (*(x.data for x in space.images(towers, X)), space.texts(towers, towers.ids(["a seven", "a two"])).data)


def test_shared_maps_of_full_rank_are_any_maps_of_their_own(towers):
    """And with all tokens fresh MMRL++ with them is MMRL."""
    own = awake(RepresentationTokens(towers, np.random.default_rng(0), count=2, width=6))
    shared = RepresentationTokens(towers, np.random.default_rng(0), count=2, width=6, rank=6, map_rank=8)
    shared.rows.data[...] = own.rows.data
    for mine, theirs in ((shared.to_image, own.to_image), (shared.to_text, own.to_text)):
        for residual, bias, one in zip(mine.residuals, mine.biases, theirs.maps, strict=True):
            residual.down.data[...] = np.eye(6)
            residual.up.data[...] = one.weight.data - mine.shared.weight.data
            bias.data[...] = one.bias.data
    shared.image_map.up.data[...] = np.eye(8)
    shared.image_map.down.data[...] = own.image_map.weight.data - towers.image_map.weight.data
    for one, other in zip(both(own, towers), both(shared, towers), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_a_part_of_the_old_tokens_stays(towers):
    fresh, part = (awake(RepresentationTokens(towers, np.random.default_rng(0), fresh=f)) for f in (1.0, 0.5))
    assert all(np.abs(a - b).max() > 1e-6 for a, b in zip(both(fresh, towers), both(part, towers), strict=True))


def test_how_many_numbers_there_are(towers):
    d, n, w, out, blocks = 6, 2, 16, 8, 2
    own = RepresentationTokens(towers, np.random.default_rng(0), count=n, width=d)
    assert own.parameter_count() == n * d + 2 * blocks * (d * w + w) + w * out
    shared = RepresentationTokens(towers, np.random.default_rng(0), count=n, width=d, rank=2, map_rank=3)
    assert shared.parameter_count() == n * d + 2 * (d * w + blocks * (2 * (d + w) + w)) + 3 * (w + out)


def test_residuals_start_at_nothing_and_at_first_only_their_first_factor_moves(towers):
    shared = SharedMaps((2, 3), 6, 16, np.random.default_rng(0), np.float64, rank=2)
    rows = np.random.default_rng(1).standard_normal((3, 6))
    found = shared(rows)
    np.testing.assert_array_equal(found[2].data, found[3].data)
    (found[3] ** 2).sum().backward()
    first, second = shared.residuals
    assert np.abs(second.down.grad).max() > 0 and not second.up.grad.any() and first.down.grad is None
    assert np.abs(shared.shared.weight.grad).max() > 0


def test_the_towers_own_map_is_where_the_tokens_of_mmrl_pp_start(towers):
    space = RepresentationTokens(towers, np.random.default_rng(0), rank=2)
    tokens = towers.image_tokens(X, space.to_image(space.rows))[:, 1:4].mean(axis=1)
    np.testing.assert_allclose(space.images(towers, X)[1].data, towers.image_map(tokens).data, rtol=1e-12)


def test_maps_of_rank_0_are_one_map():
    maps = SharedMaps((1, 2), 3, 4, np.random.default_rng(0), rank=0)
    rows = np.ones((2, 3), dtype=np.float32)
    np.testing.assert_array_equal(maps(rows)[1].data, maps(rows)[2].data)
    assert maps.parameter_count() == 12 + 2 * 4
    assert OwnMaps((1, 2), 3, 4, np.random.default_rng(0)).parameter_count() == 2 * (12 + 4)


def test_a_product_of_low_rank_is_that_product():
    low = awake(LowRank(3, 4, 2, np.random.default_rng(0), np.float64))
    x = np.random.default_rng(1).standard_normal((5, 3))
    np.testing.assert_allclose(low(x).data, x @ (low.down.data @ low.up.data), rtol=1e-12)


@pytest.mark.parametrize(
    "settings, says",
    [
        ({"fresh": 1.5}, "fresh: got 1.5, expected a number from 0 to 1"),
        ({"count": 0}, "got 0 tokens from block 2"),
        ({"first": 4}, "got 3 tokens from block 4, expected 1 or more, from a block of 1 to 3"),
    ],
)
def test_wrong_settings_are_named(towers, settings, says):
    with pytest.raises(ValueError, match=says):
        RepresentationTokens(towers, np.random.default_rng(0), **settings)
