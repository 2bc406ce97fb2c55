"""Masked token optimisation: with constraints on the mask token, SimMIM reaches its error in fewer steps.

Choi et al. 2024, arXiv 2404.08330, report about half the epochs. Digits, 16 patches of 2 x 2 raw pixels from 0 to 1,
six of ten replaced by a token that starts near 0, as a blank patch does; absolute error, 440 steps for each arm: plain
SimMIM; *recalibration*, whose hidden patches weigh less in early layers; *losses*, the three constraints, weight 0.1;
both. *error*: of the hidden pixels of the test images, masks the same in all arms; *area*: its mean after each of 20
epochs; *share*: of the epochs after which it first is no larger than plain's last, 1 where it never is. The paper's
equations could not be read (see the method), so this tries this package's reading of them.
"""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.claims.bench.claim import Claim, lower
from mini_repr.claims.bench.trained import few_labels, trained
from mini_repr.masking import random_mask
from mini_repr.training.config import merge

EPOCHS = 20
COMMON = {
    "loss": {"name": "masked_regression", "norm": "l1", "normalize_target": False},
    "encoder": {"name": "vit", "width": 48, "depth": 3, "start": "zero"},
    "method": {"name": "mto", "views": ""},
    "train": {"epochs": EPOCHS, "batch_size": 64},
}
ARMS = {
    "plain": {"first": 1.0, "weight": 0.0},
    "recalibration": {"first": 0.1, "weight": 0.0},
    "losses": {"first": 1.0, "weight": 0.1},
    "both": {"first": 0.1, "weight": 0.1},
}


def hidden_error(method, images, mask):
    """The mean absolute error of the pixels that a mask (B, P) hides."""
    method.eval()
    with no_grad():
        prediction = method.embed(images, mask)[0].data
    method.train()
    target, _ = method.targets(images, mask)
    return float(np.abs(prediction - target)[mask].mean())


def measure(seed):
    errors, found = {}, {}
    for arm, own in ARMS.items():
        course = errors[arm] = []

        def follow(run, record, course=course):
            images, encoder = run.data.test.images, run.method.encoder
            mask = random_mask(np.random.default_rng(seed), len(images), encoder.patch_count, run.method.ratio)
            course.append(hidden_error(run.method, images, mask))

        run = trained(seed, each_epoch=follow, **merge(COMMON, {"method": own}))
        found[arm] = {"few labels": few_labels(run.method.encoder, run.data)}
    for arm, course in errors.items():
        reached = np.flatnonzero(np.array(course) <= errors["plain"][-1])
        found[arm] |= {
            "error": course[-1],
            "area": np.mean(course),
            "share": (reached[0] + 1) / EPOCHS if len(reached) else 1.0,
        }
    return found


CLAIM = Claim(
    paper="073",
    says="with constraints on the mask token, masked image modelling reaches its error in fewer steps",
    measure=measure,
    expects=(
        lower("area", "both", "plain"),
        lower("share", "both", "plain", by=0.1),
        lower("error", "both", "plain"),
    ),
)
