"""Every encoder against its definition, and what all of them have in common."""

import re

import numpy as np
import pytest

from mini_repr.data import load
from mini_repr.pages.registry import pages_of
from mini_repr.pages.samples import wrong_values

ENCODERS = pages_of("encoder")
TRANSFORMER = [{}, {"attention": "sparsemax", "positions": "sine"}]
SETTINGS = {
    "linear": [{}, {"bias": False}],
    "mlp": [{}, {"norm": "layer", "activation": "gelu"}, {"norm": None, "activation": "tanh", "depth": 1}],
    "fields": [
        *({"bins": 4, "numbers": way} for way in ("linear", "equal_frequency", "equal_width", "soft_bins")),
        {"selected": True},
    ],
    "text": [{}, {"depth": 3, "buckets": 7}],
    "masked_mixer": [{}, {"pooling": "mean", "depth": 1}, {"pooling": "first", "max_tokens": 3}],
    "vit": [*TRANSFORMER, {"pooling": "mean", "patch": 4, "heads": 2}, {"pooling": "max"}],
    "text_transformer": [
        *TRANSFORMER,
        {"pooling": "last", "causal": True},
        {"pooling": "first", "heads": 2},
        {"prompt": 3},
        {"positions": "rotary", "causal": True},
        {"positions": "rotary_2d"},
        {"rank": 3, "channels": 5, "low_rank_share": 0.7},
    ],
}
CASES = [pytest.param(n, s, id=f"{n}-{k}") for n in ENCODERS for k, s in enumerate(SETTINGS.get(n, [{}]))]
TABLE = load("clicks", count=40).train
TEXTS = ["small dog", "?!", "a much longer text than the others", "one"]


def made(name, **settings):
    """The encoder, with parameters and buffers of full size, and inputs for it."""
    rng = np.random.default_rng(0)
    encoder = ENCODERS[name].thing(*_first(name), rng, np.float64, **settings)
    state = encoder.state_dict()  # "first": where a field's values begin in the table of all
    moved = {n: x + rng.uniform(0.2, 0.4, x.shape) for n, x in state.items() if x.dtype.kind == "f" and n != "first"}
    encoder.load_state_dict(state | moved)
    inputs = {"images": (rng.random((3, 2, 8, 8)),), "tables": (TABLE.rows[:4].astype(np.float64),)}
    return encoder.eval(), inputs.get(encoder.takes) or encoder.tokenise(TEXTS)


def _first(name):
    """What an encoder is made for: a shape of images, the training part of a table, nothing of texts."""
    return {"images": [(2, 8, 8)], "tables": [TABLE]}.get(ENCODERS[name].thing.takes, [])


@pytest.mark.parametrize("name, settings", CASES)
def test_equals_its_definition(name, settings):
    encoder, inputs = made(name, **settings)
    encoded = encoder(*inputs)
    np.testing.assert_allclose(encoded.pooled.data, ENCODERS[name].literal(encoder, *inputs), rtol=1e-10, atol=1e-12)
    assert encoded.pooled.shape == (len(inputs[0]), encoder.width)


@pytest.mark.parametrize("name", ENCODERS)
def test_wrong_values_are_refused_by_name(name):
    page, rng = ENCODERS[name], np.random.default_rng(0)
    for p in page.settings:
        for _, value in wrong_values(p.annotation, rng, {}):
            with pytest.raises(ValueError, match=rf"^encoder {name}: {p.name}: got .+, expected .+"):
                page.thing(*_first(name), rng, **{p.name: value})


@pytest.mark.parametrize("name", ENCODERS)
def test_its_text_says_what_it_is_and_where_it_is_from(name):
    page = ENCODERS[name]
    assert page.summary.endswith(".") and len(page.summary) < 90
    assert re.search(r"\bSource\b.*\b(19|20)\d\d\b", page.text, re.DOTALL), "no source with a year"
    assert page.settings and page.literal is not None
