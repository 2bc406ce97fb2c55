"""Scenes with their captions, to train a tower of images and one of texts, and what every pixel shows.

Captions are in English, or in a language made up for this, which shares no word with it and puts articles last:

>>> translated("a two and a seven")
'dorek lo mi fasel lo'
"""

import numpy as np

from mini_repr.data.dataset import CaptionedSet, Dataset
from mini_repr.data.embedded import digits
from mini_repr.data.generated.scenes import NUMBERS, scene

LANGUAGES = ("english", "made up", "mixed")
_MADE_UP = ("natu", "kepi", "dorek", "bulom", "sira", "tanok", "melu", "fasel", "gorim", "pelu")


def translated(caption):
    """A caption, "a two and a seven", in the made-up language: "dorek lo mi fasel lo"."""
    nouns = [noun.split()[1] for noun in caption.split(" and ")]
    return " mi ".join(f"{_MADE_UP[NUMBERS.index(noun)]} lo" for noun in nouns)


def captioned_scenes(count=1600, seed=0, side=4, most=3, language="english"):
    """Scenes of a few different digits, each with a caption that names them: "a two and a seven".

    Args:
        count: training scenes, of training digits; a quarter as many test scenes, of test digits.
        seed: of both parts.
        side: cells along a side, of 8 x 8 pixels each; at least 2.
        most: digits of a scene, 1 to 4; as many scenes of one digit as of two, and so on.
        language: "english", "made up", or "mixed": each caption in one of the two, at random. The scenes of a seed are
            the same.
    Returns:
        Dataset of CaptionedSet whose things are the ten digits, "a zero" to "a nine", of the made-up language alone in
        that. ``mini-repr train --data captions
        --set data.side=3``
    Raises:
        ValueError: a number of digits, a side or a language out of these.
    """
    if language not in LANGUAGES:
        raise ValueError(f"captions: language: got {language!r}, expected {', '.join(LANGUAGES)}")
    if most not in range(1, 5):
        raise ValueError(f"captions: most: got {most!r}, expected 1 to 4 digits: --set data.most=3")
    data, parts = digits(), []
    for stream, (part, size) in enumerate(((data.train, count), (data.test, max(4, count // 4)))):
        rng = np.random.default_rng([seed, stream])
        drawn = [
            scene(rng, part, "one" if n == 1 else "list", n, side) for n in rng.integers(1, most + 1, size).tolist()
        ]
        images = np.stack([one.image for one in drawn])[:, None]
        things = tuple(f"a {word}" for word in NUMBERS)
        texts = [" and ".join(things[o.digit] for o in one.objects) for one in drawn]
        if language != "english":
            chosen = np.random.default_rng([seed, stream, 1]).random(size) < (1 if language == "made up" else 0.5)
            texts = [translated(text) if made_up else text for text, made_up in zip(texts, chosen, strict=True)]
        if language == "made up":
            things = tuple(map(translated, things))
        parts.append(CaptionedSet("captions", images, texts, np.stack([_shown(one) for one in drawn]), things))
    return Dataset("captions", *parts)


def _shown(one):
    """(H, W) int64: the digit that each pixel of a scene is of, -1 for none."""
    shown = np.full(one.image.shape, -1, dtype=np.int64)
    for thing, mask in zip(one.objects, one.masks, strict=True):
        shown[mask] = thing.digit
    return shown
