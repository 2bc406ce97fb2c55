"""Hard patches mining: a network can tell which hidden patches are hard, and hiding those makes better rows.

Wang et al. 2023, arXiv 2304.05919. Digits, a ViT of 16 patches, raw pixels, three quarters hidden, as many steps for
each arm: MAE; MAE with the loss of patch order (*loss prediction*: masks at random); hard patches mining, whose teacher
chooses up to half of what is hidden. *order*: the rank correlation of predicted scores with errors on the hidden
patches of a test image, the mean over images; *few labels*: a linear probe with ten labels a class. The paper reports
both gains after hundreds of epochs on ImageNet; this is a small fraction of them. Tried before: wandering digits, which
as many steps do not teach any arm to classify.
"""

import numpy as np

from mini_repr.autograd import no_grad
from mini_repr.claims.bench.claim import Claim, above, higher
from mini_repr.claims.bench.trained import few_labels, trained
from mini_repr.masking import random_mask
from mini_repr.training.config import merge

COMMON = {
    "encoder": {"name": "vit", "width": 48, "depth": 3},
    "train": {"epochs": 27, "batch_size": 64},
    "method": {"decoder_width": 48},
}
ARMS = {
    "MAE": {"loss": {"name": "masked_regression", "normalize_target": False}},
    "loss prediction": {"loss": {"name": "patch_order"}, "method": {"mine": False}},
    "hard patches": {"loss": {"name": "patch_order"}},
}


def rank_correlation(method, images, rng):
    """The mean over images of Spearman's correlation between scores and errors of the hidden patches."""
    mask = random_mask(rng, len(images), method.encoder.patch_count, method.ratio)
    with no_grad():
        prediction, scores, _ = method.embed(images, mask)
    target, _ = method.targets(images, mask)
    errors = ((prediction.data - target) ** 2).mean(axis=2)
    ranks = [x[mask].reshape(len(images), -1).argsort(axis=1).argsort(axis=1) for x in (scores.data, errors)]
    first, second = (r - r.mean(axis=1, keepdims=True) for r in ranks)
    return float(((first * second).sum(axis=1) / (first * first).sum(axis=1)).mean())


def measure(seed):
    found = {}
    for arm, own in ARMS.items():
        run = trained(seed, **merge(COMMON, own))
        found[arm] = {"few labels": few_labels(run.method.encoder, run.data)}
        if arm != "MAE":
            found[arm]["order"] = rank_correlation(run.method, run.data.test.images, np.random.default_rng(seed))
    return found


CLAIM = Claim(
    paper="002",
    says="a network can predict which hidden patches are hard, and learns better rows where these are hidden",
    measure=measure,
    expects=(
        above("order", "loss prediction", 0.3),
        above("order", "hard patches", 0.3),
        higher("few labels", "hard patches", "MAE"),
        higher("few labels", "hard patches", "loss prediction"),
    ),
    designs=2,
)
