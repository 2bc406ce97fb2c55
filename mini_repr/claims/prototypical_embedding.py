"""A prototype to start from, a mask and a hold on the class: a denoiser learns the object of one picture.

Lu, Xie, Guo 2024, arXiv 2401.15708. A test digit turned by 20 degrees in one scene, its pixels as mask, the stand-ins
``scenes-flow`` and ``scenes-clip`` (two trainings of each, by the parity of the seed). First, the word "s1" before
anything is tuned: *random*: a row as large as those of words; *class word*: that of the digit's class; *prototype*: the
weights of the ten number words that the two towers find. *start*: loss of denoising some thirty other digits of the
class, turned likewise, 200 draws. Then 120 steps from the prototype; learning rate: for each arm the best of
three by the denoising loss of five further digits. *full*; *no class*, *no object*: without these terms. *loss*: as
*start*, after; *like*: mean over 96 images of "a s1", guidance 2, of the largest cosine of a cell with the digit;
*class*: of 96 images of the class's word, how many still show the class, as the spotter sees it (it sees 0.97 of true
scenes of one digit). The first design looked for what is forgotten in the cells of these images.
"""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.claims.bench.claim import Claim, higher, lower, no_worse
from mini_repr.claims.bench.turned import turned_digits
from mini_repr.data import digits
from mini_repr.data.generated.scenes import CAPTIONS, INK, NUMBERS
from mini_repr.methods.concepts import inversion_loss
from mini_repr.methods.implanting import implanted, prototype_weights
from mini_repr.standins import get, scenes_flow
from mini_repr.standins.spotter import cells_of

IMAGES, DRAWS, STEPS, RATES = 96, 200, 120, (1e-3, 3e-3, 1e-2)
ARMS = {"full": {}, "no class": {"class_weight": 0.0}, "no object": {"object_weight": 0.0}}


def measure(seed):
    denoiser, towers, spotter = get("scenes-flow", seed % 2), get("scenes-clip", seed % 2), get("spotter")
    rng = np.random.default_rng(seed)
    digit = int(rng.integers(10))
    scenes, _ = turned_digits(digits().test, rng, classes=[digit])
    scenes = rng.permutation(scenes)
    image, chosen, unseen = scenes[0], scenes[1:6], scenes[6:]
    mask, name = image[0] > INK, NUMBERS[digit]
    words = [name, *(word for word in NUMBERS if word != name)]
    table = denoiser.words.weight.data
    known = table[[CAPTIONS.words.index(word) for word in words]]
    starts = {
        "random": (table.std() * rng.standard_normal(table.shape[1])).astype(table.dtype),
        "class word": known[0],
        "prototype": prototype_weights(towers, image, mask, name, words) @ known,
    }

    def loss(model, slots, images, draws=DRAWS):
        with no_grad():
            of_batch = inversion_loss(model, images, "a s1", np.random.default_rng([seed, 2]), batch=draws)
            return float(of_batch(slots).data)

    found = {arm: {"start": loss(denoiser, {"s1": row}, unseen)} for arm, row in starts.items()}
    noise = rng.standard_normal((IMAGES, *scenes_flow.SHAPE), dtype=np.float32)
    cell = int(cells_of(image[None])[0].any(axis=(1, 2)).argmax())
    for arm, settings in ARMS.items():
        tuned = {
            lr: implanted(
                denoiser,
                image,
                mask,
                starts["prototype"],
                name,
                np.random.default_rng([seed, 1]),
                steps=STEPS,
                lr=lr,
                **settings,
            )
            for lr in RATES
        }
        model, slots = tuned[min(RATES, key=lambda lr: loss(*tuned[lr], chosen))]
        own = scenes_flow.sample(model, noise, ["a s1"] * IMAGES, slots=slots)
        kinds, _ = spotter.spot(scenes_flow.sample(model, noise, [f"a {name}"] * IMAGES))
        found[arm] = {
            "loss": loss(model, slots, unseen),
            "like": likeness(own, cells_of(image[None])[0, cell]),
            "class": float((kinds == digit).any(axis=1).mean()),
        }
    return found


def likeness(images, digit):
    """Mean over images (N, 1, 16, 16) of the largest cosine of a cell with a digit (8, 8)."""
    cells = cells_of(images).reshape(len(images), -1, digit.size)
    sizes = np.maximum(np.linalg.norm(cells, axis=2), 1e-6)
    return float(((cells @ digit.ravel()) / sizes).max(axis=1).mean() / np.linalg.norm(digit))


CLAIM = Claim(
    paper="112",
    says="a prototype denoises an object before any tuning, and a hold on the class keeps what its word draws",
    measure=measure,
    expects=(
        lower("start", "prototype", "class word"),
        lower("start", "class word", "random"),
        higher("class", "full", "no class", by=0.05),
        no_worse("like", "full", "no class", by=0.02),
        higher("like", "full", "no object"),
    ),
    seeds=6,
    designs=2,
)
