"""The measures of every layer, and the tables of data that some measures do not fit."""

import re
from functools import partial

import numpy as np
import pytest

from mini_repr.backend import CPU
from mini_repr.data import Dataset, ImageSet, PairSet, load, parse_views
from mini_repr.methods import encode_layer_codes, encode_layer_tokens, encode_layers
from mini_repr.metrics import coding_rate, curvature, linear_probe, mean_reciprocal_rank, prompt_entropy
from mini_repr.nn import Crate, TextEncoder, TextTransformer, ViT
from mini_repr.training.report import by_layer, compare, compare_pairs
from mini_repr.training.table import table


def layered(encoders, data, views=None):
    sides = [partial(encode_layers, encoder, backend=CPU) for encoder in encoders]
    has_tokens = hasattr(encoders[-1], "layer_tokens")
    tokens_of = partial(encode_layer_tokens, encoders[-1], backend=CPU) if has_tokens else None
    codes_of = partial(encode_layer_codes, encoders[-1], backend=CPU) if hasattr(encoders[-1], "layer_codes") else None
    return by_layer(sides, tokens_of, data, views, codes_of)


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


def test_texts_of_two_words_and_images_of_one_patch_have_no_curvature():
    words = [f"{a} {b}" for a in ("small", "old", "red", "wet") for b in ("dog", "cat", "sea", "tree", "hat")]
    short = [PairSet("short", words, words[::-1]) for _ in range(2)]
    encoder = TextTransformer(np.random.default_rng(0), width=8, depth=1, buckets=128)
    (row,) = layered((encoder,) * 2, Dataset("short", *short)).values()
    assert "curvature" not in row and np.isfinite(row["prompt_entropy"])
    vit = ViT((1, 4, 4), np.random.default_rng(0), width=8, depth=1, heads=2, patch=4)
    (row,) = layered((vit,), Dataset("made", images(30), images(8)), parse_views("crop")).values()
    assert "curvature" not in row and "prompt_entropy" in row


def test_layers_of_images_have_measures_of_patches():
    data = load("digits")
    data = type(data)(data.name, data.train.take(np.arange(200)), data.test.take(np.arange(60)))
    encoder = ViT((1, 8, 8), np.random.default_rng(0), width=8, depth=2, heads=2, patch=4)
    table = layered((encoder,), data, parse_views("crop"))
    tokens = encoder.layer_tokens(data.test.images)
    for row, patches in zip(table.values(), tokens, strict=True):
        assert row["curvature"] == pytest.approx(curvature(patches.data), rel=1e-4)
        assert "reciprocal_rank" not in row and "coding_rate" not in row


def test_layers_of_crate_have_the_measures_of_its_objective():
    data = load("digits")
    data = type(data)(data.name, data.train.take(np.arange(200)), data.test.take(np.arange(60)))
    encoder = Crate((1, 8, 8), np.random.default_rng(0), width=8, depth=2, heads=2, patch=4)
    rows = list(layered((encoder,), data, parse_views("crop")).values())
    first = encoder.blocks[0]
    placed = encoder(data.test.images, layers=(1, 2))
    for row, out, (in_subspaces, codes, heads) in zip(
        rows, placed.layers, encoder.layer_codes(data.test.images), strict=True
    ):
        np.testing.assert_allclose(codes.data[:, 1:], out.data, atol=1e-6)
        assert row["coding_rate"] == pytest.approx(coding_rate(in_subspaces.data, heads=heads), rel=1e-4)
        assert row["zeros"] == pytest.approx(float((codes.data == 0).mean()), abs=1e-3)
    assert heads == 2 and len(first.subspaces.weight) == 8
    assert "coding rate" in table({"layer 1": rows[0]}) and "zeros" in table({"layer 1": rows[0]})


# --- data that not every measure fits: a run that was trained has a table at its end


def images(count, classes=2):
    pixels = np.random.default_rng(0).random((count, 1, 4, 4), dtype=np.float32)
    return ImageSet("made", pixels, np.arange(count) % classes, tuple("ab"[:classes]))


def pixels(rows):
    return rows.reshape(len(rows), -1)


@pytest.mark.parametrize(
    "train, test, missing",
    [
        (images(30), images(8), set()),
        (images(8), images(8), {"probe_few"}),
        (images(30, classes=1), images(8, classes=1), {"probe", "probe_few"}),
        (images(30), images(1), {"uniformity"}),
    ],
)
def test_what_the_data_does_not_allow_is_left_out(train, test, missing):
    scores = compare({"raw": pixels}, Dataset("made", train, test), parse_views("noise=0.1"))
    every = {"knn", "probe", "probe_few", "alignment", "uniformity", "effective_rank", "dimensions"}
    assert scores["raw"].keys() - {"probe_few_deviation"} == every - missing


def test_a_black_image_has_no_direction():
    test = images(8)
    test.images[3] = 0
    encoders = {"raw": pixels, "shifted": lambda rows: pixels(rows) + 1}
    scores = compare(encoders, Dataset("made", images(30), test), parse_views(""))
    assert scores["shifted"].keys() - scores["raw"].keys() == {"knn", "alignment", "uniformity"}
    header, raw, _ = table(scores).splitlines()
    cells = dict(zip(re.split(r"  +", header.strip()), re.split(r"  +", raw.strip())[1:], strict=True))
    assert cells["20-nn"] == cells["alignment"] == "-" and cells["probe"] != "-"


def test_a_text_without_words_has_no_direction(glosses):
    rows = np.eye(len(glosses.test), dtype=np.float32)
    scores = compare_pairs(
        {"whole": [lambda texts: rows] * 2, "holed": [lambda texts: rows, lambda texts: rows * (rows[0] < 1)]}, glosses
    )
    assert scores["whole"]["recall_1"] == 1 and scores["holed"].keys() == {"dimensions", "effective_rank"}
