"""``scenes-clip`` stands for CLIP: a tower of scenes and a tower of captions, trained to find each other.

Like CLIP it is nearly a bag of words: what stands in a scene, how often and how dark it knows; who stands left of whom
it does not, so it is no judge of relations.
"""

import math

import numpy as np

from mini_repr.autograd import exp, no_grad
from mini_repr.data import digits
from mini_repr.data.generated.scenes import CAPTIONS, CELL, NUMBERS, RELATIONS, parse, scene
from mini_repr.losses.pairs.infonce import infonce
from mini_repr.nn.caption_towers import CaptionTowers
from mini_repr.standins.fitting import fit
from mini_repr.standins.scenes_flow import SHAPE, drawn_scenes

SETTINGS = {"patch": 4, "width": 64, "depth": 3, "heads": 4, "dimensions": 32}
SCENES, STEPS, BATCH = 12_000, 1500, 64
LARGEST = math.log(100)  # the logarithm of the scale stays below it, as in CLIP


def make(seed, **settings):
    return CaptionTowers(SHAPE, np.random.default_rng([seed, 0]), CAPTIONS, **{**SETTINGS, **settings})


def train(towers, seed, watch=None, steps=STEPS, scenes=SCENES):
    images, ids, captions = drawn_scenes(digits().train, np.random.default_rng([seed, 1]), scenes)
    kinds = np.unique([str(meaning(c)) for c in captions], return_inverse=True)[1]

    def loss_of(rng):
        # A second image of the same meaning would be a false negative.
        drawn = rng.integers(len(images), size=3 * BATCH)
        chosen = drawn[np.sort(np.unique(kinds[drawn], return_index=True)[1])][:BATCH]
        np.minimum(towers.log_scale.data, LARGEST, out=towers.log_scale.data)
        return infonce(towers.images(images[chosen]), towers.texts(ids[chosen]), exp(-towers.log_scale))

    fit(towers, loss_of, np.random.default_rng([seed, 2]), steps=steps, lr=1e-3, watch=watch)


def meaning(caption):
    """What a caption says, the same for all captions that say it: nouns, relation, how many."""
    said = parse(caption)
    nouns, relation = [(n.word, n.attribute) for n in said.nouns], said.relation
    if relation in ("right of", "below"):
        nouns, relation = nouns[::-1], {"right of": "left of", "below": "above"}[relation]
    return tuple(nouns if relation else sorted(nouns)), relation, said.count


def in_cells(images, rng):
    """Digits (N, 1, 8, 8) on empty canvases (N, 1, 16, 16), each in a random cell."""
    canvas = np.zeros((len(images), *SHAPE), dtype=np.float32)
    for one, image in zip(canvas, images, strict=True):
        y, x = CELL * rng.integers(SHAPE[1] // CELL, size=2)
        one[:, y : y + CELL, x : x + CELL] = image
    return canvas


def nearest_caption(towers, images, captions):
    """(N,): the number of the caption whose row has the largest cosine with that of each image."""
    with no_grad():
        rows, texts = towers.images(images).data, towers.texts(towers.ids(captions)).data
    return (rows @ (texts / np.linalg.norm(texts, axis=1, keepdims=True)).T).argmax(axis=1)


def gate(towers, get):
    """{what: (share, the least that is needed)} on test digits and scenes of them; asks no other stand-in."""
    part, rng = digits().test, np.random.default_rng(5)
    found = nearest_caption(towers, in_cells(part.images, rng), [f"a {word}" for word in NUMBERS])
    scenes = [scene(rng, part) for _ in range(200)]
    distinct = list({str(meaning(s.caption)): s for s in scenes}.values())[:60]
    retrieved = nearest_caption(towers, np.stack([s.image for s in distinct])[:, None], [s.caption for s in distinct])
    related = [scene(rng, part, "relation") for _ in range(200)]
    right = [nearest_caption(towers, s.image[None, None], [s.caption, _opposite(s.caption)])[0] == 0 for s in related]
    return {
        "digits": (float((found == part.labels).mean()), 0.75),
        "caption of 60": (float((retrieved == np.arange(len(distinct))).mean()), 0.5),
        "relation, of it and its opposite": (float(np.mean(right)), None),
    }


def _opposite(caption):
    """The caption with the opposite relation in place of its own."""
    relation = parse(caption).relation
    place = RELATIONS.index(relation)
    return caption.replace(relation, RELATIONS[place + 1 if place % 2 == 0 else place - 1])
