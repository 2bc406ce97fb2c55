"""Break-A-Scene: masks and subsets give each object of one picture a word, and tuned weights draw it more alike.

Avrahami et al. 2023, arXiv 2305.16311. A scene a seed of two test digits, the cells of the digits as masks, the
stand-in ``scenes-flow`` (two trainings of it, by the parity of the seed). *full*: a hundred steps on the rows of two
new words that start from the mean of the number words; *longer*: two hundred; *no union*: both words in every caption;
*no masks*: the whole picture. *tuned*: after *full* a hundred steps on all weights, with 96 pictures that the denoiser
drew from captions of scenes as the prior; *tuned, no prior*: without. Forty-eight images each of "a s1", "a s2" and "a
s1 and a s2" at guidance 2: *identity*: the word's digit is there; *leakage*: the other digit is there; *both*: both
are, where both were asked for; *likeness*: the cosine of the pixels of the most similar cell with the object's. *kept*:
of "a seven" and so on the digit is there. The spotter sees 0.91 of true scenes whole. Rate of *tuned*: the better of
1e-4 and 3e-4 by likeness on two scenes of training digits. Two designs before were of the first phase alone: two scenes
a seed, and an arm without the loss of maps, which made no difference to *leakage* (maps have four cells).
"""

import numpy as np

from mini_repr.claims.bench.claim import Claim, higher, lower
from mini_repr.data import digits
from mini_repr.data.generated.scenes import CAPTIONS, CELL, NUMBERS, scene
from mini_repr.methods.concepts import TunedConcepts, extracted_concepts, tuned_concepts
from mini_repr.standins import agreement, get, scenes_flow

IMAGES, GUIDANCE, STEPS, RATE = 48, 2.0, 100, 3e-4
ARMS = {
    "full": {},
    "longer": {"steps": 2 * STEPS},
    "no union": {"union": False},
    "no masks": {"masked": False, "attention_weight": 0.0},
}


def measure(seed):
    return measured(seed, digits().test, RATE)


def measured(seed, part, rate, arms=ARMS):
    denoiser, spotter = get("scenes-flow", seed % 2), get("spotter")
    rng = np.random.default_rng(seed)
    numbers = [CAPTIONS.words.index(word) for word in NUMBERS]
    start = denoiser.words.weight.data[numbers].mean(axis=0)
    one = scene(rng, part, "relation")
    masks = np.stack([cell_of(o.cell) for o in one.objects])
    noise = rng.standard_normal((IMAGES, *scenes_flow.SHAPE), dtype=np.float32)
    captions = [scene(rng, digits().train).caption for _ in range(2 * IMAGES)]
    drawn = rng.standard_normal((2 * IMAGES, *scenes_flow.SHAPE), dtype=np.float32)
    prior = scenes_flow.sample(denoiser, drawn, captions, guidance=GUIDANCE), captions
    made = {}
    for arm, settings in arms.items():
        rows = extracted_concepts(
            denoiser, one.image[None], masks, start, np.random.default_rng([seed, 1]), **{"steps": STEPS, **settings}
        )
        made[arm] = TunedConcepts(denoiser, rows)
    for arm, weight in (("tuned", 1.0), ("tuned, no prior", 0.0)):
        made[arm] = tuned_concepts(
            denoiser,
            one.image[None],
            masks,
            made["full"].rows,
            prior,
            np.random.default_rng([seed, 2]),
            steps=STEPS,
            lr=rate,
            prior_weight=weight,
        )
    return {arm: judged(*concepts, one, noise, spotter) for arm, concepts in made.items()}


def judged(denoiser, rows, one, noise, spotter):
    """{"identity", "leakage", "both", "likeness", "kept"} of what a denoiser draws of a scene's objects."""
    there, alike = {}, []
    for caption in ("a s1", "a s2", "a s1 and a s2"):
        images = scenes_flow.sample(denoiser, noise, [caption] * IMAGES, guidance=GUIDANCE, slots=rows)
        kinds, _ = spotter.spot(images)
        there[caption] = [(kinds == o.digit).any(axis=1) for o in one.objects]
        for k, word in enumerate(("s1", "s2")):
            if caption == f"a {word}":
                alike.append(likeness(images, one.image[cell_of(one.objects[k].cell)]))
    others = [f"a {NUMBERS[k % 10]}" for k in range(IMAGES)]
    kept = agreement(spotter, scenes_flow.sample(denoiser, noise, others, guidance=GUIDANCE), others)["present"]
    return {
        "identity": float(np.mean([there["a s1"][0], there["a s2"][1]])),
        "leakage": float(np.mean([there["a s1"][1], there["a s2"][0]])),
        "both": float(np.mean(there["a s1 and a s2"][0] & there["a s1 and a s2"][1])),
        "likeness": float(np.mean(alike)),
        "kept": kept,
    }


def likeness(images, pixels):
    """Mean over images (B, 1, 16, 16) of the largest cosine of a cell's pixels with those (64,) of an object."""
    cells = np.stack([images[:, 0][:, cell_of(k)] for k in range(4)], axis=1)
    lengths = np.linalg.norm(cells, axis=2) * np.linalg.norm(pixels)
    return float((cells @ pixels / np.maximum(lengths, 1e-12)).max(axis=1).mean())


def cell_of(number, side=2):
    """(16, 16) booleans of one cell."""
    mask = np.zeros((side * CELL, side * CELL), dtype=bool)
    y, x = (CELL * k for k in divmod(number, side))
    mask[y : y + CELL, x : x + CELL] = True
    return mask


CLAIM = Claim(
    paper="064",
    says="masks and subsets give each object of a picture a word that draws it alone, and tuned weights draw it alike",
    measure=measure,
    expects=(
        lower("leakage", "full", "no masks", by=0.1),
        higher("identity", "full", "no union"),
        higher("likeness", "tuned", "full"),
        higher("likeness", "tuned", "longer"),
        higher("kept", "tuned", "tuned, no prior"),
    ),
    seeds=6,
    designs=3,
)
