"""Scenes: a few digits on a canvas, with a mask and an attribute for each, and a caption that says all there is.

>>> from mini_repr.data import digits
>>> one = scene(np.random.default_rng(0), digits().train, "relation")
>>> one.image.shape, one.masks.shape, parse(one.caption).relation in RELATIONS
((16, 16), (2, 16, 16), True)

A caption is complete: it names every digit of its scene, so a generated digit too many is an error. Two captions of one
scene differ in order only (``a seven left of a two``, ``a two right of a seven``).
"""

from dataclasses import dataclass

import numpy as np

from mini_repr.data.dataset import Dataset, ImageSet
from mini_repr.data.embedded import digits

CELL = 8  # pixels along a side
INK = 0.125  # a pixel of a digit with more ink than this belongs to its mask
DARK = 0.5  # what the attribute "dark" multiplies the ink by
PLACES = ("tl", "tr", "bl", "br")
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
COUNTS = ("2x", "3x", "4x")
SLOTS = tuple(f"s{i}" for i in range(1, 9))  # words without a meaning, whose rows a method may fit
ATTRIBUTES = ("light", "dark")
RELATIONS = ("left of", "right of", "above", "below")
# {kind: the numbers of digits it may have} and how often each kind comes.
KINDS = {"one": (1,), "relation": (2,), "list": (2, 3, 4), "count": (2, 3, 4)}
MIXTURE = {"one": 0.30, "relation": 0.45, "list": 0.10, "count": 0.15}
NULL = ""  # the caption that says nothing


@dataclass(frozen=True)
class Vocabulary:
    """Words and their numbers: 0 pads, 1 begins and 2 ends a text; ``length`` places are enough for every text."""

    words: tuple[str, ...]
    length: int

    def tokenise(self, text):
        """The text as (length,) int64: begin, its words, end, padding.

        Raises:
            ValueError: an unknown word, which it names, or too many words.
        """
        said = text.split()
        for word in said:
            if word not in self.words[3:]:
                raise ValueError(f"tokenise: unknown word {word!r} in {text!r}, expected {', '.join(self.words[3:])}")
        if len(said) > self.length - 2:
            raise ValueError(f"tokenise: {len(said)} words in {text!r}, expected at most {self.length - 2}")
        ids = np.zeros(self.length, dtype=np.int64)
        ids[: len(said) + 2] = [1, *(self.words.index(word) for word in said), 2]
        return ids


_SPECIAL = ("PAD", "BOS", "EOS")
_PLACING = ("left", "right", "above", "below", "of")
# 17 places: the longest caption lists four digits with an attribute each.
CAPTIONS = Vocabulary((*_SPECIAL, "a", "and", *_PLACING, *ATTRIBUTES, *NUMBERS, *COUNTS, *SLOTS), 17)
_ANSWERS = ("nothing", "yes", "no", "1", "2", "3", "4")
QUESTIONS = Vocabulary((*_SPECIAL, "what", "how", "many", "is", "there", *PLACES, *NUMBERS, *_ANSWERS), 5)


@dataclass(frozen=True)
class SceneObject:
    """One digit of a scene: its class 0..9, its cell (counted along rows), "light" or "dark", and its source row."""

    digit: int
    cell: int
    attribute: str
    row: int


@dataclass(frozen=True, eq=False)
class Scene:
    """image (H, W) float32 in [0, 1], background 0; caption; k objects; masks (k, H, W) bool, which do not overlap."""

    image: np.ndarray
    caption: str
    objects: tuple[SceneObject, ...]
    masks: np.ndarray


@dataclass(frozen=True)
class Noun:
    """A digit (or slot) that a caption names: the word, its attribute, and its place in ``CAPTIONS.tokenise``."""

    word: str
    attribute: str
    place: int


@dataclass(frozen=True)
class Parsed:
    """What a caption says: its nouns in order, the relation of the first to the second or None, and how many digits."""

    nouns: tuple[Noun, ...]
    relation: str | None
    count: int


def scene(rng, part, kind=None, number=None, side=2):
    """Draw a scene of digits on a canvas of ``side`` x ``side`` cells, and its caption.

    Kinds: ``one`` (``a seven``), ``relation`` (two digits in one row or column, ``a seven left of a two``), ``list``
    (``a seven and a two``; two digits then stand in neither a common row nor a common column) and ``count``
    (``3x seven``); the article is always ``a``. The digits of a scene are of different classes; only in ``count`` are
    all of one class, and share their attribute. A digit is dark with probability 1/4; if any is, each gets its word.
    A digit is moved by up to a pixel either way and cut to its cell.

    Args:
        rng: numpy Generator.
        part: ImageSet of 8x8 digits: the training digits for training scenes, the test digits for test scenes.
        kind: of ``KINDS``; by default drawn from ``MIXTURE``.
        number: of digits; by default drawn from those of the kind.
        side: cells along a side, at least 2.
    Raises:
        ValueError: a kind, a number or a side out of these.
    Source: own; for rows 016, 051, 053, 055, 058, 062, 064, 074, 084, 085, 086, 089, 098, 099, 106, 110, 112, 114,
    116. Attributes and relations follow the prompts of attend-and-excite (Chefer et al. 2023, arXiv 2301.13826).
    """
    kind = kind or str(rng.choice(list(MIXTURE), p=list(MIXTURE.values())))
    if kind not in KINDS:
        raise ValueError(f"scene: kind is {kind!r}, expected {', '.join(KINDS)}")
    number = number or int(rng.choice(KINDS[kind]))
    if number not in KINDS[kind] or side < 2:
        raise ValueError(f"scene: {number} digits, side {side}; {kind} expects {KINDS[kind]} digits, side at least 2")
    classes = rng.choice(10, size=number, replace=False)
    dark = rng.random(number) < 0.25
    if kind == "count":
        classes, dark = np.repeat(classes[:1], number), np.repeat(dark[:1], number)
    cells = _cells(rng, kind, number, side)
    objects, masks = [], np.zeros((number, side * CELL, side * CELL), dtype=bool)
    image = np.zeros(masks.shape[1:], dtype=np.float32)
    for i in range(number):
        row = int(rng.choice(np.flatnonzero(part.labels == classes[i])))
        ink = _moved(part.images[row, 0], *rng.integers(-1, 2, size=2))
        y, x = (CELL * int(v) for v in divmod(cells[i], side))
        image[y : y + CELL, x : x + CELL] = ink * DARK if dark[i] else ink
        masks[i, y : y + CELL, x : x + CELL] = ink > INK
        objects.append(SceneObject(int(classes[i]), int(cells[i]), ATTRIBUTES[int(dark[i])], row))
    return Scene(image, _caption(kind, objects, side), tuple(objects), masks)


def parse(caption):
    """What a caption says, a ``Parsed``; the null caption names nothing.

    Raises:
        ValueError: an unknown word, or words that are no caption.
    """
    CAPTIONS.tokenise(caption)
    words, nouns, relations, repeat, attribute = caption.split(), [], [], [], None
    said = []
    for place, word in enumerate(words, 1):
        if word in NUMBERS or word in SLOTS:
            nouns.append(Noun(word, attribute or "light", place))
            attribute = None
            said.append("noun")
        elif word in ATTRIBUTES:
            attribute = word
        elif word in COUNTS:
            repeat.append(int(word[0]))
            said.append("count")
        elif word == "and" or word in _PLACING[:4]:
            relations += [] if word == "and" else [word]
            said.append("and" if word == "and" else "relation")
        elif word == "of" and relations:
            relations[-1] += " of"
    pattern = " ".join(said)
    lists = {" and ".join(["noun"] * n) for n in range(5)}
    if attribute or pattern not in lists | {"count noun", "noun relation noun"} or set(relations) - set(RELATIONS):
        raise ValueError(f"parse: {caption!r} is no caption, expected such as 'a seven', 'a seven left of a two'")
    return Parsed(tuple(nouns), relations[0] if relations else None, repeat[0] if repeat else len(nouns))


def questions(scene, rng):
    """Eight questions on a scene of four cells: (question, answer) texts, in the words of ``QUESTIONS``.

    ``what tl`` and so on for the four cells (a number word or ``nothing``), ``how many`` (1..4), and three times
    ``is there seven``: yes or no with equal probability.
    """
    there = {o.cell: NUMBERS[o.digit] for o in scene.objects}
    asked = [(f"what {place}", there.get(cell, "nothing")) for cell, place in enumerate(PLACES)]
    asked.append(("how many", str(len(there))))
    for yes in rng.random(3) < 0.5:
        words = [word for word in NUMBERS if (word in there.values()) == yes]
        asked.append((f"is there {rng.choice(words)}", "yes" if yes else "no"))
    return asked


def scene_images(count=1500, seed=0, side=2):
    """Scenes as labelled images: the label is how many digits there are, 1 to 4 equally often.

    Args:
        count: training scenes, of training digits; a quarter as many test scenes, of test digits.
        seed: of both parts.
        side: cells along a side; images are (1, 8 side, 8 side).
    Returns:
        Dataset of ImageSet, with classes "1" to "4". ``mini-repr train --data scenes --set data.side=3``
    """
    data, parts = digits(), []
    for stream, (part, size) in enumerate(((data.train, count), (data.test, max(4, count // 4)))):
        rng = np.random.default_rng([seed, stream])
        numbers = rng.integers(1, 5, size=size)
        kinds = [str(rng.choice([k for k, fit in KINDS.items() if n in fit])) for n in numbers]
        drawn = [scene(rng, part, kind, int(n), side) for kind, n in zip(kinds, numbers, strict=True)]
        images = np.stack([one.image for one in drawn])[:, None]
        parts.append(ImageSet("scenes", images, numbers - 1, ("1", "2", "3", "4")))
    return Dataset("scenes", *parts)


def _cells(rng, kind, number, side):
    """Different cells; a relation's two share a row or a column, a list's two share neither."""
    while True:
        cells = rng.choice(side * side, size=number, replace=False)
        (y, x), shared = np.divmod(cells, side), False
        if number == 2:
            shared = y[0] == y[1] or x[0] == x[1]
        if number != 2 or kind == "count" or shared == (kind == "relation"):
            return cells


def _moved(ink, down, right):
    """The digit moved by whole pixels; what leaves the cell is cut, what comes in is blank."""
    padded = np.pad(ink, 1)
    return padded[1 - down : 1 - down + CELL, 1 - right : 1 - right + CELL]


def _caption(kind, objects, side):
    some_dark = any(o.attribute == "dark" for o in objects)
    nouns = [(f"{o.attribute} " if some_dark else "") + NUMBERS[o.digit] for o in objects]
    if kind == "count":
        return f"{len(objects)}x {nouns[0]}"
    if kind == "relation":
        (y, x), (other_y, other_x) = (divmod(o.cell, side) for o in objects)
        relation = ("left of" if x < other_x else "right of") if y == other_y else "above" if y < other_y else "below"
        return f"a {nouns[0]} {relation} a {nouns[1]}"
    return " and ".join(f"a {noun}" for noun in nouns)
