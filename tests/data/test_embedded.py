from importlib.resources import files

import numpy as np
import pytest

from mini_repr.data import DataError, digits, gloss_pairs, gloss_sentences, glosses, load
from mini_repr.data.embedded import gloss_documents, likeness


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


def by_text(texts_of):
    """{text: the senses that have it}."""
    found = {}
    for gloss in glosses():
        for text in texts_of(gloss):
            found.setdefault(text, []).append(gloss)
    return found


def test_hard_negatives_are_examples_of_siblings():
    data = gloss_pairs("sibling-negatives")
    owners, definitions = by_text(lambda gloss: gloss.examples), by_text(lambda gloss: (gloss.definition,))
    known = {gloss.synset for gloss in glosses()}

    def parent(gloss):
        return next(h for h in gloss.hypernyms if h in known)

    for part, rest in ((data.train, (1, 2, 3, 4)), (data.test, (0,))):
        allowed = {gloss.synset for i, gloss in enumerate(glosses()) if i % 5 in rest}
        for a, b, negative in list(zip(part.a, part.b, part.negatives, strict=True))[:300]:
            pairs = [
                (x, y) for x in definitions[a] for y in owners[negative] if y.synset in allowed and b in x.examples
            ]
            assert any(x is not y and parent(x) == parent(y) for x, y in pairs), (a, negative)
    assert len(data.train) > 4700 and len(data.test) > 600 and data.train.labels is not None


def test_graded_pairs_have_their_likeness():
    data = gloss_pairs("graded")
    assert (len(data.train), len(data.test)) == (4000, 1000) and data.train.labels is None
    definitions = by_text(lambda gloss: (gloss.definition,))
    for a, b, grade in list(zip(data.test.a, data.test.b, data.test.similarity, strict=True))[:200]:
        grades = [likeness(x, y) for x in definitions[a] for y in definitions[b]]
        assert any(one == pytest.approx(grade) for one in grades)
    low, middle, high = np.quantile(data.train.similarity, [0.2, 0.5, 0.8])
    assert low == 0 and 0.3 < middle < 0.7 and high > 0.7


def test_pairs_of_two_tasks_are_those_of_each():
    both, plain, graded = (gloss_pairs(kind) for kind in ("tasks", "definition-example", "graded"))
    for part in ("train", "test"):
        joined, first, second = (getattr(data, part) for data in (both, plain, graded))
        assert joined.a == first.a + second.a and joined.b == first.b + second.b
        assert np.isnan(joined.similarity[: len(first)]).all()
        np.testing.assert_array_equal(joined.similarity[len(first) :], second.similarity)


def test_likeness_counts_the_way_to_the_common_hypernym():
    senses = {gloss.synset: gloss for gloss in glosses()}

    def line(gloss):
        above = [senses[h] for h in gloss.hypernyms if h in senses][:1]
        return [*(line(above[0]) if above else ()), gloss]

    deep = max(glosses(), key=lambda gloss: len(line(gloss)))
    *_, grandparent, parent, child = line(deep)
    depth = len(line(child))
    assert likeness(child, child) == 1
    assert likeness(child, parent) == likeness(parent, child) == 2 * (depth - 1) / (2 * depth - 1)
    assert likeness(child, grandparent) < likeness(child, parent)
    other_root = next(gloss for gloss in glosses() if line(gloss)[0] is not line(child)[0])
    assert likeness(child, other_root) == 0


def test_sentences_are_all_definitions_and_examples():
    data = gloss_sentences()
    for part, rest in ((data.train, (1, 2, 3, 4)), (data.test, (0,))):
        senses = [gloss for i, gloss in enumerate(glosses()) if i % 5 in rest]
        assert part.texts == [text for gloss in senses for text in (gloss.definition, *gloss.examples)]
        names = [gloss.category for gloss in senses for _ in range(1 + len(gloss.examples))]
        assert [part.label_names[label] for label in part.labels] == names
    assert load("sentences").train.texts == data.train.texts


def test_documents_hold_all_senses_of_one_hypernym():
    data = gloss_documents()
    texts = [*data.train.texts, *data.test.texts]
    assert min(len(text.split()) for text in texts) >= 25 and len(set(texts)) == len(texts)
    assert len(gloss_documents(words=60).train) < len(data.train) < len(gloss_documents(words=1).train)
    everything = gloss_documents(words=1)
    definitions = [gloss.definition for gloss in glosses()]
    joined = " | ".join([*everything.train.texts, *everything.test.texts])
    assert all(definition in joined for definition in definitions[::200])
    assert load("documents", words=30).train.labels.max() < 41
    for words in (0, 10**6):
        with pytest.raises(ValueError, match=f"documents: words: got {words}, expected"):
            gloss_documents(words=words)


def test_load_knows_the_embedded_names():
    assert len(load("digits").train) == 1437
    assert load("glosses", kind="definition-example").train.b == gloss_pairs("definition-example").train.b
    with pytest.raises(ValueError, match=r"kind 'x', expected word-definition, .* or tasks"):
        gloss_pairs("x")
    with pytest.raises(DataError, match="option 'size' of digits, expected none"):
        load("digits", size=3)


def test_licences_stand_beside_the_data():
    text = (files("mini_repr.data") / "embedded" / "LICENCES.md").read_text(encoding="utf-8")
    assert "CC BY 4.0" in text and "WordNet 3.0 Copyright 2006 by Princeton University." in text
