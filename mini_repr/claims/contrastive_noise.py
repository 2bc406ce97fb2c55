"""Contrastive noise: a batch of noises for one caption becomes more different images, each still what is asked for.

Kim, Um, Ye 2025, arXiv 2510.03813. Sixteen captions such as "a seven", six noises each, guidance 3, the stand-in
``scenes-flow`` (two trainings of it, by the parity of the seed). *plain*: the noises as drawn; *full*: eight steps of
Adam; *push alone*: without the pull to the first estimate; *scaled*: the noises as drawn, as long as the moved ones
are. What can differ between images of one digit is its cell: *cells*, how many of the four have the digit in some image
of six; *right*: images with the digit in exactly one cell; *length*: the root mean square of the noise. Similarity of
the images to each other is no measure here: moved noises give clear digits more often, and these are alike. The
spotter sees 0.91 of true scenes whole.
"""

import numpy as np

from mini_repr.claims.bench.claim import Claim, higher, no_worse
from mini_repr.data.generated.scenes import NUMBERS
from mini_repr.methods.diverse_noise import diversified
from mini_repr.standins import get, scenes_flow

CAPTIONS, NOISES, GUIDANCE = 16, 6, 3.0


def measure(seed):
    denoiser, spotter = get("scenes-flow", seed % 2), get("spotter")
    rng = np.random.default_rng(seed)
    found = {name: [] for name in ("plain", "full", "push alone", "scaled")}
    for _ in range(CAPTIONS):
        digit = int(rng.integers(10))
        captions = [f"a {NUMBERS[digit]}"] * NOISES
        noise = rng.standard_normal((NOISES, *scenes_flow.SHAPE), dtype=np.float32)
        text = denoiser.read(denoiser.ids(captions))

        def clean_of(z, text=text):
            return z - scenes_flow.velocity(denoiser, z, 1.0, text).data

        moved = diversified(noise, clean_of)
        arms = {
            "plain": noise,
            "full": moved,
            "push alone": diversified(noise, clean_of, gamma=1e6),
            "scaled": noise * (length(moved) / length(noise)),
        }
        for name, z in arms.items():
            kinds, _ = spotter.spot(scenes_flow.sample(denoiser, z, captions, guidance=GUIDANCE))
            there = kinds == digit
            found[name].append((there.any(axis=0).sum(), (there.sum(axis=1) == 1).mean(), length(z)))
    columns = ("cells", "right", "length")
    return {name: dict(zip(columns, map(float, np.mean(rows, axis=0)), strict=True)) for name, rows in found.items()}


def length(z):
    return float(np.sqrt((z * z).mean()))


CLAIM = Claim(
    paper="085",
    says="noises moved by a contrast of their clean estimates draw a digit in more places, and no less often right",
    measure=measure,
    expects=(
        higher("cells", "full", "plain", by=0.2),
        higher("cells", "full", "scaled", by=0.2),
        no_worse("right", "full", "plain", by=0.02),
        no_worse("right", "full", "push alone", by=0.02),
    ),
    seeds=6,
    designs=1,
)
