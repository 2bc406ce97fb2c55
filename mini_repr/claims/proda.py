"""ProDA: many prompts and the covariance of their rows adapt a pair of towers better than one prompt does.

Lu et al. 2022, arXiv 2205.03340. Ten classes of digits turned by 20 degrees on scenes, five images each, the stand-in
``scenes-clip`` (two trainings of it, by the parity of the seed), prompts of four words before the class's name, 150
steps; learning rate: for each arm the best of three on one of the five images of each class, fitted on the other four;
then fitted on all. *zero-shot*: "a seven"; *one prompt*: cross-entropy; *eight prompts*: of the mean of their rows;
*diverse*: and the loss of orthogonality; *full*: the bound and that. *accuracy* on turned test digits; *overlap*: the
mean absolute cosine of two prompts without a name.
"""

import numpy as np

from mini_repr.claims.bench.claim import Claim, higher
from mini_repr.claims.bench.turned import turned_digits
from mini_repr.data import digits
from mini_repr.data.generated.scenes import NUMBERS
from mini_repr.losses.towers.prompt_orthogonality import prompt_orthogonality
from mini_repr.methods.prompt_learning import classified, learned_prompts, prompted_classes
from mini_repr.standins import get, scenes_clip

SHOTS, RATES = 5, (3e-3, 1e-2, 3e-2)
ARMS = {
    "one prompt": {"prompts": 1, "bound": False, "diversity": 0.0},
    "eight prompts": {"bound": False, "diversity": 0.0},
    "diverse": {"bound": False},
    "full": {},
}


def measure(seed):
    towers, rng, data = get("scenes-clip", seed % 2), np.random.default_rng(seed), digits()
    images, labels = turned_digits(data.train, rng, SHOTS)
    held_out = np.arange(len(labels)) % SHOTS == 0
    unseen, truth = turned_digits(data.test, rng)

    def fitted(rows, settings, lr):
        own = np.random.default_rng([seed, 1])
        return learned_prompts(towers, images[rows], labels[rows], NUMBERS, own, lr=lr, **settings)

    def accuracy(prompts, x, y):
        return float((classified(towers, x, prompts, NUMBERS) == y).mean())

    zero_shot = scenes_clip.nearest_caption(towers, unseen, [f"a {word}" for word in NUMBERS])
    found = {"zero-shot": {"accuracy": float((zero_shot == truth).mean())}}
    for arm, settings in ARMS.items():
        rates = {lr: accuracy(fitted(~held_out, settings, lr), images[held_out], labels[held_out]) for lr in RATES}
        prompts = fitted(np.arange(len(labels)), settings, max(RATES, key=rates.get))
        alone = prompted_classes(towers, prompts, [""])[0]
        found[arm] = {"accuracy": accuracy(prompts, unseen, truth), "overlap": float(prompt_orthogonality(alone).data)}
    return found


CLAIM = Claim(
    paper="062",
    says="eight prompts, with the bound that knows their covariance, classify from few images better than one",
    measure=measure,
    expects=(
        higher("accuracy", "full", "zero-shot", by=0.05),
        higher("accuracy", "full", "one prompt", by=0.01),
        higher("accuracy", "full", "eight prompts"),
    ),
    seeds=6,
    designs=1,
)
