from importlib.resources import files

import numpy as np
import pytest

from mini_repr.data import DataError, digits, gloss_pairs, glosses, load


def test_digits_have_the_fixed_split():
    data = digits()
    assert data.train.images.shape == (1437, 1, 8, 8) and data.test.images.shape == (360, 1, 8, 8)
    assert data.train.images.dtype == np.float32 and data.train.labels.dtype == np.int64
    with np.load(str(files("mini_repr.data") / "embedded" / "digits.npz"), allow_pickle=False) as source:
        whole, labels = source["images"], source["labels"]
    assert np.array_equal(data.test.images[:, 0] * 16, whole[::5]) and np.array_equal(data.test.labels, labels[::5])
    assert data.train.label_names == tuple("0123456789") and set(data.train.labels) == set(range(10))


def test_glosses_are_read_whole():
    senses = glosses()
    assert len(senses) == len({gloss.synset for gloss in senses}) == 12365
    assert len({gloss.category for gloss in senses}) == 41
    thing = next(gloss for gloss in senses if gloss.synset == "n00002684")
    assert thing.lemmas == ("object", "physical object") and thing.hypernyms == ("n00001930",)
    assert thing.count == 51 and thing.definition.startswith("a tangible and visible entity")
    assert len(thing.examples) == 1
    assert senses[0].hypernyms == senses[0].examples == ()


@pytest.mark.parametrize("kind", ["word-definition", "definition-example"])
def test_no_sense_is_on_both_sides(kind):
    data, senses = gloss_pairs(kind), glosses()
    of_kind = {
        "word-definition": lambda gloss: [(gloss.lemmas[0], gloss.definition)],
        "definition-example": lambda gloss: [(gloss.definition, example) for example in gloss.examples],
    }[kind]
    for part, is_test in ((data.train, False), (data.test, True)):
        expected = [
            (*pair, gloss.category)
            for i, gloss in enumerate(senses)
            if (i % 5 == 0) == is_test
            for pair in of_kind(gloss)
        ]
        names = [part.label_names[label] for label in part.labels]
        assert list(zip(part.a, part.b, names, strict=True)) == expected


def test_load_knows_the_embedded_names():
    assert len(load("digits").train) == 1437
    assert load("glosses", kind="definition-example").train.b == gloss_pairs("definition-example").train.b
    with pytest.raises(ValueError, match="kind 'x', expected word-definition or definition-example"):
        gloss_pairs("x")
    with pytest.raises(DataError, match="option 'size' of digits, expected none"):
        load("digits", size=3)


def test_licences_stand_beside_the_data():
    text = (files("mini_repr.data") / "embedded" / "LICENCES.md").read_text(encoding="utf-8")
    assert "CC BY 4.0" in text and "WordNet 3.0 Copyright 2006 by Princeton University." in text
