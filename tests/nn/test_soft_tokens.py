"""Soft tokens: which block reads which, that time adds its span's row, and what is refused."""

import numpy as np
import pytest
from awakened import awake

from mini_repr.nn.soft_tokens import SoftTokens
from mini_repr.standins import scenes_flow

CAPTIONS, TIMES = ["a seven", "a two left of a one"], np.array([0.05, 0.95])


@pytest.fixture(scope="module")
def denoiser():
    return awake(scenes_flow.make(0, width=16, depth=3, heads=2))


def test_the_first_blocks_read_their_own_rows_in_front_and_the_others_the_caption(denoiser):
    soft = SoftTokens(denoiser, np.random.default_rng(0), tokens=2, blocks=2, buckets=10)
    text = denoiser.read(denoiser.ids(CAPTIONS))
    first, second, third = soft.beside(text, TIMES)
    assert third is text
    for k, (rows, mask) in enumerate((first, second)):
        assert rows.shape == (2, 19, 16) and mask[:, :2].all()
        np.testing.assert_array_equal(rows.data[:, 2:], text[0].data)
        for one, span in enumerate((0, 9)):
            expected = soft.rows[k].data + soft.spans[k].weight.data[span]
            np.testing.assert_allclose(rows.data[one, :2], expected, rtol=1e-6)


def test_they_change_what_is_said_and_are_all_that_has_a_gradient(denoiser):
    soft = SoftTokens(denoiser, np.random.default_rng(0))
    x = np.random.default_rng(2).standard_normal((2, 1, 16, 16)).astype(np.float32)
    text = denoiser.read(denoiser.ids(CAPTIONS))
    plain = denoiser.denoise(x, TIMES, text=text).patches.data
    np.testing.assert_array_equal(denoiser.denoise(x, TIMES, text=[text] * 3).patches.data, plain)
    said = denoiser.denoise(x, TIMES, text=soft.beside(text, TIMES)).patches
    assert np.abs(said.data - plain).max() > 1e-4
    (said**2).sum().backward()
    assert all(np.abs(rows.grad).max() > 0 for rows in soft.rows)
    assert not soft.spans[0].weight.grad[1:9].any() and soft.spans[0].weight.grad[[0, 9]].any(axis=1).all()


@pytest.mark.parametrize("settings", [{"blocks": 4}, {"tokens": 0}, {"buckets": 0}])
def test_wrong_numbers_are_refused(denoiser, settings):
    with pytest.raises(ValueError, match=r"SoftTokens: got .* expected 1 or more of each, at most 3 blocks"):
        SoftTokens(denoiser, np.random.default_rng(0), **settings)
