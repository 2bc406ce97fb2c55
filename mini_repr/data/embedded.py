"""The two sets inside the package: 8x8 handwritten digits, and WordNet glosses. Origin: ``embedded/LICENCES.md``."""

import gzip
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from mini_repr.data.dataset import TEST_EVERY, Dataset, ImageSet, PairSet, split

GLOSS_PAIRS = ("word-definition", "definition-example")
_GREY_LEVELS = 16  # a pixel counts the inked dots of a 4x4 block of the scanned digit


@dataclass(frozen=True, slots=True)
class Gloss:
    """One sense of WordNet: what it is called, what it is a kind of, and what it means.

    synset: part of speech and offset in WordNet 3.0, such as ``n00002684``. category: lexical file, such as
    ``noun.animal``. lemmas: its words, in the order of WordNet. hypernyms: synsets it is a kind of (they need not be in
    this selection). count: occurrences in WordNet's tagged texts. examples: sentences, often none.
    """

    synset: str
    category: str
    lemmas: tuple[str, ...]
    hypernyms: tuple[str, ...]
    count: int
    definition: str
    examples: tuple[str, ...]


def digits():
    """Handwritten digits: 1437 train and 360 test images (N, 1, 8, 8) with labels 0..9.

    The split is fixed: row i of the source is a test row iff i % 5 == 0. Source: Alpaydin and Kaynak, 1998.
    """
    with _open("digits.npz") as file, np.load(file, allow_pickle=False) as arrays:
        images = arrays["images"][:, None].astype(np.float32) / _GREY_LEVELS
        labels = arrays["labels"].astype(np.int64)
    return split(ImageSet("digits", images, labels, tuple("0123456789")))


@cache
def glosses():
    """All 12,365 senses, a tuple of Gloss in the order of the file (nouns, then verbs, by synset)."""
    with _open("glosses.tsv.gz") as file:
        lines = gzip.decompress(file.read()).decode("utf-8").splitlines()
    return tuple(_gloss(*line.split("\t")) for line in lines[1:])


def gloss_pairs(kind="word-definition"):
    """Pairs of texts from the glosses, labelled by their 41 lexical categories.

    Args:
        kind: ``"word-definition"``, one pair a sense: its first lemma and its definition. A word of several senses
            comes several times. ``"definition-example"``: one pair an example sentence.
    Returns:
        Dataset of PairSet, split by sense: sense i gives test pairs iff i % 5 == 0, so no sense is on both sides.
    Raises:
        ValueError: another kind.
    """
    if kind not in GLOSS_PAIRS:
        raise ValueError(f"gloss_pairs: kind {kind!r}, expected {' or '.join(GLOSS_PAIRS)}")
    label_names = tuple(sorted({gloss.category for gloss in glosses()}))
    index = {category: label for label, category in enumerate(label_names)}

    def part(is_test):
        a, b, labels = [], [], []
        for i, gloss in enumerate(glosses()):
            if (i % TEST_EVERY == 0) != is_test:
                continue
            first = gloss.lemmas[0] if kind == "word-definition" else gloss.definition
            for second in (gloss.definition,) if kind == "word-definition" else gloss.examples:
                a.append(first)
                b.append(second)
                labels.append(index[gloss.category])
        return PairSet("glosses", a, b, np.array(labels, dtype=np.int64), label_names)

    return Dataset("glosses", part(False), part(True))


def _gloss(synset, category, lemmas, hypernyms, count, definition, examples):
    return Gloss(synset, category, _list(lemmas), _list(hypernyms), int(count), definition, _list(examples))


def _list(field):
    return tuple(field.split("|")) if field else ()


def _open(name):
    return files("mini_repr.data").joinpath("embedded", name).open("rb")
