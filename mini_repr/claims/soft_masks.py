"""Text-driven soft masks: where a word's evidence is dimmed in training, the rest of a caption is found more often.

Park, Han 2023, arXiv 2304.00719: an image whose patches are attenuated where one word of its caption is seen is a
further positive, which makes towers and matching attend to more than what is salient; focal weights on the contrast
help too. Here: two digits on four cells, one bright, one with 0.3 of its ink, a caption that names both; ViT with
patches of 4 x 4 pixels, pooled by the maximum, 1,280 scenes, 20 epochs at one learning rate, the same for all arms.
*word*: masks of the drawn word; *shuffled*: their values on other patches; *none*: no dimmed pairs; *none, unweighted*:
nor a focal weight. On 300 scenes of test digits: *dim*, is the true caption the nearest of nine that differ in the dim
digit; *dim, matching*, has it the highest matching score, by which the paper ranks in the end; *bright*, likewise;
*place*, the share of a digit's map in its own cell, of four. Before this, 8 settings were tried on single other seeds:
with a patch for each cell the mask hides a digit whole, and matching is worse with masks of any kind.
"""

import numpy as np

from mini_repr.backend import CPU
from mini_repr.claims.bench.claim import Claim, above, higher
from mini_repr.claims.bench.trained import trained
from mini_repr.data import CaptionedSet, Dataset, digits
from mini_repr.data.generated.scenes import CELL, NUMBERS
from mini_repr.methods import encode

DIM = 0.3  # what the ink of the other digit of a scene is multiplied by
SCENES, TEST = 1280, 300
ARMS = {"word": ("word", 2.0), "shuffled": ("shuffled", 2.0), "none": ("none", 2.0), "none, unweighted": ("none", 0.0)}


def bright_and_dim(part, count, rng):
    """(CaptionedSet, (count, 2) the digits of scenes, bright first, and (count, 2) their cells, of four)."""
    images = np.zeros((count, 1, 2 * CELL, 2 * CELL), dtype=np.float32)
    named, cells = (np.stack([rng.choice(most, 2, replace=False) for _ in range(count)]) for most in (10, 4))
    for image, own, places in zip(images[:, 0], named, cells, strict=True):
        for digit, cell, light in zip(own, places, (1, DIM), strict=True):
            y, x = (CELL * int(v) for v in divmod(cell, 2))
            image[y : y + CELL, x : x + CELL] = light * part.images[rng.choice(np.flatnonzero(part.labels == digit)), 0]
    texts = [_caption(*rng.permutation(own)) for own in named]
    return CaptionedSet("bright and dim", images, texts), named, cells


def _caption(first, second):
    return f"a {NUMBERS[first]} and a {NUMBERS[second]}"


def exchanged(named, which):
    """(N * 9) captions: of each scene its own, then those with another digit in place of the bright (0) or dim one."""
    others = (np.setdiff1d(np.arange(10), own) for own in named)
    return [_caption(own[1 - which], k) for own, rest in zip(named, others, strict=True) for k in (own[which], *rest)]


def scores(method, scenes, named, cells):
    """{measure: number} of a trained method on scenes of test digits."""
    method.eval()
    of_images, of_texts = method.towers
    rows, found = encode(of_images, scenes.images, CPU), {}
    for which, name in enumerate(("bright", "dim")):
        texts = exchanged(named, which)
        z = encode(of_texts, texts, CPU).reshape(len(named), 9, -1)
        z /= np.linalg.norm(z, axis=2, keepdims=True)
        matched = method.matching(np.repeat(scenes.images, 9, axis=0), texts).reshape(-1, 9)
        found[name] = float(((z @ rows[:, :, None])[:, :, 0].argmax(axis=1) == 0).mean())
        found[f"{name}, matching"] = float((matched.argmax(axis=1) == 0).mean())
    return found | {"place": place(method.maps_of(scenes.images, scenes.texts), scenes.texts, named, cells)}


def place(maps, texts, named, cells):
    """Mean share of the map of a digit's word that lies in the digit's cell, over maps that are not all 0."""
    side = round(maps.shape[2] ** 0.5)
    y, x = np.indices((side, side)).reshape(2, -1) * 2 // side
    shares = []
    for own, text, digits_, where in zip(maps, texts, named, cells, strict=True):
        for word, weight in zip(text.split(), own, strict=False):
            if word in NUMBERS and weight.any():
                inside = 2 * y + x == where[list(digits_).index(NUMBERS.index(word))]
                shares.append(weight[inside].sum() / weight.sum())
    return float(np.mean(shares))


def measure(seed):
    data = digits()
    train, _, _ = bright_and_dim(data.train, SCENES, np.random.default_rng([seed, 0]))
    test = bright_and_dim(data.test, TEST, np.random.default_rng([seed, 1]))
    arms = {}
    for arm, (masks, gamma) in ARMS.items():
        run = trained(
            seed,
            data=Dataset(train.name, train, test[0]),
            loss={"name": "focal_itc", "gamma": gamma, "learn": ["temperature"]},
            method={"name": "soft_masks", "masks": masks},
            encoder={"name": "vit", "pooling": "max", "patch": 4, "width": 48, "positions": "sine"},
            optimizer={"lr": 5e-3},
            train={"epochs": 20, "batch_size": 64},
        )
        arms[arm] = scores(run.method, *test)
    return arms


CLAIM = Claim(
    paper="114",
    says="dimming where a word is seen makes the less salient part of an image be found, and focal weights help",
    measure=measure,
    expects=(
        above("place", "word", 0.5),
        higher("dim", "word", "none"),
        higher("dim", "word", "shuffled"),
        higher("dim, matching", "word", "none"),
        higher("dim", "none", "none, unweighted"),
    ),
    seeds=5,
    designs=9,
)
