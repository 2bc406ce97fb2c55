"""Every mask against its definition, and what all of them have in common."""

import numpy as np
import pytest

from mini_repr.pages.registry import pages_of
from mini_repr.pages.samples import sample, wrong_values

MASKS = pages_of("mask")


def arguments_of(mask, seed, **chosen):
    rng = np.random.default_rng(seed)
    return {p.name: chosen.get(p.name, sample(p.annotation, rng, {})) for p in mask.settings}


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("batch, patches, ratio", [(1, 2, 0.01), (5, 16, 0.75), (8, 49, 0.5), (3, 4, 0.99)])
def test_equals_its_definition_and_hides_and_shows_something(name, batch, patches, ratio):
    mask = MASKS[name]
    arguments = arguments_of(mask, 0, batch=batch, patches=patches, ratio=ratio)
    found = mask(np.random.default_rng(1), **arguments)
    assert found.dtype == bool and found.shape == (batch, patches)
    assert found.any(axis=1).all() and not found.all(axis=1).any()
    assert len(set(found.sum(axis=1))) == 1, "every image hides the same number"
    np.testing.assert_array_equal(found, mask.definition(np.random.default_rng(1), **arguments))
    np.testing.assert_array_equal(found, mask(np.random.default_rng(1), **arguments))


@pytest.mark.parametrize("name", MASKS)
def test_wrong_values_are_refused_by_name(name):
    mask, rng = MASKS[name], np.random.default_rng(0)
    good = arguments_of(mask, 0)
    for p in mask.settings:
        for _, value in wrong_values(p.annotation, rng, {}):
            with pytest.raises(ValueError, match=rf"^{name}: {p.name}: got .+, expected .+"):
                mask(rng, **{**good, p.name: value})


@pytest.mark.parametrize("name", MASKS)
def test_its_text_names_a_source(name):
    assert "Source" in MASKS[name].text and MASKS[name].papers
