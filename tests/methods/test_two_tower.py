"""2D Matryoshka of two towers: one inner block at a time, trained like the output and drawn to its similarities."""

from dataclasses import replace

import numpy as np
import pytest

from mini_repr.backend import CPU
from mini_repr.data import load
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.losses.pairs.similarity_kl import similarity_kl
from mini_repr.methods import Batch, build_method
from mini_repr.training import config

DATA = load("glosses", kind="word-definition")
DATA = type(DATA)(DATA.name, DATA.train.take(np.arange(24)), DATA.test.take(np.arange(8)))
ENCODER = {"name": "text_transformer", "width": 16, "depth": 3, "buckets": 64}


def method_for(data=DATA, **sections):
    chosen = {"encoder": ENCODER, "method": {"inner_layers": True}, "loss": {"name": "infonce"}}
    settings = config.resolve(config.merge(chosen, sections), "texts")
    method = build_method(settings, data, np.random.default_rng(0))
    arrays = method.load(data.train, CPU)
    return method, Batch(arrays, None, np.arange(24))


def block_rows(method, number, sides=(DATA.train.a, DATA.train.b)):
    encoder, rows = method.encoder, []
    for texts in sides:
        ids, mask = encoder.tokenise(texts)
        tokens = encoder(ids, mask, layers=(number,)).layers[0]
        mean = (tokens.data * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        rows.append(mean.astype(np.float32))
    return rows


def test_output_and_one_block_are_compared_and_aligned():
    method, batch = method_for(loss={"temperature": 0.1})
    seen = set()
    for _ in range(8):
        total = method.step(batch, np.random.default_rng(0)).total
        (za, zb) = (
            method.encoder(*method.encoder.tokenise(texts)).pooled.data for texts in (DATA.train.a, DATA.train.b)
        )
        output = infonce(za, zb, temperature=0.1).data
        expected = []
        for number in (1, 2):
            a, b = block_rows(method, number)
            inner = infonce(a, b, temperature=0.1).data + similarity_kl(a, b, za, zb, temperature=0.1).data
            expected.append(float(output + inner))
        near = [k for k in range(2) if float(total.data) == pytest.approx(expected[k], rel=1e-5)]
        assert len(near) == 1 and abs(expected[0] - expected[1]) > 1e-3
        seen.add(near[0])
        assert set(total.terms) == {"infonce", "inner", "similarity_kl"}
    assert seen == {0, 1}


def test_nested_columns_hold_for_the_block_too():
    method, batch = method_for(loss={"temperature": 0.1, "matryoshka": [4, 16]})
    terms = method.step(batch, np.random.default_rng(0)).total.terms
    means = [
        np.mean([infonce(a[:, :d].copy(), b[:, :d].copy(), temperature=0.1).data for d in (4, 16)])
        for a, b in (block_rows(method, 1), block_rows(method, 2))
    ]
    assert any(float(terms["inner"]) == pytest.approx(mean, rel=1e-5) for mean in means)


def with_negatives(data):
    """The next word's definition as a hard negative."""
    train, test = (replace(part, negatives=part.b[1:] + part.b[:1]) for part in (data.train, data.test))
    return replace(data, train=train, test=test)


@pytest.mark.parametrize("shared", [True, False])
def test_hard_negatives_reach_the_loss(shared):
    data = with_negatives(DATA)
    sections = {"method": {"inner_layers": False, "shared": shared}, "loss": {"temperature": 0.1}}
    method, batch = method_for(data, **sections)
    total = method.step(batch, np.random.default_rng(0)).total
    first, second = method.towers
    a, b, hard = (
        tower(*tower.tokenise(texts)).pooled.data
        for tower, texts in ((first, data.train.a), (second, data.train.b), (second, data.train.negatives))
    )
    assert float(total.data) == pytest.approx(float(infonce(a, b, hard_negatives=hard).data), rel=1e-5)
    assert abs(float(total.data) - float(infonce(a, b).data)) > 0.1


def test_hard_negatives_hold_for_the_block_too():
    data = with_negatives(DATA)
    method, batch = method_for(data, encoder={"depth": 2}, loss={"temperature": 0.1})
    total = method.step(batch, np.random.default_rng(0)).total
    texts = (data.train.a, data.train.b, data.train.negatives)
    a, b, hard = block_rows(method, 1, texts)
    assert float(total.terms["inner"]) == pytest.approx(float(infonce(a, b, hard_negatives=hard).data), rel=1e-5)


def test_a_loss_without_hard_negatives_is_refused():
    says = "method two_tower: glosses has hard negatives, which siglip does not take, .*--set data.columns=a,b"
    with pytest.raises(ValueError, match=says):
        method_for(with_negatives(DATA), loss={"name": "siglip"})


@pytest.mark.parametrize(
    "sections, says",
    [
        ({"encoder": {"depth": 1}}, "no block before its last"),
        ({"encoder": {"name": "text", "width": 16, "depth": 2, "buckets": 64}}, "expected --encoder text_transformer"),
        ({"loss": {"name": "dclr"}}, "dclr keeps a state"),
        ({"loss": {"name": "uniformity"}}, "uniformity compares no pairs"),
    ],
)
def test_what_has_no_inner_layers_is_refused(sections, says):
    with pytest.raises(ValueError, match=says):
        method_for(**sections)
