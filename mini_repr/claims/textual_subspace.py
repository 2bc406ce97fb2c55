"""BaTex: a new word as a weighted sum of known ones fits a concept nearly as well and does more in new captions.

Du et al. 2024, arXiv 2407.00608. The concept: a class of test digits turned by 20 degrees, five scenes of one of them;
the stand-in ``scenes-flow`` (two trainings of it, by the parity of the seed), four hundred steps on one row, or on the
weights of the 3, 6 or 12 nearest of the 17 useful words; learning rate: for each arm the best of three by the denoising
loss of two of the five scenes, fitted on the other three in a quarter of the steps. The word starts as the class's
number word, or (*wrong*) as another. *loss*: of denoising thirty other scenes of the concept, 200 draws; *edit*: both
digits are there in images of "a s1 left of a two" and the like (another class than the concept's), guidance 2; the
spotter knows upright digits: it sees 0.91 of true scenes whole.
"""

import numpy as np
from scipy.ndimage import rotate

from mini_repr.autograd import no_grad
from mini_repr.claims.bench.claim import Claim, Expectation, higher
from mini_repr.data import digits
from mini_repr.data.generated.scenes import ATTRIBUTES, CAPTIONS, CELL, NUMBERS, RELATIONS
from mini_repr.methods.concepts import fitted_rows, inversion_loss
from mini_repr.methods.textual_subspace import select_basis, subspace_row
from mini_repr.standins import get, scenes_flow

STEPS, IMAGES, RATES = 400, 64, (3e-3, 1e-2, 3e-2)
SIZES = (3, 6, 12)


def measure(seed):
    denoiser, spotter = get("scenes-flow", seed % 2), get("spotter")
    rng = np.random.default_rng(seed)
    digit, wrong, beside = rng.choice(10, size=3, replace=False)
    scenes = turned_scenes(int(digit), rng, 35)
    seen, unseen = scenes[:5], scenes[5:]
    table = denoiser.words.weight.data
    useful = [CAPTIONS.words.index(w) for w in (*NUMBERS, *ATTRIBUTES, "left", "right", "above", "below", "and")]
    captions = [f"a s1 {RELATIONS[k % 4]} a {NUMBERS[beside]}" for k in range(IMAGES)]
    noise = rng.standard_normal((IMAGES, *scenes_flow.SHAPE), dtype=np.float32)

    def fitted(images, word, size, lr, steps=STEPS):
        """The new word's row: free, or with ``size`` words as its basis."""
        loss_of, start = inversion_loss(denoiser, images, "a s1", np.random.default_rng([seed, 1])), _number(word)
        if size is None:
            return fitted_rows({"s1": table[start]}, loss_of, steps=steps, lr=lr)
        basis = table[select_basis(table, start, size, among=useful)]
        return subspace_row(basis, loss_of, steps=steps, lr=lr)

    def loss(slots, images, draws):
        with no_grad():
            of_batch = inversion_loss(denoiser, images, "a s1", np.random.default_rng([seed, 2]), batch=draws)
            return float(of_batch(slots).data)

    found = {}
    for size in (None, *SIZES):
        name = "free" if size is None else f"{size} words"
        rate = min(RATES, key=lambda lr: loss(fitted(seen[:3], digit, size, lr, STEPS // 4), seen[3:], 100))
        for word, arm in ((digit, name), (wrong, f"{name}, wrong")):
            slots = fitted(seen, word, size, rate)
            images = scenes_flow.sample(denoiser, noise, captions, slots=slots)
            kinds, _ = spotter.spot(images)
            both = (kinds == digit).any(axis=1) & (kinds == beside).any(axis=1)
            found[arm] = {"loss": loss(slots, unseen, 200), "edit": float(both.mean())}
    return found


def _number(digit):
    return CAPTIONS.words.index(NUMBERS[digit])


def turned_scenes(digit, rng, count):
    """(count, 1, 16, 16): a test digit of a class, turned by 20 degrees, in a random cell."""
    part = digits().test
    rows, images = np.flatnonzero(part.labels == digit), np.zeros((count, 1, 16, 16), dtype=np.float32)
    for image in images:
        turned = rotate(part.images[rng.choice(rows), 0], 20, reshape=False, order=1)
        y, x = CELL * rng.integers(2, size=2)
        image[0, y : y + CELL, x : x + CELL] = np.clip(turned, 0, 1)
    return images


def apart(arms):
    return arms["free"]["loss"] - arms["12 words"]["loss"]


CLAIM = Claim(
    paper="106",
    says="a new word in the span of known ones denoises its concept nearly as well and does more in new captions",
    measure=measure,
    expects=(
        Expectation("loss: 12 words no higher than free by 0.01", apart, -0.01),
        higher("edit", "12 words", "free", by=0.05),
        higher("edit", "12 words, wrong", "free, wrong", by=0.05),
    ),
    seeds=6,
    designs=1,
)
