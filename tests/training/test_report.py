"""The measures of every layer: whose rows and tokens they are."""

from functools import partial

import numpy as np
import pytest

from mini_repr.backend import CPU
from mini_repr.data import load, parse_views
from mini_repr.methods import encode_layer_tokens, encode_layers
from mini_repr.metrics import curvature, linear_probe, mean_reciprocal_rank, prompt_entropy
from mini_repr.nn import TextEncoder, TextTransformer, ViT
from mini_repr.training.report import by_layer


def layered(encoders, data, views=None):
    sides = [partial(encode_layers, encoder, backend=CPU) for encoder in encoders]
    has_tokens = hasattr(encoders[-1], "layer_tokens")
    return by_layer(sides, partial(encode_layer_tokens, encoders[-1], backend=CPU) if has_tokens else None, data, views)


@pytest.fixture(scope="module")
def glosses():
    data = load("glosses", kind="word-definition")
    return type(data)(data.name, data.train.take(np.arange(300)), data.test.take(np.arange(80)))


def test_layers_of_texts_by_two_encoders(glosses):
    rng = np.random.default_rng(0)
    first, second = (TextTransformer(rng, width=8, depth=2, buckets=128) for _ in range(2))
    table = layered((first, second), glosses)
    assert list(table) == ["layer 1", "layer 2"]
    for number, row in enumerate(table.values()):
        a, b = encode_layers(first, glosses.test.a, CPU)[number], encode_layers(second, glosses.test.b, CPU)[number]
        assert row["reciprocal_rank"] == mean_reciprocal_rank(a, b)
        train_b = encode_layers(second, glosses.train.b, CPU)[number]
        assert row["probe"] == linear_probe(train_b, glosses.train.labels, b, glosses.test.labels)
        ids, mask = second.tokenise(glosses.test.b)
        tokens = second.layer_tokens(ids, mask)[number].data
        assert row["prompt_entropy"] == pytest.approx(prompt_entropy(tokens, mask), rel=1e-4)
        assert row["curvature"] == pytest.approx(curvature(tokens, mask), rel=1e-4)


def test_an_encoder_without_tokens_has_no_measures_of_them(glosses):
    table = layered((TextEncoder(np.random.default_rng(0), width=8, hidden=16, buckets=128),) * 2, glosses)
    assert [row["dimensions"] for row in table.values()] == [16, 8]
    assert not {"prompt_entropy", "curvature"} & set(table["layer 1"])


def test_layers_of_images_have_measures_of_patches():
    data = load("digits")
    data = type(data)(data.name, data.train.take(np.arange(200)), data.test.take(np.arange(60)))
    encoder = ViT((1, 8, 8), np.random.default_rng(0), width=8, depth=2, heads=2, patch=4)
    table = layered((encoder,), data, parse_views("crop"))
    tokens = encoder.layer_tokens(data.test.images)
    for row, patches in zip(table.values(), tokens, strict=True):
        assert row["curvature"] == pytest.approx(curvature(patches.data), rel=1e-4)
        assert "reciprocal_rank" not in row
