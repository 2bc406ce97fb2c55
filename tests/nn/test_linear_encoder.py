"""The linear encoder: one matrix on flattened images, with or without a bias."""

import numpy as np
import pytest

from mini_repr.nn import LinearEncoder

IMAGES = np.random.default_rng(1).random((6, 3, 4, 5), dtype=np.float32)


def test_flattened_images_times_the_matrix():
    encoder = LinearEncoder((3, 4, 5), np.random.default_rng(0), width=7)
    encoder.linear.bias.data += np.arange(7)
    encoded = encoder(IMAGES)
    expected = IMAGES.reshape(6, 60) @ encoder.linear.weight.data + np.arange(7)
    np.testing.assert_allclose(encoded.pooled.data, expected, rtol=1e-5, atol=1e-5)
    assert encoded.tokens is None and encoder.width == 7
    (layer,) = encoder.layer_rows(IMAGES)
    np.testing.assert_array_equal(layer.data, encoded.pooled.data)


def test_without_a_bias_black_gives_zero():
    encoder = LinearEncoder((3, 4, 5), np.random.default_rng(0), width=7, bias=False)
    assert list(encoder.named_parameters()) == ["linear.weight"]
    assert not encoder(np.zeros_like(IMAGES)).pooled.data.any()


def test_plain_rows():
    assert LinearEncoder((60,), np.random.default_rng(0), width=2)(IMAGES.reshape(6, 60)).pooled.shape == (6, 2)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"^encoder linear: width: got 0"):
        LinearEncoder((3, 4, 5), np.random.default_rng(0), width=0)
    encoder = LinearEncoder((3, 5, 4), np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"LinearEncoder: images: got shape \(6, 3, 4, 5\), expected \(B, 3, 5, 4\)"):
        encoder(IMAGES)
