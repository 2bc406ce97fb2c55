"""Break-A-Scene: masks and subsets give each object of one picture a word of its own.

Avrahami et al. 2023, arXiv 2305.16311. Two scenes a seed of two test digits, the cells of the digits as masks, the
stand-in ``scenes-flow`` (two trainings of it, by the parity of the seed), a hundred steps on the rows of two new words
that start from the mean of the number words. Arms: *full*; *no maps*: without the loss of attention maps; *no union*:
both words in every caption; *no masks*: the whole picture. Forty-eight images each of "a s1", "a s2" and "a s1 and a
s2" at guidance 2: *identity*: the word's digit is there; *leakage*: the other digit is there; *both*: both are, where
both were asked for. The spotter sees 0.91 of true scenes whole. The second phase, in which all weights are tuned, is
left out.
"""

import numpy as np

from mini_repr.claims.bench.claim import Claim, higher, lower
from mini_repr.data import digits
from mini_repr.data.generated.scenes import CAPTIONS, CELL, NUMBERS, scene
from mini_repr.methods.concepts import extracted_concepts
from mini_repr.standins import get, scenes_flow

SCENES, IMAGES, GUIDANCE = 2, 48, 2.0
ARMS = {
    "full": {},
    "no maps": {"attention_weight": 0.0},
    "no union": {"union": False},
    "no masks": {"masked": False, "attention_weight": 0.0},
}


def measure(seed):
    denoiser, spotter = get("scenes-flow", seed % 2), get("spotter")
    rng = np.random.default_rng(seed)
    numbers = [CAPTIONS.words.index(word) for word in NUMBERS]
    start = denoiser.words.weight.data[numbers].mean(axis=0)
    found = {arm: [] for arm in ARMS}
    for _ in range(SCENES):
        one = scene(rng, digits().test, "relation")
        masks = np.stack([cell_of(o.cell) for o in one.objects])
        wanted = [o.digit for o in one.objects]
        noise = rng.standard_normal((IMAGES, *scenes_flow.SHAPE), dtype=np.float32)
        for arm, settings in ARMS.items():
            slots = extracted_concepts(
                denoiser, one.image[None], masks, start, np.random.default_rng([seed, 1]), **settings
            )
            there = {}
            for caption in ("a s1", "a s2", "a s1 and a s2"):
                images = scenes_flow.sample(denoiser, noise, [caption] * IMAGES, guidance=GUIDANCE, slots=slots)
                kinds, _ = spotter.spot(images)
                there[caption] = [(kinds == digit).any(axis=1) for digit in wanted]
            found[arm].append(
                {
                    "identity": np.mean([there["a s1"][0], there["a s2"][1]]),
                    "leakage": np.mean([there["a s1"][1], there["a s2"][0]]),
                    "both": np.mean(there["a s1 and a s2"][0] & there["a s1 and a s2"][1]),
                }
            )
    return {arm: {name: float(np.mean([one[name] for one in all_])) for name in all_[0]} for arm, all_ in found.items()}


def cell_of(number, side=2):
    """(16, 16) booleans of one cell."""
    mask = np.zeros((side * CELL, side * CELL), dtype=bool)
    y, x = (CELL * k for k in divmod(number, side))
    mask[y : y + CELL, x : x + CELL] = True
    return mask


CLAIM = Claim(
    paper="064",
    says="with masks and subsets of its objects one picture gives each object a word that draws it and not the other",
    measure=measure,
    expects=(
        lower("leakage", "full", "no masks", by=0.1),
        higher("identity", "full", "no union"),
        higher("both", "full", "no union"),
        lower("leakage", "full", "no maps"),
    ),
    seeds=6,
    designs=2,
)
