"""The two sets inside the package: 8x8 handwritten digits, and WordNet glosses. Origin: ``embedded/LICENCES.md``."""

import gzip
from collections import Counter
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from mini_repr.data.dataset import TEST_EVERY, Dataset, ImageSet, PairSet, TextSet, split

GLOSS_PAIRS = ("word-definition", "definition-example", "sibling-negatives", "graded", "tasks")
GRADED_PAIRS, GRADED_SEED = (4000, 1000), 35
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
            comes several times. ``"definition-example"``: one pair an example sentence. ``"sibling-negatives"``: these
            pairs with a hard negative each, an example of another sense of the same hypernym; pairs without one are
            left out. ``"graded"``: 4,000 pairs of definitions to train on and 1,000 to test, with their ``likeness``,
            without labels; a third each of siblings, of one category, and of any two senses. ``"tasks"``: the pairs of
            definition and example, without a grade, and then those.
    Returns:
        Dataset of PairSet, split by sense: sense i gives test pairs iff i % 5 == 0, so no sense is on both sides.
    Raises:
        ValueError: another kind.
    """
    if kind not in GLOSS_PAIRS:
        raise ValueError(f"gloss_pairs: kind {kind!r}, expected {', '.join(GLOSS_PAIRS[:-1])} or {GLOSS_PAIRS[-1]}")
    if kind == "tasks":
        sets = [gloss_pairs(one) for one in ("definition-example", "graded")]
        return Dataset("glosses", *(_joined(*parts) for parts in zip(*((x.train, x.test) for x in sets), strict=True)))
    rng = np.random.default_rng(GRADED_SEED)
    if kind == "graded":
        parts = [_graded(senses, count, rng) for senses, count in zip(_senses(), GRADED_PAIRS, strict=True)]
        return Dataset("glosses", *parts)
    pairs_of = {
        "word-definition": lambda senses: [(gloss, gloss.lemmas[0], gloss.definition, None) for gloss in senses],
        "definition-example": lambda senses: [
            (gloss, gloss.definition, example, None) for gloss in senses for example in gloss.examples
        ],
        "sibling-negatives": lambda senses: _with_siblings(senses, rng),
    }[kind]

    def part(senses):
        owners, a, b, negatives = map(list, zip(*pairs_of(senses), strict=True))
        negatives = None if negatives[0] is None else negatives
        return PairSet("glosses", a, b, _category_labels(owners), _categories(), negatives)

    return Dataset("glosses", *map(part, _senses()))


def gloss_sentences():
    """Sentences from the glosses, labelled by their 41 lexical categories: each definition, each example.

    Returns:
        Dataset of TextSet, split by sense as ``gloss_pairs``: 17,403 texts to train on and 4,341 to test.
    """

    def part(senses):
        pairs = [(gloss, text) for gloss in senses for text in (gloss.definition, *gloss.examples)]
        owners, texts = map(list, zip(*pairs, strict=True))
        return TextSet("sentences", texts, _category_labels(owners), _categories())

    return Dataset("sentences", *map(part, _senses()))


def gloss_documents(words=25):
    """Documents from the glosses: all that WordNet says of the senses of one hypernym, labelled by their category.

    Their lemmas, definitions and examples, one sense after the other; the category is that of most of them.

    Args:
        words: a document of fewer words is left out.
    Returns:
        Dataset of TextSet, split by hypernym: every fifth of them, in the order of the file, is a test document.
    Raises:
        ValueError: fewer than 1 word, or so many that no document is left to train or to test.
    """
    if words < 1:
        raise ValueError(f"documents: words: got {words}, expected 1 or more")
    parts = ([], [])
    for number, senses in enumerate(_grouped(glosses(), _parent).values()):
        text = " ".join(" ".join((*gloss.lemmas, gloss.definition, *gloss.examples)) for gloss in senses)
        if len(text.split()) >= words:
            most = Counter(gloss.category for gloss in senses).most_common(1)[0][0]
            parts[number % TEST_EVERY == 0].append((text, _categories().index(most)))
    if not all(parts):
        raise ValueError(f"documents: words: got {words}, expected fewer: no document is left")

    def part(documents):
        texts, labels = zip(*documents, strict=True)
        return TextSet("documents", list(texts), np.array(labels, dtype=np.int64), _categories())

    return Dataset("documents", *map(part, parts))


def likeness(first, second):
    """How alike two senses are, from 0 to 1: twice the depth of their nearest common hypernym over both their depths.

    A sense's depth counts the senses from it up to a root, both included, always by the first hypernym; senses of
    different roots have likeness 0, a sense has 1 with itself. Source: Wu and Palmer 1994, "Verb semantics and lexical
    selection", section 4.
    """
    one, other = _ancestry()[first.synset], _ancestry()[second.synset]
    shared = sum(x == y for x, y in zip(one, other, strict=False))  # once apart, two lines never meet again
    return 2 * shared / (len(one) + len(other))


@cache
def _ancestry():
    """{synset: the synsets from its root down to it}."""
    above = {gloss.synset: gloss.hypernyms for gloss in glosses()}
    lines = {}
    for synset in above:
        line = [synset]
        while (up := next((h for h in above[line[-1]] if h in above and h not in line), None)) is not None:
            line.append(up)
        lines[synset] = tuple(reversed(line))
    return lines


def _senses():
    """The training senses and the test senses, two tuples."""
    test = glosses()[::TEST_EVERY]
    return tuple(gloss for i, gloss in enumerate(glosses()) if i % TEST_EVERY), test


@cache
def _categories():
    return tuple(sorted({gloss.category for gloss in glosses()}))


def _category_labels(senses):
    index = {category: label for label, category in enumerate(_categories())}
    return np.array([index[gloss.category] for gloss in senses], dtype=np.int64)


def _grouped(senses, key):
    groups = {}
    for gloss in senses:
        groups.setdefault(key(gloss), []).append(gloss)
    return groups


def _parent(gloss):
    """What siblings share: the synset of their first hypernym. A root shares it with no sense."""
    line = _ancestry()[gloss.synset]
    return line[-2] if len(line) > 1 else f"root {gloss.synset}"


def _with_siblings(senses, rng):
    by_parent = _grouped((gloss for gloss in senses if gloss.examples), _parent)
    found = []
    for gloss in senses:
        others = [sibling for sibling in by_parent.get(_parent(gloss), ()) if sibling is not gloss]
        for example in gloss.examples if others else ():
            far = others[rng.integers(len(others))]
            found.append((gloss, gloss.definition, example, far.examples[rng.integers(len(far.examples))]))
    return found


def _graded(senses, count, rng):
    nearness = [_parent, lambda gloss: gloss.category, lambda gloss: None]
    groups = [_grouped(senses, key) for key in nearness]
    first, second = [], []
    while len(first) < count:
        gloss, near = senses[rng.integers(len(senses))], len(first) % len(nearness)
        others = groups[near][nearness[near](gloss)]
        other = others[rng.integers(len(others))]
        if other is not gloss:
            first.append(gloss)
            second.append(other)
    similarity = np.array([likeness(*pair) for pair in zip(first, second, strict=True)], dtype=np.float32)
    texts = ([gloss.definition for gloss in side] for side in (first, second))
    return PairSet("glosses", *texts, similarity=similarity)


def _joined(plain, graded):
    """One set of pairs without a grade and then pairs with one."""
    similarity = np.concatenate([np.full(len(plain), np.nan, dtype=np.float32), graded.similarity])
    return PairSet("glosses", plain.a + graded.a, plain.b + graded.b, similarity=similarity)


def _gloss(synset, category, lemmas, hypernyms, count, definition, examples):
    return Gloss(synset, category, _list(lemmas), _list(hypernyms), int(count), definition, _list(examples))


def _list(field):
    return tuple(field.split("|")) if field else ()


def _open(name):
    return files("mini_repr.data").joinpath("embedded", name).open("rb")
