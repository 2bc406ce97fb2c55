"""ZeCon: a contrast of the denoiser's own features keeps what is in an image while its style follows a caption.

Yang, Hwang, Ye 2023, arXiv 2303.08622. Forty-eight test scenes of two light digits, from "a light seven left of a light
two" to "a dark seven left of a dark two" and the like, twelve steps from t = 0.6, the stand-ins ``scenes-flow`` and
``scenes-clip`` (two trainings of each, by the parity of the seed). *direction*: the towers' alone; *patches*: and the
contrast of places (four a block here, the paper has 256); *pixels*: and squared differences in its place. Size of a
step, of three, and weight, of five: for each arm the best by *edited* on twenty-four other scenes. *content*: the same
digits in the same cells and no others; *dark*: digits of the source whose cells look dark; *edited*: images with the
same digits, all of them dark. The spotter sees 0.91 of true scenes whole.
"""

from itertools import product

import numpy as np

from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.data import digits
from mini_repr.data.generated.scenes import NUMBERS, scene
from mini_repr.methods.stylise import stylised
from mini_repr.standins import get
from mini_repr.standins.spotter import NOTHING

COUNT, TUNING = 48, 24
SIZES, WEIGHTS = (0.5, 1.0, 2.0), (0.03, 0.1, 0.3, 1.0, 3.0)
ARMS = {"direction": "none", "patches": "patches", "pixels": "pixels"}


def measure(seed):
    denoiser, towers, spotter = get("scenes-flow", seed % 2), get("scenes-clip", seed % 2), get("spotter")
    rng = np.random.default_rng(seed)
    tuning, test = light_scenes(rng, TUNING), light_scenes(rng, COUNT)

    def edited(scenes, **settings):
        images = np.stack([one.image for one in scenes])[:, None]
        before, after = ([shaded(one.caption, word) for one in scenes] for word in ("light", "dark"))
        changed = stylised(denoiser, towers, images, before, after, np.random.default_rng([seed, 1]), **settings)
        kinds, dark = spotter.spot(changed)
        wanted = np.full_like(kinds, NOTHING)
        for row, one in zip(wanted, scenes, strict=True):
            for thing in one.objects:
                row[thing.cell] = thing.digit
        same, there = (kinds == wanted).all(axis=1), wanted != NOTHING
        return {
            "content": float(same.mean()),
            "dark": float(dark[there].mean()),
            "edited": float((same & (dark | ~there).all(axis=1)).mean()),
        }

    found = {}
    for arm, content in ARMS.items():
        grid = [
            {"content": content, "size": size, "content_weight": weight}
            for size, weight in product(SIZES, WEIGHTS[:1] if content == "none" else WEIGHTS)
        ]
        found[arm] = edited(test, **max(grid, key=lambda settings: edited(tuning, **settings)["edited"]))
    return found


def light_scenes(rng, count):
    """Test scenes of two light digits, one in a relation to the other."""
    found = []
    while len(found) < count:
        one = scene(rng, digits().test, "relation")
        if all(thing.attribute == "light" for thing in one.objects):
            found.append(one)
    return found


def shaded(caption, attribute):
    """The caption with this attribute before every digit."""
    return " ".join(f"{attribute} {word}" if word in NUMBERS else word for word in caption.split())


CLAIM = Claim(
    paper="110",
    says="a contrast of the denoiser's own features keeps the content of an image while its style changes",
    measure=measure,
    expects=(
        higher("content", "patches", "direction", by=0.1),
        higher("edited", "patches", "direction", by=0.05),
        higher("edited", "patches", "pixels"),
    ),
    seeds=6,
    designs=1,
)
